#!/bin/sh
# Fuzzes the safetensors reader with libFuzzer and the address sanitizer. Arguments go to libFuzzer, e.g. -max_total_time=60.
# SwiftPM cannot link a program whose main is libFuzzer's, so the few modules are compiled here.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
out=$root/.build-fuzz
mkdir -p "$out/corpus"
cp Tests/Fuzz/corpus/safetensors/* "$out/corpus/"
cd "$out"
flags="-g -O -sanitize=fuzzer,address -parse-as-library -wmo -swift-version 6 -package-name alula -I . -I $root/Sources/AlulaSystem/include"
for source in "$root"/Sources/AlulaSystem/*.c; do
    clang -g -O1 -std=c11 -fsanitize=address -I "$root/Sources/AlulaSystem/include" -c "$source" -o "system-$(basename "$source").o"
done
swiftc $flags -module-name AlulaGraph -emit-module -emit-module-path AlulaGraph.swiftmodule \
    -c $(find "$root/Sources/AlulaGraph" -name '*.swift') -o AlulaGraph.o
swiftc $flags -module-name TestSupport -emit-module -emit-module-path TestSupport.swiftmodule \
    -c "$root"/Tests/TestSupport/Safetensors*.swift "$root/Tests/TestSupport/SeededGenerator.swift" -o TestSupport.o
swiftc $flags -DLIBFUZZER -module-name fuzz "$root/Tests/Fuzz/SafetensorsFuzz.swift" AlulaGraph.o TestSupport.o system-*.o \
    -o fuzz-safetensors 2>link.log || { cat link.log >&2; exit 1; }
exec ./fuzz-safetensors "$@" corpus
