#include "product.h"

#include "internal.h"

enum { UNIT = 16, MOST_BLOCKS = 64, LEAST_SIDE = 192, SUM_ROWS = 64, SUM_COLUMNS = 128, LEAST_SUM_COLUMNS = 32 };

struct grid {
	int64_t rows, columns; /* blocks along m and n */
};

/* Products under a million operations are not worth a second thread; beyond, one block is about 64 million. */
static double blocks_wanted(int64_t m, int64_t n, int64_t k)
{
	const double work = 2.0 * (double)m * (double)n * (double)k;
	const double blocks = work / 6.4e7;
	return work < 1e6 ? 1.0 : blocks < 2.0 ? 2.0 : blocks;
}

/* Halves the longer side of the blocks until there are enough for the work. Each call packs its operands anew, which
 * small sides do not earn back: cut into four or more, a side stays at LEAST_SIDE (measured: sides of 96 cost 5 to 25%,
 * and cutting both sides of a long product up to 40%). */
static struct grid grid_of(int64_t m, int64_t n, int64_t k)
{
	const double wanted = blocks_wanted(m, n, k);
	struct grid grid = {1, 1};
	while ((double)(grid.rows * grid.columns) < wanted && grid.rows * grid.columns < MOST_BLOCKS) {
		const int64_t height = m / grid.rows;
		const int64_t width = n / grid.columns;
		const int64_t longer = height >= width ? height : width;
		if (longer < 2 * (grid.rows * grid.columns == 1 ? UNIT : LEAST_SIDE))
			break;
		if (height >= width)
			grid.rows *= 2;
		else
			grid.columns *= 2;
	}
	return grid;
}

static void add_bias(float *c, int64_t ldc, int64_t rows, int64_t columns, const float *bias)
{
	for (int64_t i = 0; i < rows; i++) {
		float *row = c + i * ldc;
#pragma omp simd
		for (int64_t j = 0; j < columns; j++)
			row[j] += bias[j];
	}
}

static void multiply_block(const struct aur_gemm *p, struct aur_span rows, struct aur_span columns, const float *bias)
{
	struct aur_gemm block = *p;
	block.m = rows.end - rows.begin;
	block.n = columns.end - columns.begin;
	if (block.m == 0 || block.n == 0)
		return;
	block.a += p->transpose_a ? rows.begin : rows.begin * p->lda;
	block.b += p->transpose_b ? columns.begin * p->ldb : columns.begin;
	block.c += rows.begin * p->ldc + columns.begin;
	aur_gemm(&block);
	if (bias)
		add_bias(block.c, block.ldc, block.m, block.n, bias + columns.begin);
}

void aur_cpu_product_blocks(const struct aur_gemm *product, const float *bias)
{
	const struct grid grid = grid_of(product->m, product->n, product->k);
	const int64_t blocks = grid.rows * grid.columns;
#pragma omp parallel for schedule(dynamic, 1)
	for (int64_t i = 0; i < blocks; i++)
		multiply_block(product, aur_span_of(product->m, UNIT, grid.rows, i / grid.columns),
			aur_span_of(product->n, UNIT, grid.columns, i % grid.columns), bias);
}

static void sum_columns(const float *x, int64_t rows, int64_t pitch, int64_t width, float *sums)
{
	double total[SUM_COLUMNS] = {0.0};
	for (int64_t begin = 0; begin < rows; begin += SUM_ROWS) {
		const int64_t end = begin + SUM_ROWS < rows ? begin + SUM_ROWS : rows;
		float part[SUM_COLUMNS] = {0.0f};
		for (int64_t i = begin; i < end; i++)
#pragma omp simd
			for (int64_t j = 0; j < width; j++)
				part[j] += x[i * pitch + j];
		for (int64_t j = 0; j < width; j++)
			total[j] += (double)part[j];
	}
	for (int64_t j = 0; j < width; j++)
		sums[j] = (float)((double)sums[j] + total[j]);
}

void aur_column_sums(const float *x, int64_t rows, int64_t columns, float *sums)
{
	const int64_t width = columns >= 8 * SUM_COLUMNS ? SUM_COLUMNS : LEAST_SUM_COLUMNS;
	const int64_t strips = (columns + width - 1) / width;
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < strips; i++) {
		const int64_t begin = i * width;
		const int64_t end = begin + width < columns ? begin + width : columns;
		sum_columns(x + begin, rows, columns, end - begin, sums + begin);
	}
}
