#include "product.h"

#include "few_rows.h"
#include "gemm_vector.h"
#include "internal.h"
#include "vector_math.h"

#include <omp.h>

enum { LEAST_SIDE = 96, MOST_ROUNDS = 4, SUM_ROWS = 64, SUM_COLUMNS = 128, LEAST_SUM_COLUMNS = 32 };

/* FLOPs of a block: less is not worth a thread's while. */
static const double least_work = 4e6;

/* What a block's packing and its ends cost, as rows and columns that are multiplied in the same time, and what waiting
 * for the last thread costs, as a share of a block. Measured on two cores; blocks of neighbouring columns, which two
 * threads write side by side in the same rows, cost more than packing alone. */
static const double packing = 16, waiting = 0.02;

struct grid {
	int64_t rows, columns; /* blocks along m and n */
};

/* Time of all blocks over that of the multiplications shared perfectly. */
static double grid_cost(struct grid grid, int64_t m, int64_t n, int64_t threads)
{
	const int64_t blocks = grid.rows * grid.columns, rounds = (blocks + threads - 1) / threads;
	const double height = (double)m / (double)grid.rows, width = (double)n / (double)grid.columns;
	const double balance = (double)(rounds * threads) / (double)blocks;
	return balance * (1 + packing / height + packing / width + waiting / (double)rounds);
}

/* Whether `parts` of `size` are not too small a side; a side that is not cut may be. */
static int may_cut(int64_t size, int64_t parts)
{
	return parts == 1 || size / parts >= LEAST_SIDE;
}

/* Blocks do not change the bits (gemm.h), so they are cut as is fastest: few, since each packs its operands by itself,
 * and as many as keep all threads busy to the end. */
static struct grid grid_of(int64_t m, int64_t n, int64_t k)
{
	const int64_t threads = omp_get_max_threads();
	const double work = 2.0 * (double)m * (double)n * (double)k;
	const int64_t worth = (int64_t)(work / least_work);
	const int64_t most = MOST_ROUNDS * threads < worth ? MOST_ROUNDS * threads : worth;
	struct grid best = {1, 1};
	if (threads == 1)
		return best;
	double least = grid_cost(best, m, n, threads);
	for (int64_t rows = 1; rows <= most && may_cut(m, rows); rows++)
		for (int64_t columns = 1; rows * columns <= most && may_cut(n, columns); columns++) {
			const struct grid grid = {rows, columns};
			const double cost = grid_cost(grid, m, n, threads);
			if (cost < least) {
				least = cost;
				best = grid;
			}
		}
	return best;
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
