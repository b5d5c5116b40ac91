#!/bin/sh
# Fuzzes a reader with libFuzzer and the address sanitizer: libfuzzer.sh safetensors|pytorch|onnx|wfdb [ARGUMENT…], e.g. -max_total_time=60.
# SwiftPM cannot link a program whose main is libFuzzer's, so the few modules are compiled here.
#
# libfuzzer.sh hdf5 [ARGUMENT…], e.g. --seconds 60: HDF5 is read by another process, which libFuzzer cannot look into. fuzz-hdf5 damages its
# files without guidance; here it and the forked readers have the sanitizer, and a reader that it stops is reported.
set -eu
format=${1:?"usage: libfuzzer.sh safetensors|pytorch|onnx|wfdb|hdf5 [ARGUMENT...]"}
shift
cd "$(dirname "$0")/../.."
root=$PWD
out=$root/.build-fuzz/$format
mkdir -p "$out/corpus"
cd "$out"
sanitizers=fuzzer,address
[ "$format" != hdf5 ] || sanitizers=address
flags="-g -O -sanitize=$sanitizers -parse-as-library -wmo -swift-version 6 -package-name alula -I . -I $root/Sources/AlulaSystem/include"
cflags="-g -O1 -std=c11 -fsanitize=address"
c() {
    prefix=$1
    shift
    for source in "$@"; do
        object=$prefix-$(basename "$source").o
        clang $cflags -I "$(dirname "$source")/include" -c "$source" -o "$object"
        objects="$objects $object"
    done
}
module() {
    name=$1
    shift
    swiftc $flags -module-name "$name" -emit-module -emit-module-path "$name.swiftmodule" -c "$@" -o "$name.o"
    objects="$objects $name.o"
}
swift_files() { find "$1" -name '*.swift'; }
support=$root/Tests/TestSupport
objects=
c system "$root"/Sources/AlulaSystem/*.c
module AlulaGraph $(swift_files "$root/Sources/AlulaGraph")
module TestSupport "$support"/Safetensors*.swift "$support/SeededGenerator.swift" "$support/ByteMutation.swift" "$support/PlainMessage.swift" "$support/ZipWriter.swift" \
    "$support/PyTorchSamples.swift" "$support/ONNXSamples.swift" "$support/WFDBSamples.swift"
module FuzzSupport "$root"/Tests/Fuzz/Support/*.swift
case $format in
safetensors) main=$root/Tests/Fuzz/Safetensors/SafetensorsFuzz.swift ;;
pytorch)
    main=$root/Tests/Fuzz/PyTorch/PyTorchFuzz.swift
    flags="$flags -I $root/Sources/CZip"
    module PyTorchConverter "$root"/converters/PyTorch/*.swift
    objects="$objects -lzip"
    ;;
onnx)
    main=$root/Tests/Fuzz/ONNX/ONNXFuzz.swift
    kernels=$root/Sources/AlulaKernels
    proto=$root/converters/ONNX/Proto
    flags="$flags -Xcc -fmodule-map-file=$out/modules.map -I $kernels/include -I $root/Sources/CProtobufC -I $proto/include"
    printf 'module AlulaKernels { umbrella header "%s" export * }\nmodule COnnxProto { header "%s" export * }\n' \
        "$kernels/include/alula_kernels.h" "$proto/include/onnx.pb-c.h" >modules.map
    c kernels "$kernels"/*.c
    c proto "$proto"/*.c
    module AlulaRuntime $(swift_files "$root/Sources/AlulaRuntime")
    module ONNXConverter $(swift_files "$root/converters/ONNX")
    objects="$objects -lprotobuf-c -lm"
    ;;
wfdb)
    main=$root/Tests/Fuzz/WFDB/WFDBFuzz.swift
    csv=$root/.build/checkouts/SwiftCSV/SwiftCSV
    [ -d "$csv" ] || { echo "SwiftCSV is missing: run swift package resolve first" >&2 && exit 2; }
    codecs=$root/Sources/CImageCodecs
    flags="$flags -Xcc -fmodule-map-file=$out/modules.map -I $root/Sources/CFLAC"
    printf 'module CImageCodecs { umbrella "%s" export * }\n' "$codecs/include" >modules.map
    c codecs "$codecs"/*.c
    swiftc $flags -swift-version 5 -module-name SwiftCSV -emit-module -emit-module-path SwiftCSV.swiftmodule -c "$csv"/*.swift -o SwiftCSV.o
    module AlulaData $(swift_files "$root/Sources/AlulaData")
    objects="$objects SwiftCSV.o -ljpeg -lpng -lFLAC"
    ;;
hdf5)
    main=$root/Tests/Fuzz/HDF5/HDF5Fuzz.swift
    fork=$root/Tests/Fuzz/HDF5Fork
    reader=$root/converters/HDF5/Reader
    cflags="$cflags $(pkg-config --cflags hdf5) -I $reader/include"
    c reader "$reader"/*.c
    c fork "$fork"/*.c
    flags="$flags -Xcc -fmodule-map-file=$out/modules.map"
    printf 'module HDF5Fork { header "%s" export * }\n' "$fork/include/hdf5_fork.h" >modules.map
    module HDF5Converter "$root"/converters/HDF5/*.swift
    objects="$objects $(pkg-config --libs hdf5)"
    ;;
*) echo "no such format: $format" >&2 && exit 2 ;;
esac
[ "$format" = hdf5 ] || flags="$flags -DLIBFUZZER"
swiftc $flags -module-name fuzz "$main" $objects -o "fuzz-$format" 2>link.log || { cat link.log >&2; exit 1; }
if [ "$format" = hdf5 ]; then
    # A reader's own leaks do not matter: it ends with the file. Allocations beyond the limit fail, as they do without the sanitizer.
    ASAN_OPTIONS=detect_leaks=0:exitcode=99:allocator_may_return_null=1 exec "./fuzz-$format" "$@" "$root/Tests/HDF5ConverterTests/Fixtures"
fi
cp "$root"/Tests/Fuzz/corpus/"$format"/* corpus/
exec "./fuzz-$format" "$@" corpus
