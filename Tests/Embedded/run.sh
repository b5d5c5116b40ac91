#!/usr/bin/env bash
# Compiles the core as Embedded Swift for x86-64 Linux, aarch64 and wasm32, links the device runner for x86-64 (and aarch64 where qemu is
# there), runs a tiny model with it, and compares the output bytes with those of the ordinary build.
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
    for file in Sources/AlulaKernels/*.c Sources/AlulaSystem/*.c; do
        "$clang" --target="$c_target" "$@" -O2 -std=c11 -ISources/AlulaKernels/include -ISources/AlulaSystem/include \
            -c "$file" -o "$to/$(basename "$file" .c).c.o"
    done
    local module main=""
    for module in AlulaGraph AlulaRuntime AlulaRunner; do
        if [ "$module" != AlulaRunner ]; then main="-parse-as-library"; else main=""; fi
        swiftc -enable-experimental-feature Embedded -wmo $main -O -swift-version 6 -package-name alula -target "$target" \
            -Xcc -ffreestanding -I "$to" -I Sources/AlulaSystem/include -I $out/modules \
            -module-name "$module" -emit-module -emit-module-path "$to/$module.swiftmodule" \
            -c $(find "Sources/$module" -name '*.swift' | sort) -o "$to/$module.o"
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
compile wasm32-unknown-none-wasm wasm32-unknown-none-wasm wasm32 -ffreestanding &
jobs+=($!)
if [ $runs_arm = yes ]; then
    compile aarch64-none-none-elf aarch64-linux-gnu aarch64 -I/usr/aarch64-linux-gnu/include &
else
    compile aarch64-none-none-elf aarch64-none-none-elf aarch64 -ffreestanding &
fi
jobs+=($!)
for job in "${jobs[@]}"; do wait "$job"; done

failed=0
"$clang" $out/x86_64/*.o -L"$embedded/x86_64-unknown-linux-gnu" -lswiftUnicodeDataTables -lpthread -lm -o $out/x86_64/alula-run
model=$out/tiny.int8.alula
bin=.build/release
$bin/alula create efficientformer-sample -o $out/sample >/dev/null
$bin/alula create image-sample -o $out/sample/wing.png >/dev/null
$bin/alula convert $out/sample -o $out/tiny.alula >/dev/null
$bin/alula quantize $out/tiny.alula -o $model --calibrate images:$out/sample --samples 1 >/dev/null
shape=$($bin/alula inspect $model | sed -n 's/^input .* : u8\[\([0-9,]*\)\].*/\1/p')
bytes=$((${shape//,/*}))
# Deterministic input bytes: a counter under a multiplicative hash.
LC_ALL=C awk -v n="$bytes" 'BEGIN { x = 1; for (i = 0; i < n; i++) { x = (x * 16807) % 2147483647; printf "%c", x % 255 + 1 } }' >$out/input.raw
$bin/alula-run run $model --raw $out/input.raw --output $out/expected.raw >/dev/null
check() {
    local name=$1
    shift
    "$@" run $model --raw $out/input.raw --output $out/$name.raw >/dev/null
    if cmp -s $out/expected.raw $out/$name.raw; then
        echo "embedded: $name gives the same $(wc -c <$out/$name.raw) output bytes as the ordinary build"
    else
        echo "embedded: $name gives other output bytes than the ordinary build" >&2
        failed=1
    fi
}
check x86_64 $out/x86_64/alula-run

if [ $runs_arm = yes ]; then
    "$clang" --target=aarch64-linux-gnu -static -fuse-ld=lld -Wl,-z,nocopyreloc -L"$cross" -B"$cross" \
        -L/usr/aarch64-linux-gnu/lib -B/usr/aarch64-linux-gnu/lib $out/aarch64/*.o \
        -L"$embedded/aarch64-none-none-elf" -lswiftUnicodeDataTables -lpthread -lm -o $out/aarch64/alula-run
    # The base set; with dot product; with i8mm.
    for cpu in cortex-a53 cortex-a76 max; do check aarch64-$cpu qemu-aarch64-static -cpu $cpu $out/aarch64/alula-run; done
else
    echo "embedded: SKIPPED running on aarch64: needs qemu-user-static, libc6-dev-arm64-cross, libgcc-12-dev-arm64-cross, lld"
fi
exit $failed
