// matmul_f32. Included once by the file of each instruction set.
//
// Output columns are computed side by side, so that every output keeps its own order of k. B passes through a panel of 16 columns and up to
// 128 steps of k; between two panels the partial sums rest in the output.
#include "fma.h"
#include "kernels_internal.h"
#include "instruction_set.h"

enum { COLUMNS = 16, DEPTH = 128, ROWS = 6 };

// panel[k][j] = B[k0 + k][j0 + j], zero beyond the last column.
static void pack_panel(const alula_matmul_f32_args *p, const float *b, size_t k0, size_t depth, size_t j0, size_t columns, float *panel) {
    size_t n = (size_t)p->n, size = (size_t)p->k;
    if (p->transpose_b) {
        for (size_t j = 0; j < columns; j++) {
            const float *in = b + (j0 + j) * size + k0;
            for (size_t k = 0; k < depth; k++) panel[k * COLUMNS + j] = in[k];
        }
        for (size_t j = columns; j < COLUMNS; j++) {
            for (size_t k = 0; k < depth; k++) panel[k * COLUMNS + j] = 0.0f;
        }
        return;
    }
    for (size_t k = 0; k < depth; k++) {
        const float *in = b + (k0 + k) * n + j0;
        for (size_t j = 0; j < columns; j++) panel[k * COLUMNS + j] = in[j];
        for (size_t j = columns; j < COLUMNS; j++) panel[k * COLUMNS + j] = 0.0f;
    }
}

// rows <= ROWS rows of A against a panel. The sums start at 0 (first panel) or from the output.
ALULA_INLINE void multiply_panel(const float *a, size_t a_stride, const float *panel, size_t depth, float *out, size_t out_stride, size_t rows,
                                 size_t columns, bool first, bool last, float alpha) {
    float sum[ROWS][COLUMNS];
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < COLUMNS; j++) sum[r][j] = first || j >= columns ? 0.0f : out[r * out_stride + j];
    }
    for (size_t k = 0; k < depth; k++) {
        for (size_t r = 0; r < rows; r++) {
            float x = a[r * a_stride + k];
            for (size_t j = 0; j < COLUMNS; j++) sum[r][j] = alula_fma(x, panel[k * COLUMNS + j], sum[r][j]);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) out[r * out_stride + j] = last ? alpha * sum[r][j] : sum[r][j];
    }
}

static void multiply_rows(const alula_matmul_f32_args *p, size_t batch, size_t begin, size_t end) {
    size_t m = (size_t)p->m, n = (size_t)p->n, size = (size_t)p->k;
    const float *a = p->a + (int64_t)batch * p->a_batch, *b = p->b + (int64_t)batch * p->b_batch;
    float *output = p->output + batch * m * n;
    float panel[DEPTH * COLUMNS] __attribute__((aligned(64)));
    for (size_t j = 0; j < n; j += COLUMNS) {
        size_t columns = alula_min_size(COLUMNS, n - j), k = 0;
        do {                                                 // once even for k = 0, which gives zeros
            size_t depth = alula_min_size(DEPTH, size - k);
            bool first = k == 0, last = k + depth == size;
            pack_panel(p, b, k, depth, j, columns, panel);
            size_t i = begin;
            for (; i + ROWS <= end; i += ROWS) {
                multiply_panel(a + i * size + k, size, panel, depth, output + i * n + j, n, ROWS, columns, first, last, p->alpha);
            }
            for (; i + 2 <= end; i += 2) {
                multiply_panel(a + i * size + k, size, panel, depth, output + i * n + j, n, 2, columns, first, last, p->alpha);
            }
            if (i < end) multiply_panel(a + i * size + k, size, panel, depth, output + i * n + j, n, 1, columns, first, last, p->alpha);
            k += depth;
        } while (k < size);
    }
}

void ALULA_SYMBOL(matmul_f32)(const void *args, size_t begin, size_t end, void *scratch) {
    (void)scratch;
    const alula_matmul_f32_args *p = args;
    size_t m = (size_t)p->m;
    while (begin < end) {
        size_t batch = begin / m, first = begin % m, count = alula_min_size(m - first, end - begin);
        multiply_rows(p, batch, first, first + count);
        begin += count;
    }
}
