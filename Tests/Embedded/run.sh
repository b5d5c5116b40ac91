#!/usr/bin/env bash
# Compiles the core as Embedded Swift for x86-64 Linux, aarch64 and wasm32, links the device runner for x86-64 (and aarch64 where qemu is
# there) and a WebAssembly module, runs small models with them, and compares the output bytes with those of the ordinary build.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=.build-embedded
toolchain=$(dirname "$(readlink -f "$(command -v swiftc)")")
clang=$toolchain/clang
embedded=$(dirname "$toolchain")/lib/swift/embedded

mkdir -p $out/modules
printf 'module AlulaKernels {\n    header "%s"\n    export *\n}\n' "$PWD/Sources/AlulaKernels/include/alula_kernels.h" >$out/modules/module.modulemap

# compile SWIFT_TARGET C_TARGET FOLDER [C flags…]: objects and modules of the core and of the runner.
compile() {
    local target=$1 c_target=$2 to=$out/$3
    shift 3
    rm -rf "$to"
    mkdir -p "$to"
    local sources=(Sources/AlulaKernels/*.c Sources/AlulaSystem/*.c)
    if [[ $target == wasm* ]]; then sources+=(Tests/Embedded/wasm_libc.c); fi
    for file in "${sources[@]}"; do
        "$clang" --target="$c_target" "$@" -O2 -std=c11 -ISources/AlulaKernels/include -ISources/AlulaSystem/include \
            -c "$file" -o "$to/$(basename "$file" .c).c.o"
    done
    local modules=(AlulaGraph AlulaRuntime AlulaRunner)
    if [[ $target == wasm* ]]; then modules+=(WasmHost); fi
    local module flags files
    for module in "${modules[@]}"; do
        if [ "$module" != AlulaRunner ]; then flags="-parse-as-library"; else flags=""; fi
        if [ "$module" = WasmHost ]; then files=Tests/Embedded/WasmHost.swift; else files=$(find "Sources/$module" -name '*.swift' | sort); fi
        swiftc -enable-experimental-feature Embedded -wmo $flags -O -swift-version 6 -package-name alula -target "$target" \
            -Xcc -ffreestanding -I "$to" -I Sources/AlulaSystem/include -I $out/modules \
            -module-name "$module" -emit-module -emit-module-path "$to/$module.swiftmodule" \
            -c $files -o "$to/$module.o"
    done
    echo "embedded: $target compiled ($(cat "$to"/Alula*.o | wc -c) bytes of Swift objects)"
}

# The runtime files of a cross compiler: any version will do.
cross=$(ls -d /usr/lib/gcc-cross/aarch64-linux-gnu/* 2>/dev/null | tail -1 || true)
runs_arm=no
if [ -n "$cross" ] && [ -d /usr/aarch64-linux-gnu/include ] && command -v qemu-aarch64-static >/dev/null && command -v ld.lld >/dev/null; then
    runs_arm=yes
fi

# Each whole-module compilation keeps one core busy for a minute or two: side by side.
jobs=()
compile x86_64-unknown-linux-gnu x86_64-unknown-linux-gnu x86_64 &
jobs+=($!)
compile wasm32-unknown-none-wasm wasm32-unknown-none-wasm wasm32 -ffreestanding -fno-builtin -msimd128 &
jobs+=($!)
if [ $runs_arm = yes ]; then
    compile aarch64-none-none-elf aarch64-linux-gnu aarch64 -I/usr/aarch64-linux-gnu/include &
else
    compile aarch64-none-none-elf aarch64-none-none-elf aarch64 -ffreestanding &
fi
jobs+=($!)
for job in "${jobs[@]}"; do wait "$job"; done

# Small models of every family, quantized by the ordinary build, and what it computes from the same input bytes.
bin=.build/release
$bin/alula create efficientformer-sample -o $out/sample >/dev/null
$bin/alula create image-sample -o $out/sample/wing.png >/dev/null
$bin/alula convert $out/sample -o $out/efficientformer.alula >/dev/null
$bin/alula create edgevit-xxs --input 32x32 --classes 100 -o $out/edgevit.alula >/dev/null
models=(efficientformer edgevit)
for model in "${models[@]}"; do
    $bin/alula quantize $out/$model.alula -o $out/$model.int8.alula --calibrate images:$out/sample --samples 1 >/dev/null
    shape=$($bin/alula inspect $out/$model.int8.alula | sed -n 's/^input .* : u8\[\([0-9,]*\)\].*/\1/p')
    bytes=$((${shape//,/*}))
    # Deterministic input bytes: a counter under a multiplicative hash.
    LC_ALL=C awk -v n="$bytes" 'BEGIN { x = 1; for (i = 0; i < n; i++) { x = (x * 16807) % 2147483647; printf "%c", x % 255 + 1 } }' \
        >$out/$model.input.raw
    $bin/alula-run run $out/$model.int8.alula --raw $out/$model.input.raw --output $out/$model.expected.raw >/dev/null
done

failed=0
# check NAME COMMAND…: the command runs `MODEL INPUT OUTPUT`.
check() {
    local name=$1 model result
    shift
    for model in "${models[@]}"; do
        result=$out/$model.$name.raw
        rm -f "$result"
        "$@" $out/$model.int8.alula $out/$model.input.raw "$result" >/dev/null
        if cmp -s $out/$model.expected.raw "$result"; then
            echo "embedded: $name gives the same $(wc -c <"$result") output bytes of $model as the ordinary build"
        else
            echo "embedded: $name gives other output bytes of $model than the ordinary build" >&2
            failed=1
        fi
    done
}

runner() { "${@:1:$#-3}" run "${@: -3:1}" --raw "${@: -2:1}" --output "${@: -1}"; }

"$clang" $out/x86_64/*.o -L"$embedded/x86_64-unknown-linux-gnu" -lswiftUnicodeDataTables -lpthread -lm -o $out/x86_64/alula-run
check x86_64 runner $out/x86_64/alula-run

if [ $runs_arm = yes ]; then
    "$clang" --target=aarch64-linux-gnu -static -fuse-ld=lld -Wl,-z,nocopyreloc -L"$cross" -B"$cross" \
        -L/usr/aarch64-linux-gnu/lib -B/usr/aarch64-linux-gnu/lib $out/aarch64/*.o \
        -L"$embedded/aarch64-none-none-elf" -lswiftUnicodeDataTables -lpthread -lm -o $out/aarch64/alula-run
    # The base set; with dot product; with i8mm.
    for cpu in cortex-a53 cortex-a76 max; do check aarch64-$cpu runner qemu-aarch64-static -cpu $cpu $out/aarch64/alula-run; done
else
    echo "embedded: SKIPPED running on aarch64: needs qemu-user-static, libc6-dev-arm64-cross, libgcc-12-dev-arm64-cross, lld"
fi

if command -v node >/dev/null && [ -x "$toolchain/wasm-ld" ]; then
    objects=$(ls $out/wasm32/*.o | grep -v AlulaRunner.o)
    "$toolchain/wasm-ld" --no-entry --export=alula_wasm_run --export=alula_wasm_used_vectors --export=alula_wasm_allocate $objects \
        -L"$embedded/wasm32-unknown-none-wasm" -lswiftUnicodeDataTables -o $out/alula.wasm
    check wasm32-simd128 node Tests/Embedded/run_wasm.mjs $out/alula.wasm
else
    echo "embedded: SKIPPED running WebAssembly: needs node, and the Swift toolchain's wasm-ld"
fi
exit $failed
