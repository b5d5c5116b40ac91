#!/usr/bin/env bash
# Checks the kernels of instruction sets that this CPU may lack: AVX-512 VNNI through SIMDe's plain C versions of the intrinsics.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ ! -e /usr/include/simde/x86/avx512.h ]; then
    echo "SKIPPED kernel emulation: /usr/include/simde is missing (Debian package libsimde-dev)"
    exit 0
fi
out=.build-emulation
kernels=Sources/AlulaKernels
mkdir -p $out
compiler=$(dirname "$(readlink -f "$(command -v swiftc)")")/clang
flags=(-O1 -std=c11 -Wno-psabi -ITests/KernelEmulation -I$kernels -I$kernels/include)
# Objects are rebuilt when any source changed; the emulated intrinsics take a minute to compile.
newest=$(ls -t $kernels/*.c $kernels/*.h $kernels/include/*.h Tests/KernelEmulation/* | head -1)
if [ ! -x $out/check_avx512 ] || [ "$newest" -nt $out/check_avx512 ]; then
    ls $kernels/*.c Tests/KernelEmulation/check_avx512.c | grep -v -e dispatch -e peak -e avx512 |
        xargs -P "$(nproc)" -I{} sh -c '"$0" "$@" -c {} -o '$out'/$(basename {} .c).o' "$compiler" "${flags[@]}"
    # 256-bit vectors are passed in registers, so the emulated files want AVX.
    ls $kernels/*avx512*.c Tests/KernelEmulation/check_avx512.c |
        xargs -P "$(nproc)" -I{} sh -c '"$0" "$@" -c {} -o '$out'/$(basename {} .c).o' "$compiler" "${flags[@]}" -DALULA_SIMDE -mavx2 -mfma
    "$compiler" $out/*.o -lm -o $out/check_avx512
fi
$out/check_avx512 "${1:-150}" "${2:-1}"
