#include "attention.h"
#include "gemm.h"

#include <string.h>

/* Heads of a few numbers are too thin for the matrix library: loops over the keys, four components at a time. */

static void transpose(struct aur_rows rows, int64_t n, int64_t size, float *columns, int64_t capacity)
{
	const int64_t width = aur_round16(n), height = (size + 3) / 4 * 4;
	for (int64_t i = 0; i < n; i++)
		for (int64_t d = 0; d < size; d++)
			columns[d * capacity + i] = rows.at[i * rows.pitch + d];
	for (int64_t d = 0; d < height; d++) {
		const int64_t filled = d < size ? n : 0;
		memset(columns + d * capacity + filled, 0, (size_t)(width - filled) * sizeof(float));
	}
}

struct aur_panel aur_attention_panel_of(struct aur_rows rows, int64_t n, int64_t size, float *room, int64_t capacity)
{
	const int tiny = size <= AUR_ATTENTION_TINY;
	if (tiny)
		transpose(rows, n, size, room, capacity);
	return (struct aur_panel){rows, tiny ? room : NULL, capacity, n, size};
}

struct four {
	float v[4];
};

/* Components d to d + 3 of a row; zero beyond its size. */
static inline struct four four_of(const float *row, int64_t d, int64_t size)
{
	struct four four = {{0}};
	for (int64_t i = 0; i < 4 && d + i < size; i++)
		four.v[i] = row[d + i];
	return four;
}

static void scores_row(const float *x, const struct aur_panel *panel, float scale, int64_t width, float *s)
{
	const int64_t step = panel->capacity;
	memset(s, 0, (size_t)width * sizeof(float));
	for (int64_t d = 0; d < panel->size; d += 4) {
		const struct four q = four_of(x, d, panel->size);
		const float q0 = q.v[0] * scale, q1 = q.v[1] * scale, q2 = q.v[2] * scale, q3 = q.v[3] * scale;
		const float *k = panel->columns + d * step;
#pragma omp simd
		for (int64_t j = 0; j < width; j++)
			s[j] += q0 * k[j] + q1 * k[j + step] + q2 * k[j + 2 * step] + q3 * k[j + 3 * step];
	}
}

static void gather_row(const float *p, const struct aur_panel *panel, int64_t width, int add, float *y)
{
	const int64_t step = panel->capacity;
	for (int64_t d = 0; d < panel->size; d += 4) {
		const float *v = panel->columns + d * step;
		float a = 0.0f, b = 0.0f, c = 0.0f, e = 0.0f;
#pragma omp simd reduction(+ : a, b, c, e)
		for (int64_t j = 0; j < width; j++) {
			a += p[j] * v[j];
			b += p[j] * v[j + step];
			c += p[j] * v[j + 2 * step];
			e += p[j] * v[j + 3 * step];
		}
		const float sums[4] = {a, b, c, e};
		for (int64_t i = 0; i < 4 && d + i < panel->size; i++)
			y[d + i] = (add ? y[d + i] : 0.0f) + sums[i];
	}
}

static void scatter_row(const float *p, const float *x, const struct aur_panel *sums, int64_t width)
{
	const int64_t step = sums->capacity;
	for (int64_t d = 0; d < sums->size; d += 4) {
		const struct four f = four_of(x, d, sums->size);
		const float x0 = f.v[0], x1 = f.v[1], x2 = f.v[2], x3 = f.v[3];
		float *g = sums->columns + d * step;
#pragma omp simd
		for (int64_t j = 0; j < width; j++) {
			g[j] += p[j] * x0;
			g[j + step] += p[j] * x1;
			g[j + 2 * step] += p[j] * x2;
			g[j + 3 * step] += p[j] * x3;
		}
	}
}

void aur_attention_scores(
	struct aur_rows x, struct aur_seen seen, const struct aur_panel *panel, float scale, struct aur_rows tile)
{
	if (panel->columns) {
		for (int64_t i = 0; i < seen.rows; i++)
			scores_row(x.at + i * x.pitch, panel, scale, aur_seen_width(seen, i, panel->n), tile.at + i * tile.pitch);
		return;
	}
	aur_gemm(&(struct aur_gemm){.transpose_b = 1,
		.m = seen.rows,
		.n = panel->n,
		.k = panel->size,
		.alpha = scale,
		.a = x.at,
		.lda = x.pitch,
		.b = panel->rows.at,
		.ldb = panel->rows.pitch,
		.c = tile.at,
		.ldc = tile.pitch});
}

void aur_attention_gather(
	struct aur_rows tile, struct aur_seen seen, const struct aur_panel *panel, int add, struct aur_rows y)
{
	if (panel->columns) {
		for (int64_t i = 0; i < seen.rows; i++)
			gather_row(tile.at + i * tile.pitch, panel, aur_seen_width(seen, i, panel->n), add, y.at + i * y.pitch);
		return;
	}
	aur_gemm(&(struct aur_gemm){.m = seen.rows,
		.n = panel->size,
		.k = panel->n,
		.alpha = 1.0f,
		.beta = add ? 1.0f : 0.0f,
		.a = tile.at,
		.lda = tile.pitch,
		.b = panel->rows.at,
		.ldb = panel->rows.pitch,
		.c = y.at,
		.ldc = y.pitch});
}

void aur_attention_scatter(struct aur_rows tile, struct aur_seen seen, struct aur_rows x, const struct aur_panel *sums)
{
	if (sums->columns) {
		for (int64_t i = 0; i < seen.rows; i++)
			scatter_row(tile.at + i * tile.pitch, x.at + i * x.pitch, sums, aur_seen_width(seen, i, sums->n));
		return;
	}
	aur_gemm(&(struct aur_gemm){.transpose_a = 1,
		.m = sums->n,
		.n = sums->size,
		.k = seen.rows,
		.alpha = 1.0f,
		.beta = 1.0f,
		.a = tile.at,
		.lda = tile.pitch,
		.b = x.at,
		.ldb = x.pitch,
		.c = sums->rows.at,
		.ldc = sums->rows.pitch});
}
