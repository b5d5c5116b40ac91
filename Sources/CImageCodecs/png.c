// PNG through libpng's full interface: the simplified one applies gamma and composes alpha, which Pillow does not.
#include "image_codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

enum {
    MAXIMUM_CHUNKS = 1000,             // ancillary chunks kept
    MAXIMUM_CHUNK_BYTES = 8 << 20,     // of one ancillary chunk after decompression
};

typedef struct {
    png_structp png;
    png_infop info;
    const uint8_t *data;
    size_t size;
    size_t position;
    void (*sink)(void *context, const uint8_t *bytes, size_t count);
    void *context;
    alula_codec_status status;
    char *message;
} png_codec;

static void fail(png_structp png, png_const_charp text) {
    png_codec *codec = png_get_error_ptr(png);
    if (codec->status == ALULA_CODEC_OK) {
        codec->status = strstr(text, "ut of memory") ? ALULA_CODEC_MEMORY : ALULA_CODEC_CORRUPT;
        snprintf(codec->message, ALULA_CODEC_MESSAGE_SIZE, "%s", text);
    }
    longjmp(png_jmpbuf(png), 1);
}

static void stay_silent(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep target, size_t count) {
    png_codec *codec = png_get_io_ptr(png);
    if (count > codec->size - codec->position) {
        codec->status = ALULA_CODEC_TRUNCATED;
        snprintf(codec->message, ALULA_CODEC_MESSAGE_SIZE, "%s", "the file ends inside a chunk");
        png_error(png, codec->message);
    }
    memcpy(target, codec->data + codec->position, count);
    codec->position += count;
}

static void start_reading(png_codec *codec, const uint8_t *data, size_t size, alula_codec_info *info) {
    memset(codec, 0, sizeof *codec);
    memset(info, 0, sizeof *info);
    codec->data = data;
    codec->size = size;
    codec->message = info->message;
    codec->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, codec, fail, stay_silent);
    codec->info = codec->png ? png_create_info_struct(codec->png) : NULL;
    if (!codec->info) codec->status = ALULA_CODEC_MEMORY;
}

static void read_header(png_codec *codec, alula_codec_info *info) {
    png_set_read_fn(codec->png, codec, read_bytes);
    png_set_user_limits(codec->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // the caller limits the product
    png_set_chunk_cache_max(codec->png, MAXIMUM_CHUNKS);
    png_set_chunk_malloc_max(codec->png, MAXIMUM_CHUNK_BYTES);
    png_read_info(codec->png, codec->info);
    info->width = png_get_image_width(codec->png, codec->info);
    info->height = png_get_image_height(codec->png, codec->info);
    info->components = 3;
}

static void read_pixels(png_codec *codec, uint8_t *pixels, size_t capacity, const alula_codec_info *info) {
    png_structp png = codec->png;
    const size_t stride = (size_t)info->width * 3;
    if (capacity % stride != 0 || capacity / stride != info->height) {
        codec->status = ALULA_CODEC_SIZE;
        return;
    }
    if (png_get_bit_depth(png, codec->info) == 16) png_set_strip_16(png);
    const png_byte color = png_get_color_type(png, codec->info);
    if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
    if (!(color & PNG_COLOR_MASK_COLOR)) {
        png_set_expand_gray_1_2_4_to_8(png);
        png_set_gray_to_rgb(png);
    }
    png_set_strip_alpha(png);  // also what a tRNS chunk made
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, codec->info);
    if (png_get_rowbytes(png, codec->info) != stride) png_error(png, "unexpected row size");
    for (int pass = 0; pass < passes; pass++)
        for (size_t row = 0; row < info->height; row++) png_read_row(png, pixels + row * stride, NULL);
    png_read_end(png, NULL);
}

alula_codec_status alula_png_header(const uint8_t *data, size_t size, alula_codec_info *info) {
    png_codec codec;
    start_reading(&codec, data, size, info);
    if (codec.status == ALULA_CODEC_OK && setjmp(png_jmpbuf(codec.png)) == 0) read_header(&codec, info);
    png_destroy_read_struct(&codec.png, &codec.info, NULL);
    return codec.status;
}

alula_codec_status alula_png_decode(
    const uint8_t *data, size_t size, uint8_t *pixels, size_t capacity, alula_codec_info *info) {
    png_codec codec;
    start_reading(&codec, data, size, info);
    if (codec.status == ALULA_CODEC_OK && setjmp(png_jmpbuf(codec.png)) == 0) {
        read_header(&codec, info);
        read_pixels(&codec, pixels, capacity, info);
    }
    png_destroy_read_struct(&codec.png, &codec.info, NULL);
    return codec.status;
}

static void write_bytes(png_structp png, png_bytep bytes, size_t count) {
    png_codec *codec = png_get_io_ptr(png);
    codec->sink(codec->context, bytes, count);
}

static void flush_nothing(png_structp png) { (void)png; }

alula_codec_status alula_png_encode(
    const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t components,
    void (*sink)(void *context, const uint8_t *bytes, size_t count), void *context, alula_codec_info *info) {
    png_codec codec;
    memset(&codec, 0, sizeof codec);
    memset(info, 0, sizeof *info);
    codec.sink = sink;
    codec.context = context;
    codec.message = info->message;
    codec.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &codec, fail, stay_silent);
    codec.info = codec.png ? png_create_info_struct(codec.png) : NULL;
    if (!codec.info) {
        codec.status = ALULA_CODEC_MEMORY;
    } else if (setjmp(png_jmpbuf(codec.png)) == 0) {
        const int color = components == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB;
        png_set_write_fn(codec.png, &codec, write_bytes, flush_nothing);
        png_set_user_limits(codec.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
        png_set_IHDR(codec.png, codec.info, width, height, 8, color, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                     PNG_FILTER_TYPE_DEFAULT);
        png_write_info(codec.png, codec.info);
        const size_t stride = (size_t)width * components;
        for (size_t row = 0; row < height; row++) png_write_row(codec.png, pixels + row * stride);
        png_write_end(codec.png, NULL);
    }
    png_destroy_write_struct(&codec.png, &codec.info);
    return codec.status;
}
