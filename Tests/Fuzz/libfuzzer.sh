#!/bin/sh
# Fuzzes a reader with libFuzzer and the address sanitizer: libfuzzer.sh safetensors|pytorch [ARGUMENT…], e.g. -max_total_time=60.
# SwiftPM cannot link a program whose main is libFuzzer's, so the few modules are compiled here. HDF5 is read by another process, which
# libFuzzer cannot look into: fuzz-hdf5 damages its files without guidance.
set -eu
format=${1:?"usage: libfuzzer.sh safetensors|pytorch [ARGUMENT...]"}
shift
cd "$(dirname "$0")/../.."
root=$PWD
out=$root/.build-fuzz
mkdir -p "$out/corpus-$format"
cd "$out"
flags="-g -O -sanitize=fuzzer,address -parse-as-library -wmo -swift-version 6 -package-name alula -I . -I $root/Sources/AlulaSystem/include"
flags="$flags -I $root/Sources/CZip"
for source in "$root"/Sources/AlulaSystem/*.c; do
    clang -g -O1 -std=c11 -fsanitize=address -I "$root/Sources/AlulaSystem/include" -c "$source" -o "system-$(basename "$source").o"
done
module() {
    name=$1
    shift
    swiftc $flags -module-name "$name" -emit-module -emit-module-path "$name.swiftmodule" -c "$@" -o "$name.o"
}
module AlulaGraph $(find "$root/Sources/AlulaGraph" -name '*.swift')
module TestSupport "$root"/Tests/TestSupport/Safetensors*.swift "$root/Tests/TestSupport/SeededGenerator.swift" \
    "$root/Tests/TestSupport/ByteMutation.swift" "$root/Tests/TestSupport/ZipWriter.swift" "$root/Tests/TestSupport/PyTorchSamples.swift"
module FuzzSupport "$root"/Tests/Fuzz/Support/*.swift
objects="AlulaGraph.o TestSupport.o FuzzSupport.o"
case $format in
safetensors) main=$root/Tests/Fuzz/Safetensors/SafetensorsFuzz.swift ;;
pytorch)
    main=$root/Tests/Fuzz/PyTorch/PyTorchFuzz.swift
    module PyTorchConverter "$root"/converters/PyTorch/*.swift
    objects="$objects PyTorchConverter.o -lzip"
    ;;
*) echo "no such format: $format" >&2 && exit 2 ;;
esac
cp "$root"/Tests/Fuzz/corpus/"$format"/* "corpus-$format/" 2>/dev/null || true
swiftc $flags -DLIBFUZZER -module-name fuzz "$main" $objects system-*.o -o "fuzz-$format" 2>link.log || { cat link.log >&2; exit 1; }
exec "./fuzz-$format" "$@" "corpus-$format"
