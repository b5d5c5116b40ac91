// Whether this build has the Arm kernels: 64-bit, little endian, with vector registers (a kernel of an operating system may go without).
#pragma once
#if defined(__aarch64__) && defined(__ARM_NEON) && !defined(__AARCH64EB__)
#define ALULA_ARM64 1
#else
#define ALULA_ARM64 0
#endif
