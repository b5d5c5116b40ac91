// The two C image libraries behind functions that return instead of jumping.
//
// libjpeg and libpng report errors with longjmp, which must not cross a Swift frame. Everything here is stateless:
// a picture is read twice, first its header (so that the caller checks the size and allocates), then its pixels.
#ifndef ALULA_IMAGE_CODECS_H
#define ALULA_IMAGE_CODECS_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    ALULA_CODEC_OK = 0,
    ALULA_CODEC_TRUNCATED,    // the data ends before the picture does
    ALULA_CODEC_CORRUPT,      // the data contradicts the format
    ALULA_CODEC_UNSUPPORTED,  // a valid picture of a kind that the library does not read
    ALULA_CODEC_MEMORY,       // the library could not allocate
    ALULA_CODEC_SIZE,         // the caller's buffer has not the size that the header asks for
} alula_codec_status;

enum { ALULA_CODEC_MESSAGE_SIZE = 200 };

typedef struct {
    uint32_t width;
    uint32_t height;
    uint32_t components;                     // bytes a decoded pixel: 3 (RGB), or 4 for a JPEG's CMYK as stored
    char message[ALULA_CODEC_MESSAGE_SIZE];  // the library's words when the status is not OK; zero-terminated
} alula_codec_info;

alula_codec_status alula_jpeg_header(const uint8_t *data, size_t size, alula_codec_info *info);

/// Fills `pixels` with width * height * components bytes, rows from the top.
alula_codec_status alula_jpeg_decode(
    const uint8_t *data, size_t size, uint8_t *pixels, size_t capacity, alula_codec_info *info);

alula_codec_status alula_png_header(const uint8_t *data, size_t size, alula_codec_info *info);

/// Fills `pixels` with RGB bytes: palettes looked up, alpha dropped, 16-bit samples cut to their high byte.
alula_codec_status alula_png_decode(
    const uint8_t *data, size_t size, uint8_t *pixels, size_t capacity, alula_codec_info *info);

/// Writes an 8-bit PNG of 1 (gray) or 3 (RGB) components; `sink` gets the file piece by piece, in order.
alula_codec_status alula_png_encode(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t components,
    void (*sink)(void *context, const uint8_t *bytes, size_t count), void *context, alula_codec_info *info);

#endif
