#pragma once

// What the reader hands over: the eight bytes of `RECORDS_MAGIC`, then records of a kind and its fields, all numbers little-endian. A text is
// a 32-bit length and so many bytes.
//
//   RECORD_NAMES    text group, u8 role, u32 count, count texts: what an attribute of the group lists
//   RECORD_TENSOR   text path, u8 element type, u8 rank, rank u64 sizes, u64 bytes, the bytes, row-major
//   RECORD_FAILURE  text path, text problem: the last record of a file that is refused
//   RECORD_END      u32 tensors: the last record of a file that is read
//
// Paths are relative to the group that holds the layers.

#include <stddef.h>
#include <stdint.h>

#define RECORDS_MAGIC "ALULAH5\1"

enum { RECORD_NAMES = 'N', RECORD_TENSOR = 'T', RECORD_FAILURE = 'F', RECORD_END = 'Z' };
enum { ROLE_LAYERS = 0, ROLE_WEIGHTS = 1 };

/// Element types, as the records number them.
enum {
    ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16, ELEMENT_F64, ELEMENT_U8, ELEMENT_S8, ELEMENT_I16, ELEMENT_U16, ELEMENT_I32, ELEMENT_U32,
    ELEMENT_I64, ELEMENT_U64,
};

void start_records(void);
void put_bytes(const void *bytes, size_t count);
void put_number(uint64_t value, int width);
void put_text(const char *text, size_t count);

/// Sends what was put so far.
void flush_records(void);

/// Sends why the file is refused, and ends the program.
_Noreturn void fail(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
