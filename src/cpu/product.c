#include "product.h"

#include "few_rows.h"
#include "gemm_vector.h"
#include "internal.h"
#include "vector_math.h"

#include <omp.h>

enum { LEAST_SIDE = 96, SUM_ROWS = 64, SUM_COLUMNS = 128, LEAST_SUM_COLUMNS = 32 };

/* FLOPs of a block: less is not worth a thread's while, more lets the last thread be waited for. */
static const double least_work = 4e6, most_work = 6.4e8;

struct grid {
	int64_t rows, columns; /* blocks along m and n */
};

/* Blocks do not change the bits (gemm.h), so there may be as many as keep all threads busy to the end: the longer side
 * is halved until each thread has two and none is large. Short sides pack operands too often for what they multiply. */
static struct grid grid_of(int64_t m, int64_t n, int64_t k)
{
	const int64_t threads = omp_get_max_threads();
	const double work = 2.0 * (double)m * (double)n * (double)k;
	struct grid grid = {1, (n + AUR_GEMM_WIDTH - 1) / AUR_GEMM_WIDTH};
	if (threads == 1)
		return (struct grid){1, 1};
	for (;;) {
		const int64_t blocks = grid.rows * grid.columns;
		const int64_t height = m / grid.rows, width = n / grid.columns;
		const double share = work / (double)blocks;
		if (share < 2.0 * least_work || (blocks >= 2 * threads && (share < most_work || blocks >= 4 * threads)))
			break;
		if ((height > width ? height : width) < 2 * LEAST_SIDE)
			break;
		if (height > width)
			grid.rows *= 2;
		else
			grid.columns *= 2;
	}
	return grid;
}

static const void *moved(const void *data, enum aur_dtype type, int64_t elements)
{
	return (const char *)data + elements * (int64_t)aur_dtype_bytes(type);
}

static void multiply_block(const struct aur_gemm *p, struct aur_span rows, struct aur_span columns, void *room)
{
	struct aur_gemm block = *p;
	block.m = rows.end - rows.begin;
	block.n = columns.end - columns.begin;
	block.a = moved(p->a, p->type, p->transpose_a ? rows.begin : rows.begin * p->lda);
	block.b = moved(p->b, p->type, p->transpose_b ? columns.begin * p->ldb : columns.begin);
	block.c = (char *)p->c + (rows.begin * p->ldc + columns.begin) * (int64_t)aur_dtype_bytes(p->c_type);
	block.bias = p->bias ? p->bias + columns.begin : NULL;
	aur_gemm(&block, room);
}

aur_status aur_cpu_multiply(struct aur_cpu *cpu, const struct aur_gemm *product)
{
	const struct grid grid = grid_of(product->m, product->n, product->k);
	const int64_t blocks = grid.rows * grid.columns;
	if (aur_has_few_rows(product)) {
		aur_multiply_few_rows(product);
		return AUR_OK;
	}
	AUR_TRY(aur_cpu_take_rooms(cpu));
#pragma omp parallel for schedule(dynamic, 1) if (blocks > 1)
	for (int64_t i = 0; i < blocks; i++)
		multiply_block(product, aur_span_of(product->m, AUR_PANEL_ROWS, grid.rows, i % grid.rows),
			aur_span_of(product->n, AUR_PANEL_COLUMNS, grid.columns, i / grid.rows), aur_cpu_room(cpu));
	return AUR_OK;
}

static void add_row(const void *x, enum aur_dtype type, int64_t at, int64_t width, float *sums)
{
	const float *floats = (const float *)x + at;
	const uint16_t *halves = (const uint16_t *)x + at;
	if (type == AUR_F32)
#pragma omp simd
		for (int64_t j = 0; j < width; j++)
			sums[j] += floats[j];
	else
#pragma omp simd
		for (int64_t j = 0; j < width; j++)
			sums[j] += aur_float_of((uint32_t)halves[j] << 16);
}

/* Columns [begin, begin + width). */
static void sum_columns(const struct aur_tensor *x, int64_t begin, int64_t width, float *sums)
{
	const int64_t rows = aur_rows(x), pitch = x->dims > 1 ? x->stride[x->dims - 2] : aur_columns(x);
	double total[SUM_COLUMNS] = {0.0};
	for (int64_t first = 0; first < rows; first += SUM_ROWS) {
		const int64_t end = first + SUM_ROWS < rows ? first + SUM_ROWS : rows;
		float part[SUM_COLUMNS] = {0.0f};
		for (int64_t i = first; i < end; i++)
			add_row(x->data, x->dtype, i * pitch + begin, width, part);
		for (int64_t j = 0; j < width; j++)
			total[j] += (double)part[j];
	}
	for (int64_t j = 0; j < width; j++)
		sums[begin + j] = (float)((double)sums[begin + j] + total[j]);
}

void aur_column_sums(const struct aur_tensor *x, float *sums)
{
	const int64_t columns = aur_columns(x);
	const int64_t strip = columns >= 8 * SUM_COLUMNS ? SUM_COLUMNS : LEAST_SUM_COLUMNS;
	const int64_t strips = (columns + strip - 1) / strip;
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < strips; i++) {
		const int64_t begin = i * strip, left = columns - begin;
		sum_columns(x, begin, left < strip ? left : strip, sums);
	}
}
