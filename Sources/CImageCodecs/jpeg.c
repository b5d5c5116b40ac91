// JPEG through libjpeg-turbo, with the library's default (and Pillow's) accurate DCT and smooth chroma upsampling.
#include "image_codecs.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

// A progressive file may repeat full-size scans at a few bytes each; real encoders write about ten.
enum { MAXIMUM_SCANS = 500 };

typedef struct {
    struct jpeg_error_mgr base;  // first: libjpeg hands a pointer to it back
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    alula_codec_status status;
    char *message;
} codec_errors;

static alula_codec_status status_of(int code) {
    switch (code) {
    case JERR_INPUT_EOF:
    case JERR_INPUT_EMPTY:
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
        return ALULA_CODEC_TRUNCATED;
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_PRECISION:
    case JERR_COMPONENT_COUNT:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_BAD_J_COLORSPACE:
    case JERR_SOF_UNSUPPORTED:
    case JERR_NOT_COMPILED:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_CCIR601_NOTIMPL:
        return ALULA_CODEC_UNSUPPORTED;
    case JERR_OUT_OF_MEMORY:
        return ALULA_CODEC_MEMORY;
    default:
        return ALULA_CODEC_CORRUPT;
    }
}

static void fail(j_common_ptr codec) {
    codec_errors *errors = (codec_errors *)codec->err;
    char text[JMSG_LENGTH_MAX];
    errors->base.format_message(codec, text);
    errors->status = status_of(errors->base.msg_code);
    snprintf(errors->message, ALULA_CODEC_MESSAGE_SIZE, "%s", text);
    longjmp(errors->escape, 1);
}

// Level -1 is a warning about damaged data. Missing data would become gray: that one is an error here.
static void note(j_common_ptr codec, int level) {
    if (level < 0 && status_of(codec->err->msg_code) == ALULA_CODEC_TRUNCATED) fail(codec);
}

static void stay_silent(j_common_ptr codec) { (void)codec; }

static void limit_scans(j_common_ptr codec) {
    if (((j_decompress_ptr)codec)->input_scan_number <= MAXIMUM_SCANS) return;
    codec_errors *errors = (codec_errors *)codec->err;
    errors->status = ALULA_CODEC_CORRUPT;
    snprintf(errors->message, ALULA_CODEC_MESSAGE_SIZE, "more than %d scans", MAXIMUM_SCANS);
    longjmp(errors->escape, 1);
}

static void start(j_decompress_ptr codec, codec_errors *errors, alula_codec_info *info) {
    memset(codec, 0, sizeof *codec);  // so that destroying is safe even where creating failed
    memset(errors, 0, sizeof *errors);
    memset(info, 0, sizeof *info);
    errors->message = info->message;
    codec->err = jpeg_std_error(&errors->base);
    errors->base.error_exit = fail;
    errors->base.emit_message = note;
    errors->base.output_message = stay_silent;
    errors->progress.progress_monitor = limit_scans;
}

static void read_header(j_decompress_ptr codec, const uint8_t *data, size_t size, alula_codec_info *info) {
    jpeg_create_decompress(codec);
    codec->progress = &((codec_errors *)codec->err)->progress;
    jpeg_mem_src(codec, data, (unsigned long)size);
    jpeg_read_header(codec, TRUE);
    codec->out_color_space = codec->num_components == 4 ? JCS_CMYK : JCS_RGB;
    info->width = codec->image_width;
    info->height = codec->image_height;
    info->components = codec->num_components == 4 ? 4 : 3;
}

alula_codec_status alula_jpeg_header(const uint8_t *data, size_t size, alula_codec_info *info) {
    struct jpeg_decompress_struct codec;
    codec_errors errors;
    start(&codec, &errors, info);
    if (setjmp(errors.escape) == 0) read_header(&codec, data, size, info);
    jpeg_destroy_decompress(&codec);
    return errors.status;
}

alula_codec_status alula_jpeg_decode(
    const uint8_t *data, size_t size, uint8_t *pixels, size_t capacity, alula_codec_info *info) {
    struct jpeg_decompress_struct codec;
    codec_errors errors;
    start(&codec, &errors, info);
    if (setjmp(errors.escape) == 0) {
        read_header(&codec, data, size, info);
        const size_t stride = (size_t)info->width * info->components;
        if (capacity % stride != 0 || capacity / stride != info->height) {
            errors.status = ALULA_CODEC_SIZE;
        } else {
            jpeg_start_decompress(&codec);
            while (codec.output_scanline < codec.output_height) {
                JSAMPROW row = pixels + (size_t)codec.output_scanline * stride;
                jpeg_read_scanlines(&codec, &row, 1);
            }
            jpeg_finish_decompress(&codec);  // reads on to the end marker: without one the file is truncated
        }
    }
    jpeg_destroy_decompress(&codec);
    return errors.status;
}
