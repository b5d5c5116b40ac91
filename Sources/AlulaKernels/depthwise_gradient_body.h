// depthwise_weight_gradient_f32 for instruction sets with vectors of ALULA_LANES floats. Included once by the file of each, after
// weight_gradient_body.h.
//
// Bound: one fma a tap, pixel and vector of channels. Each wants a pixel of x, which with 36 channels mostly lies in two cache lines and then takes two
// cycles to load, twice as long as the fma. So with stride 1 a row is walked by columns of x: a pixel of x meets the few pixels of dy that see it, which
// move along in registers, and a 5x5 kernel has 25 fma for 5 loads of x and 1 of dy. What else there is to it:
//  - all vectors of a row come one after another, so that the lines in which two of them lie are still in the first-level cache;
//  - a last vector of at most half the lanes is computed in halves: 36 channels cost 2.5 vectors of 16;
//  - taps are taken in chunks whose sizes are constants, of those rows of the kernel alone that lie inside of the image;
//  - that walk is too crooked for the hardware to foresee: with tensors beyond the second-level cache, each vector asks it for a share of what the next row
//    needs, in the order of memory. 64 images of 8x8x72 from main memory take 164 us rather than 332 at 5x5 (136 from the caches).
// A tap's sum over a row is added to its total in scratch, which so many vectors of channels share that it takes 8 kB.

#define ALULA_UNROLL_TAPS _Pragma("clang loop unroll(full)")
enum { DEPTHWISE_HALF = ALULA_LANES / 2 };
typedef float depthwise_vector __attribute__((vector_size(4 * ALULA_LANES), aligned(4)));
typedef float depthwise_half __attribute__((vector_size(4 * DEPTHWISE_HALF), aligned(4)));

#if ALULA_LANES == 16
#define ALULA_LOWER(x) __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7)
#define ALULA_WIDENED(x) __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7, -1, -1, -1, -1, -1, -1, -1, -1)
#else
#define ALULA_LOWER(x) __builtin_shufflevector(x, x, 0, 1, 2, 3)
#define ALULA_WIDENED(x) __builtin_shufflevector(x, x, 0, 1, 2, 3, -1, -1, -1, -1)
#endif

// The operations on whole vectors or on their lower halves, the upper ones being anything.
ALULA_INLINE depthwise_vector load_lanes(const float *from, const bool is_half) {
    if (!is_half) return *(const depthwise_vector *)from;
    const depthwise_half x = *(const depthwise_half *)from;
    return ALULA_WIDENED(x);
}

ALULA_INLINE depthwise_vector fma_lanes(depthwise_vector a, depthwise_vector b, depthwise_vector c, const bool is_half) {
    if (!is_half) return __builtin_elementwise_fma(a, b, c);
    const depthwise_half x = __builtin_elementwise_fma(ALULA_LOWER(a), ALULA_LOWER(b), ALULA_LOWER(c));
    return ALULA_WIDENED(x);
}

ALULA_INLINE void add_lanes(float *total, depthwise_vector x, const bool is_half) {
    if (is_half) *(depthwise_half *)total += ALULA_LOWER(x);
    else *(depthwise_vector *)total += x;
}

// A row of output pixels, and the taps of a chunk of the kernel. Lengths are in floats.
typedef struct {
    const float *dy, *x;          // the row's first pixel, and the first pixel of the input row under the chunk's first tap
    float *total;                 // of the chunk's first tap
    size_t channels, in_row, taps_row, taps;      // from pixel to pixel, from tap to tap (in x and in total), and from vector to vector (in total)
    int32_t left;                 // the column of x under the first pixel and the chunk's first tap
    int32_t in_w, out_w, stride, dilation;
    uintptr_t next[2];            // of dy and x: the memory that the next vector asks for
    size_t lines[2];
} gradient_row;

ALULA_INLINE void add_totals(const gradient_row *g, float *total, const depthwise_vector *sum, const int32_t rows, const int32_t width, const bool is_half) {
    ALULA_UNROLL_TAPS for (int32_t ky = 0; ky < rows; ky++) {
        ALULA_UNROLL_TAPS for (int32_t kx = 0; kx < width; kx++) {
            add_lanes(total + (size_t)ky * g->taps_row + (size_t)(kx * ALULA_LANES), sum[ky * width + kx], is_half);
        }
    }
}

// One vector of channels, stride and dilation 1.
ALULA_INLINE void walk_columns(const gradient_row *g, size_t c, float *total, const int32_t rows, const int32_t width, const bool is_half) {
    const size_t channels = g->channels;
    depthwise_vector sum[25], dy[5] = {{0}};
    ALULA_UNROLL_TAPS for (int32_t tap = 0; tap < rows * width; tap++) sum[tap] = (depthwise_vector){0};
    // The pixel of dy that meets this column with the first tap; the pixel before meets it with the second.
    const int32_t begin = alula_max_i32(0, g->left);
    int32_t pixel = begin - g->left;
    ALULA_UNROLL_TAPS for (int32_t kx = 0; kx + 1 < width; kx++) {
        const int32_t at = pixel - 1 - kx;
        if (at >= 0 && at < g->out_w) dy[kx] = load_lanes(g->dy + (size_t)at * channels + c, is_half);
    }
    const int32_t end = alula_min_i32(g->in_w, g->left + g->out_w + width - 1);
    const float *x = g->x + (size_t)begin * channels + c, *next = g->dy + (size_t)pixel * channels + c;
    for (int32_t column = begin; column < end; column++, pixel++, x += channels, next += channels) {
        dy[4] = dy[3], dy[3] = dy[2], dy[2] = dy[1], dy[1] = dy[0];      // not a loop, which the compiler would make a copy in memory
        if (pixel < g->out_w) dy[0] = load_lanes(next, is_half);
        if (pixel >= width - 1 && pixel < g->out_w) {
            ALULA_UNROLL_TAPS for (int32_t ky = 0; ky < rows; ky++) {
                const depthwise_vector v = load_lanes(x + (size_t)ky * g->in_row, is_half);
                ALULA_UNROLL_TAPS for (int32_t kx = 0; kx < width; kx++) sum[ky * width + kx] = fma_lanes(dy[kx], v, sum[ky * width + kx], is_half);
            }
        } else {
            ALULA_UNROLL_TAPS for (int32_t kx = 0; kx < width; kx++) {
                if (kx > pixel || kx <= pixel - g->out_w) continue;
                ALULA_UNROLL_TAPS for (int32_t ky = 0; ky < rows; ky++) {
                    const depthwise_vector v = load_lanes(x + (size_t)ky * g->in_row, is_half);
                    sum[ky * width + kx] = fma_lanes(dy[kx], v, sum[ky * width + kx], is_half);
                }
            }
        }
    }
    add_totals(g, total, sum, rows, width, is_half);
}

// The same for any stride and dilation, one row of the kernel, by pixels of dy.
ALULA_INLINE void walk_pixels(const gradient_row *g, size_t c, float *total, const int32_t width, const bool is_half) {
    const size_t channels = g->channels;
    depthwise_vector sum[5];
    ALULA_UNROLL_TAPS for (int32_t kx = 0; kx < width; kx++) sum[kx] = (depthwise_vector){0};
    int32_t column = g->left;
    const float *next = g->dy + c;
    for (int32_t pixel = 0; pixel < g->out_w; pixel++, column += g->stride, next += channels) {
        const depthwise_vector dy = load_lanes(next, is_half);
        const bool is_inside = column >= 0 && column + (width - 1) * g->dilation < g->in_w;
        ALULA_UNROLL_TAPS for (int32_t kx = 0; kx < width; kx++) {
            const int32_t at = column + kx * g->dilation;
            if (is_inside || (at >= 0 && at < g->in_w)) sum[kx] = fma_lanes(dy, load_lanes(g->x + (size_t)at * channels + c, is_half), sum[kx], is_half);
        }
    }
    add_totals(g, total, sum, 1, width, is_half);
}

ALULA_INLINE void prefetch_next(gradient_row *g) {
    for (size_t i = 0; i < 2; i++) {
        for (size_t line = 0; line < g->lines[i]; line++) __builtin_prefetch((const void *)(g->next[i] + 64 * line), 0, 2);
        g->next[i] += 64 * g->lines[i];
    }
}

// `vectors` vectors of channels from c on, of which the last is one of half the lanes if has_half.
typedef void (*gradient_kernel)(gradient_row *g, size_t c, size_t vectors, bool has_half);

#define ALULA_WALK(NAME, CALL)                                                               \
    static void NAME(gradient_row *g, size_t c, size_t vectors, bool has_half) {             \
        float *total = g->total;                                                             \
        for (; vectors > 0; vectors--, c += ALULA_LANES, total += g->taps) {                 \
            prefetch_next(g);                                                                \
            if (vectors > has_half) { const bool is_half = false; CALL; }                    \
            else { const bool is_half = true; CALL; }                                        \
        }                                                                                    \
    }
#define ALULA_WALK_COLUMNS(ROWS, WIDTH) ALULA_WALK(columns_##ROWS##x##WIDTH, walk_columns(g, c, total, ROWS, WIDTH, is_half))
#define ALULA_WALK_PIXELS(WIDTH) ALULA_WALK(pixels_##WIDTH, walk_pixels(g, c, total, WIDTH, is_half))
ALULA_WALK_COLUMNS(1, 1) ALULA_WALK_COLUMNS(2, 1) ALULA_WALK_COLUMNS(3, 1)
ALULA_WALK_COLUMNS(1, 2) ALULA_WALK_COLUMNS(2, 2) ALULA_WALK_COLUMNS(3, 2)
ALULA_WALK_COLUMNS(1, 3) ALULA_WALK_COLUMNS(2, 3) ALULA_WALK_COLUMNS(3, 3)
ALULA_WALK_COLUMNS(1, 5) ALULA_WALK_COLUMNS(2, 5)
#if ALULA_LANES == 16
ALULA_WALK_COLUMNS(3, 5) ALULA_WALK_COLUMNS(4, 5) ALULA_WALK_COLUMNS(5, 5)
#endif
ALULA_WALK_PIXELS(1) ALULA_WALK_PIXELS(2) ALULA_WALK_PIXELS(3) ALULA_WALK_PIXELS(5)
#undef ALULA_WALK_COLUMNS
#undef ALULA_WALK_PIXELS
#undef ALULA_WALK

// By taps side by side (5, 3, 2, 1): the rows of a chunk at most, and the kernels by rows.
typedef struct { int32_t width, most; gradient_kernel columns[5], pixels; } chunk_size;
static const chunk_size chunk_sizes[] = {
#if ALULA_LANES == 16
    {5, 5, {columns_1x5, columns_2x5, columns_3x5, columns_4x5, columns_5x5}, pixels_5},
#else
    {5, 2, {columns_1x5, columns_2x5}, pixels_5},
#endif
    {3, 3, {columns_1x3, columns_2x3, columns_3x3}, pixels_3},
    {2, 3, {columns_1x2, columns_2x2, columns_3x2}, pixels_2},
    {1, 3, {columns_1x1, columns_2x1, columns_3x1}, pixels_1},
};

// What the next row of output pixels, of some channels, needs of dy, and of x below what this one sees.
static void find_next(const alula_window *w, const alula_place *place, size_t c, const float *x, gradient_row *g) {
    const size_t line = (size_t)w->in_w * g->channels, columns = (size_t)w->in_w * (size_t)w->stride_h;
    const int64_t y = (int64_t)place->image * w->in_h + place->in_y + (int64_t)(w->kernel_h - 1) * w->dilation_h + 1;
    // Addresses alone, which may lie outside of the tensors.
    g->next[0] = (uintptr_t)g->dy + ((size_t)w->out_w * g->channels + c * (size_t)w->out_w) * sizeof(float);
    g->next[1] = (uintptr_t)x + ((uintptr_t)y * line + c * columns) * sizeof(float);
    g->lines[0] = (size_t)w->out_w * ALULA_LANES / 16;
    g->lines[1] = columns * ALULA_LANES / 16;
}

// One row of output pixels, row `y` of all images'; total: [vectors][taps][lanes].
static void gradient_of_row(const alula_weight_gradient_f32_args *p, size_t y, size_t c, size_t vectors, bool has_half, float *total) {
    const alula_window *w = &p->window;
    const alula_place place = alula_place_of(w, y * (size_t)w->out_w);
    const size_t channels = (size_t)w->in_c, line = (size_t)w->in_w * channels;
    const bool by_columns = w->stride_w == 1 && w->dilation_w == 1;
    int32_t top = 0, bottom = w->kernel_h;               // the kernel's rows that lie inside of the image
    while (top < bottom && place.in_y + top * w->dilation_h < 0) top++;
    while (top < bottom && place.in_y + (bottom - 1) * w->dilation_h >= w->in_h) bottom--;
    gradient_row g = {.dy = p->dy + y * (size_t)w->out_w * channels, .channels = channels, .in_row = (size_t)w->dilation_h * line,
                      .taps_row = (size_t)(w->kernel_w * ALULA_LANES), .taps = alula_taps(w) * ALULA_LANES, .in_w = w->in_w, .out_w = w->out_w,
                      .stride = w->stride_w, .dilation = w->dilation_w};
    if (alula_depthwise_f32_is_large(w)) find_next(w, &place, c, p->x, &g);
    const chunk_size *size = chunk_sizes;
    for (int32_t kx = 0; kx < w->kernel_w; kx += size->width) {
        while (size->width > w->kernel_w - kx) size++;
        g.left = place.in_x + kx * w->dilation_w;
        for (int32_t ky = top, rows; ky < bottom; ky += rows) {
            rows = by_columns ? alula_min_i32(bottom - ky, size->most) : 1;
            g.x = p->x + ((size_t)place.image * (size_t)w->in_h + (size_t)(place.in_y + ky * w->dilation_h)) * line;
            g.total = total + (size_t)(ky * w->kernel_w + kx) * ALULA_LANES;
            (by_columns ? size->columns[rows - 1] : size->pixels)(&g, c, vectors, has_half);
            g.lines[0] = g.lines[1] = 0;
        }
    }
}

void ALULA_SYMBOL(depthwise_weight_gradient_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    const alula_weight_gradient_f32_args *p = args;
    const alula_window *w = &p->window;
    const size_t taps = alula_taps(w), rows = (size_t)w->batch * (size_t)w->out_h, stop = alula_min(16 * end, (size_t)w->in_c);
    const size_t most = 16 * alula_depthwise_gradient_blocks(w);
    float *total = scratch;
    for (size_t c = 16 * begin, count; c < stop; c += count) {
        count = alula_min(most, stop - c);
        const size_t vectors = (count + ALULA_LANES - 1) / ALULA_LANES, last = count - (vectors - 1) * ALULA_LANES;
        for (size_t i = 0; i < vectors * taps * ALULA_LANES; i++) total[i] = 0.0f;
        for (size_t y = 0; y < rows; y++) gradient_of_row(p, y, c, vectors, last <= DEPTHWISE_HALF, total);
        for (size_t i = 0; i < count; i++) {
            const float *sums = total + i / ALULA_LANES * taps * ALULA_LANES + i % ALULA_LANES;
            for (size_t tap = 0; tap < taps; tap++) p->output[(c + i) * taps + tap] = sums[tap * ALULA_LANES];
        }
    }
}
