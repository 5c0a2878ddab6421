#include "few_rows.h"

#include "gemm_vector.h"

#include <string.h>

enum {
	LANES = 16,  /* sums of an element, on every processor */
	GROUP = 4,   /* rows of B at a time: streams enough for the memory, few enough for its prefetching */
	BLOCK = 128, /* rows of B that a thread takes at a time */
	REGISTERS = LANES / AUR_LANES,
};

struct sums {
	aur_vec of[REGISTERS];
};

int aur_has_few_rows(const struct aur_gemm *p)
{
	return p->m <= AUR_FEW_ROWS && !p->transpose_a && p->transpose_b && !p->accumulate && p->type == AUR_F32 &&
		   p->c_type == AUR_F32;
}

/* Halves are added to each other until one number is left, whatever the size of a register. */
static inline float total_of(struct sums sums)
{
	AUR_UNROLL
	for (int half = REGISTERS / 2; half > 0; half /= 2)
		for (int i = 0; i < half; i++)
			sums.of[i] += sums.of[i + half];
	return aur_vec_sum(sums.of[0]);
}

static inline void add_products(const float *a, const float *b, struct sums *sums)
{
	AUR_UNROLL
	for (int r = 0; r < REGISTERS; r++)
		sums->of[r] = aur_vec_multiply_add(*(const aur_vec_loose *)(const void *)(a + r * AUR_LANES),
			*(const aur_vec_loose *)(const void *)(b + r * AUR_LANES), sums->of[r]);
}

/* The last numbers of a row, filled up with zeros. */
static void padded(const float *row, int64_t n, float *to)
{
	memset(to, 0, LANES * sizeof *to);
	memcpy(to, row, (size_t)n * sizeof *to);
}

/* out[i] = a . b[i] for `count` <= GROUP rows b[i]. */
static void multiply_group(const float *a, const float *b, int64_t pitch, int64_t k, int64_t count, float *out)
{
	struct sums sums[GROUP] = {0};
	const int64_t whole = k / LANES * LANES;
	if (count == GROUP)
		for (int64_t l = 0; l < whole; l += LANES) {
			AUR_UNROLL
			for (int i = 0; i < GROUP; i++)
				add_products(a + l, b + i * pitch + l, &sums[i]);
		}
	else
		for (int64_t i = 0; i < count; i++)
			for (int64_t l = 0; l < whole; l += LANES)
				add_products(a + l, b + i * pitch + l, &sums[i]);
	if (whole < k) {
		float left_a[LANES], left_b[LANES];
		padded(a + whole, k - whole, left_a);
		for (int64_t i = 0; i < count; i++) {
			padded(b + i * pitch + whole, k - whole, left_b);
			add_products(left_a, left_b, &sums[i]);
		}
	}
	for (int64_t i = 0; i < count; i++)
		out[i] = total_of(sums[i]);
}

/* Columns [begin, end) of C. A group of rows of B serves every row of A while it is in the first-level cache. */
static void multiply_columns(const struct aur_gemm *p, int64_t begin, int64_t end)
{
	const float *a = p->a, *b = p->b;
	for (int64_t j = begin; j < end; j += GROUP) {
		const int64_t count = end - j < GROUP ? end - j : GROUP;
		for (int64_t i = 0; i < p->m; i++) {
			float out[GROUP];
			float *c = (float *)p->c + i * p->ldc + j;
			multiply_group(a + i * p->lda, b + j * p->ldb, p->ldb, p->k, count, out);
			for (int64_t g = 0; g < count; g++)
				c[g] = p->alpha * out[g] + (p->bias ? p->bias[j + g] : 0.0f);
		}
	}
}

void aur_multiply_few_rows(const struct aur_gemm *p)
{
	const int64_t blocks = (p->n + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) if (blocks > 1)
	for (int64_t i = 0; i < blocks; i++)
		multiply_columns(p, i * BLOCK, (i + 1) * BLOCK < p->n ? (i + 1) * BLOCK : p->n);
}
