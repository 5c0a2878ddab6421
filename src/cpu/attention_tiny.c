#include "attention.h"
#include "attention_vector.h"
#include "rows.h"

/* Heads of a few numbers are too thin for the matrix kernels: loops over the positions, four components at a time. */

enum { STEP = AUR_ATTENTION_BLOCK };

void aur_attention_tiny_columns(struct aur_rows rows, int64_t n, int64_t size, float *columns)
{
	const int64_t width = aur_round_up(n, 16), height = aur_round_up(size, 4);
	for (int64_t d = 0; d < height; d++) {
		const int64_t filled = d < size ? n : 0;
		for (int64_t i = 0; i < filled; i++)
			columns[d * STEP + i] = aur_element(rows.at, i * rows.pitch + d, rows.type);
		memset(columns + d * STEP + filled, 0, (size_t)(width - filled) * sizeof(float));
	}
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

/* Whole sixteens. */
static inline struct aur_attention_range whole(struct aur_attention_range range)
{
	return (struct aur_attention_range){range.begin / 16 * 16, aur_round_up(range.end, 16)};
}

void aur_attention_tiny_scores(
	const float *x, const float *columns, int64_t size, float scale, struct aur_attention_range range, float *s)
{
	const struct aur_attention_range r = whole(range);
	for (int64_t d = 0; d < size; d += 4) {
		const struct four q = four_of(x, d, size);
		const float q0 = q.v[0] * scale, q1 = q.v[1] * scale, q2 = q.v[2] * scale, q3 = q.v[3] * scale;
		const float *k = columns + d * STEP;
		if (d == 0)
			memset(s + r.begin, 0, (size_t)(r.end - r.begin) * sizeof *s);
#pragma omp simd
		for (int64_t j = r.begin; j < r.end; j++)
			s[j] += q0 * k[j] + q1 * k[j + STEP] + q2 * k[j + 2 * STEP] + q3 * k[j + 3 * STEP];
	}
}

typedef float quad __attribute__((vector_size(16)));
typedef float quad_in __attribute__((vector_size(16), may_alias));

/* The sum of a register's lanes, in four. */
static inline quad folded(const aur_vec *sums)
{
	const quad_in *part = (const quad_in *)(const void *)sums;
	quad sum = part[0];
	for (int i = 1; i < AUR_LANES / 4; i++)
		sum += part[i];
	return sum;
}

/* Sums of four registers' lanes, turned so that they are added up together. */
static inline quad sums_of(const aur_vec sums[4])
{
	const quad a = folded(sums), b = folded(sums + 1), c = folded(sums + 2), e = folded(sums + 3);
	const quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
	const quad ce_low = __builtin_shufflevector(c, e, 0, 4, 1, 5), ce_high = __builtin_shufflevector(c, e, 2, 6, 3, 7);
	return (__builtin_shufflevector(ab_low, ce_low, 0, 1, 4, 5) + __builtin_shufflevector(ab_low, ce_low, 2, 3, 6, 7)) +
		   (__builtin_shufflevector(ab_high, ce_high, 0, 1, 4, 5) +
			   __builtin_shufflevector(ab_high, ce_high, 2, 3, 6, 7));
}

void aur_attention_tiny_gather(
	const float *p, const float *columns, int64_t size, struct aur_attention_range range, int add, float *y)
{
	const struct aur_attention_range r = whole(range);
	for (int64_t d = 0; d < size; d += 4) {
		const float *v = columns + d * STEP;
		aur_vec sums[4] = {{0}, {0}, {0}, {0}};
		for (int64_t j = r.begin; j < r.end; j += AUR_LANES) {
			const aur_vec x = *aur_vec_in(p + j);
			AUR_UNROLL
			for (int i = 0; i < 4; i++)
				sums[i] = aur_vec_multiply_add(x, *aur_vec_in(v + j + i * STEP), sums[i]);
		}
		quad_in *to = (quad_in *)(void *)(y + d);
		quad sum = sums_of(sums);
		if (add)
			sum += *to;
		*to = sum;
	}
}

void aur_attention_tiny_scatter(
	const float *p, const float *x, int64_t size, struct aur_attention_range range, float *columns)
{
	const struct aur_attention_range r = whole(range);
	for (int64_t d = 0; d < size; d += 4) {
		const struct four f = four_of(x, d, size);
		const float x0 = f.v[0], x1 = f.v[1], x2 = f.v[2], x3 = f.v[3];
		float *g = columns + d * STEP;
#pragma omp simd
		for (int64_t j = r.begin; j < r.end; j++) {
			g[j] += p[j] * x0;
			g[j + STEP] += p[j] * x1;
			g[j + 2 * STEP] += p[j] * x2;
			g[j + 3 * STEP] += p[j] * x3;
		}
	}
}
