// Two convolutions as one call. Included by conv_pair.c for each element type, with ALULA_PAIR_ARGS (the args struct), ALULA_CONV_ARGS (that of one
// convolution), ALULA_ELEMENT, ALULA_BAND_BYTES (what lies between, at most; ALULA_ROWS_BYTES between the rows of matrices) and ALULA_PAIR(name) defined.

// Rows of the first convolution's result that `rows` rows of the second one's need.
static inline size_t ALULA_PAIR(reach)(const alula_window *w, size_t rows) {
    return (rows - 1) * (size_t)w->stride_h + (size_t)(w->kernel_h - 1) * (size_t)w->dilation_h + 1;
}

// The most output rows in a band. A row of one pixel is a row of a matrix: whole tiles of them.
static size_t ALULA_PAIR(band)(const alula_window *w) {
    const size_t row = (size_t)w->in_w * (size_t)w->in_c * sizeof(ALULA_ELEMENT), most = (w->out_w == 1 ? ALULA_ROWS_BYTES : ALULA_BAND_BYTES) / row;
    const size_t reach = ALULA_PAIR(reach)(w, 1), tile = w->out_w == 1 ? ALULA_PAIR_TILE_ROWS : 1;
    const size_t rows = most < reach ? 1 : (most - reach) / (size_t)w->stride_h + 1, whole = rows / tile * tile;
    return alula_min(whole < tile ? tile : whole, w->out_w == 1 ? ALULA_PAIR_ROWS : (size_t)w->out_h);
}

// The rows between the convolutions, and 64 bytes that kernels may read after them.
static size_t ALULA_PAIR(hidden_bytes)(const alula_window *w) {
    const size_t rows = ALULA_PAIR(reach)(w, alula_min(ALULA_PAIR(band)(w), (size_t)w->out_h));
    return alula_round_up(alula_min(rows, (size_t)w->in_h) * (size_t)w->in_w * (size_t)w->in_c * sizeof(ALULA_ELEMENT) + 64, 64);
}

// Both convolutions get their own windows and the pixels of the band, so that padding lies where it does without bands. Only the address of
// what lies between is moved, so that the band's first row is the first in scratch.
static inline __attribute__((always_inline)) void ALULA_PAIR(run)(const ALULA_PAIR_ARGS *a, size_t begin, size_t end, void *scratch,
                                                                  alula_kernel first_kernel, alula_kernel second_kernel) {
    if (begin >= end) return;
    // An assignment of structs this large may become a call of memcpy.
    ALULA_CONV_ARGS first, second;
    __builtin_memcpy_inline(&first, &a->first, sizeof first);
    __builtin_memcpy_inline(&second, &a->second, sizeof second);
    const alula_window *w = &second.window;
    const size_t width = (size_t)w->in_w, height = (size_t)w->in_h, out_height = (size_t)w->out_h, items = a->depthwise ? 1 : (size_t)w->out_w;
    const size_t band = alula_block_rows(end - begin, ALULA_PAIR(band)(w), w->out_w == 1 ? ALULA_PAIR_TILE_ROWS : 1);
    ALULA_ELEMENT *hidden = scratch;
    scratch = (uint8_t *)scratch + ALULA_PAIR(hidden_bytes)(w);
    for (size_t row = begin, rows; row < end; row += rows) {
        const size_t image = row / out_height, y = row % out_height;
        rows = alula_min(alula_min(band, end - row), out_height - y);
        // The rows that the band needs, less those in the padding.
        const int64_t top = (int64_t)y * w->stride_h - w->pad_top, bottom = top + (int64_t)ALULA_PAIR(reach)(w, rows);
        const size_t from = image * height + (top < 0 ? 0 : alula_min((size_t)top, height));
        const size_t to = image * height + (bottom < 0 ? 0 : alula_min((size_t)bottom, height));
        const uintptr_t origin = (uintptr_t)hidden - from * width * (size_t)w->in_c * sizeof(ALULA_ELEMENT);
        first.output = (ALULA_ELEMENT *)origin;
        second.input = (const ALULA_ELEMENT *)origin;
        if (from < to) first_kernel(&first, from * width, to * width, scratch);
        second_kernel(&second, row * items, (row + rows) * items, scratch);
    }
}
