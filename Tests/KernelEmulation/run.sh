#!/usr/bin/env bash
# Checks the kernels of instruction sets that this CPU may lack, against the scalar definition, bit for bit: AVX-512 VNNI through SIMDe's
# plain C versions of the intrinsics, the Arm ones cross-compiled and run by qemu as three cpu models, WebAssembly's in Node.
#   Tests/KernelEmulation/run.sh [cases] [seed]
set -euo pipefail
cd "$(dirname "$0")/../.."
out=.build-emulation
kernels=Sources/AlulaKernels
cases=${1:-150}
seed=${2:-1}
mkdir -p $out
compiler=$(dirname "$(readlink -f "$(command -v swiftc)")")/clang
flags=(-O1 -std=c11 -Wno-psabi -ITests/KernelEmulation -I$kernels -I$kernels/include)
# Programs are rebuilt when any source changed; the emulated intrinsics take a minute to compile.
newest=$(ls -t $kernels/*.c $kernels/*.h $kernels/include/*.h Tests/KernelEmulation/*.* Tests/KernelEmulation/wasm/* | head -1)
skipped=0
skip() {
    echo "SKIPPED kernel emulation of $1: $2"
    skipped=$((skipped + 1))
}
# compile FOLDER FLAG…: the C files named on standard input.
compile() {
    local to=$out/$1
    shift
    mkdir -p "$to"
    xargs -P "$(nproc)" -I{} sh -c '"$0" "$@" -c {} -o '"$to"'/$(basename {} .c).o' "$compiler" "$@"
}

if [ "$(uname -m)" != x86_64 ]; then
    skip "avxvnni, avx512vnni" "this machine is not x86-64"
elif [ ! -e /usr/include/simde/x86/avx512.h ]; then
    skip "avxvnni, avx512vnni" "/usr/include/simde is missing (Debian package libsimde-dev)"
else
    if [ ! -x $out/check_avx512 ] || [ "$newest" -nt $out/check_avx512 ]; then
        ls $kernels/*.c | grep -v -e dispatch -e peak -e avx512 -e avxvnni | compile avx512 "${flags[@]}"
        # 256-bit vectors are passed in registers, so the emulated files want AVX.
        ls $kernels/*avx512*.c Tests/KernelEmulation/check_avx512.c | compile avx512 "${flags[@]}" -DALULA_SIMDE -mavx2 -mfma
        ls $kernels/*avxvnni*.c | compile avx512 "${flags[@]}" -DALULA_EMULATE_AVXVNNI
        "$compiler" $out/avx512/*.o -lm -o $out/check_avx512
    fi
    $out/check_avx512 "$cases" "$seed"
fi

# The runtime files of a cross compiler: any version will do.
gcc=$(ls -d /usr/lib/gcc-cross/aarch64-linux-gnu/* 2>/dev/null | tail -1 || true)
qemu=$(command -v qemu-aarch64-static || true)
if [ "$(uname -m)" = aarch64 ]; then
    target=()
    models=(native)
elif [ -z "$qemu" ]; then
    skip "neon, neondot, i8mm" "qemu-aarch64-static is missing (Debian package qemu-user-static)"
    models=()
elif [ -z "$gcc" ] || [ ! -d /usr/aarch64-linux-gnu/include ] || ! command -v ld.lld >/dev/null; then
    skip "neon, neondot, i8mm" "a cross build is missing (Debian packages libc6-dev-arm64-cross, libgcc-12-dev-arm64-cross, lld)"
    models=()
else
    target=(--target=aarch64-linux-gnu --sysroot=/usr/aarch64-linux-gnu --gcc-install-dir="$gcc")
    models=(cortex-a53 cortex-a76 max)
fi
if [ ${#models[@]} -gt 0 ]; then
    if [ ! -x $out/check_arm ] || [ "$newest" -nt $out/check_arm ]; then
        # As they ship: optimized.
        ls $kernels/*.c Tests/KernelEmulation/check_arm.c | compile arm "${target[@]}" "${flags[@]}" -O2
        "$compiler" "${target[@]}" -static -fuse-ld=lld $out/arm/*.o -lm -o $out/check_arm
    fi
    for model in "${models[@]}"; do
        echo "arm kernels, cpu $model:"
        if [ "$model" = native ]; then $out/check_arm "$cases" "$seed"; else "$qemu" -cpu "$model" $out/check_arm "$cases" "$seed"; fi
    done
fi

linker=$(dirname "$compiler")/wasm-ld
if ! command -v node >/dev/null || [ ! -x "$linker" ]; then
    skip simd128 "needs node, and the Swift toolchain's wasm-ld"
else
    if [ ! -e $out/check.wasm ] || [ "$newest" -nt $out/check.wasm ]; then
        ls $kernels/*.c Tests/KernelEmulation/check_wasm.c | compile wasm --target=wasm32-unknown-none-wasm -msimd128 -ffreestanding \
            -fno-builtin -ITests/KernelEmulation/wasm "${flags[@]}" -O2
        "$linker" --no-entry $out/wasm/*.o -o $out/check.wasm
    fi
    node -e '
        const [file, cases, seed] = process.argv.slice(1)
        WebAssembly.instantiate(require("fs").readFileSync(file), {}).then(({ instance }) => {
            const failures = instance.exports.check(Number(cases), Number(seed))
            console.log(`wasm simd128, in Node: ${cases} cases, ` + (failures < 0 ? "no such kernels" : `${failures} failures`))
            process.exit(failures ? 1 : 0)
        })' $out/check.wasm "$cases" "$seed"
fi
if [ $skipped -gt 0 ]; then echo "kernel emulation: $skipped SKIPPED"; fi
