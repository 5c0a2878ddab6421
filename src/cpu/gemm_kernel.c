#include "gemm_kernel.h"

static inline __attribute__((always_inline)) aur_vec add_product(int pairs, aur_vec a, aur_vec b, aur_vec sum)
{
#if AUR_HAS_BF16_PRODUCT
	if (pairs)
		return aur_vec_multiply_add_pairs(a, b, sum);
#endif
	(void)pairs;
	return aur_vec_multiply_add(a, b, sum);
}

static inline __attribute__((always_inline)) const float *bytes_on(const float *from, int64_t bytes)
{
	return (const float *)(const void *)((const char *)from + bytes);
}

/* B comes from the second-level cache. Where a step takes two lines of it (AVX-512), they are asked for four steps
 * ahead: 138 GFLOP/s instead of 133 on a Xeon's core. Where a step is one line of fewer multiplications, asking costs
 * more. */
static inline __attribute__((always_inline)) void fetch_step(const int width, const float *ahead)
{
	enum { LINE = 64 / sizeof(float) };
	if (width * AUR_LANES < 2 * LINE)
		return;
	__builtin_prefetch(ahead);
	__builtin_prefetch(ahead + LINE);
}

/* The numbers of a step of A. In place, every row is one of five pointers and 0, 1, 2, 4 or 8 pitches, which is an
 * address of x86: a pointer a row would not leave registers for the rest. */
enum { POINTERS = 5, POINTER_ROWS = 3 };

struct numbers {
	const float *at[POINTERS];
	int64_t pitch; /* of rows, in bytes */
};

static inline __attribute__((always_inline)) float number_of(
	const enum aur_a_layout layout, const struct numbers *a, const int row, const int step)
{
	static const signed char pointer_of[16] = {0, 0, 0, 1, 0, 1, 2, 1, 0, 3, 2, 3, 4, 4, 2, 4};
	if (layout == AUR_A_BY_STEPS)
		return a->at[0][step * AUR_GEMM_MOST_ROWS + row];
	if (layout == AUR_A_BY_ROWS)
		return a->at[0][row * AUR_GEMM_DEPTH + step];
	const int pointer = pointer_of[row];
	return bytes_on(a->at[pointer], (row - POINTER_ROWS * pointer) * a->pitch)[step];
}

static inline __attribute__((always_inline)) int pointers_of(const enum aur_a_layout layout, const int rows)
{
	return layout == AUR_A_IN_PLACE ? (rows + POINTER_ROWS - 1) / POINTER_ROWS : 1;
}

static inline __attribute__((always_inline)) void advance(
	const enum aur_a_layout layout, struct numbers *a, const int rows, const int steps)
{
	if (layout == AUR_A_BY_STEPS) {
		a->at[0] += steps * AUR_GEMM_MOST_ROWS;
		return;
	}
	const int pointers = pointers_of(layout, rows);
	AUR_UNROLL
	for (int i = 0; i < pointers; i++)
		a->at[i] += steps;
}

static inline __attribute__((always_inline)) void multiply_step(const int pairs, const enum aur_a_layout layout,
	const int rows, const int width, const struct numbers *a, const int step, const float *b,
	aur_vec sums[AUR_PANEL_ROWS][2])
{
	aur_vec row[2];
	AUR_UNROLL
	for (int j = 0; j < width; j++)
		row[j] = *(const aur_vec_loose *)(const void *)(b + j * AUR_LANES);
	AUR_UNROLL
	for (int i = 0; i < rows; i++) {
		const aur_vec number = aur_vec_of(number_of(layout, a, i, step));
		AUR_UNROLL
		for (int j = 0; j < width; j++)
			sums[i][j] = add_product(pairs, number, row[j], sums[i][j]);
	}
}

/* All sums are still in registers: what is asked for once for all of them is not asked for each. */
static inline __attribute__((always_inline)) void finish_tile(
	const int rows, const int width, const struct aur_tile *tile, aur_vec sums[AUR_PANEL_ROWS][2])
{
	const aur_vec alpha = aur_vec_of(tile->alpha);
	float *const out = tile->out;
	AUR_UNROLL
	for (int i = 0; i < rows; i++) {
		AUR_UNROLL
		for (int j = 0; j < width; j++)
			sums[i][j] *= alpha;
	}
	if (tile->add) {
		AUR_UNROLL
		for (int i = 0; i < rows; i++) {
			AUR_UNROLL
			for (int j = 0; j < width; j++)
				sums[i][j] += *(const aur_vec_loose *)(const void *)(out + i * tile->pitch + j * AUR_LANES);
		}
	}
	if (tile->bias) {
		AUR_UNROLL
		for (int i = 0; i < rows; i++) {
			AUR_UNROLL
			for (int j = 0; j < width; j++)
				sums[i][j] += *(const aur_vec_loose *)(const void *)(tile->bias + j * AUR_LANES);
		}
	}
	AUR_UNROLL
	for (int i = 0; i < rows; i++) {
		AUR_UNROLL
		for (int j = 0; j < width; j++)
			*(aur_vec_loose *)(void *)(out + i * tile->pitch + j * AUR_LANES) = sums[i][j];
	}
}

/* Inlined with constants for everything but the tile. */
static inline __attribute__((always_inline)) void multiply_tile(
	const int pairs, const enum aur_a_layout layout, const int rows, const int width, const struct aur_tile *tile)
{
	enum { AHEAD = 4 };
	const int64_t b_pitch = tile->b_pitch * (int64_t)sizeof(float);
	const float *b = tile->b;
	struct numbers a = {.pitch = tile->a_pitch * (int64_t)sizeof(float)};
	aur_vec sums[AUR_PANEL_ROWS][2];
	AUR_UNROLL
	for (int i = 0; i < pointers_of(layout, rows); i++)
		a.at[i] = tile->a + i * POINTER_ROWS * tile->a_pitch;
	AUR_UNROLL
	for (int i = 0; i < rows; i++) {
		AUR_UNROLL
		for (int j = 0; j < width; j++)
			sums[i][j] = (aur_vec){0};
	}
	/* C is fetched while the sums are made. */
	AUR_UNROLL
	for (int i = 0; i < rows; i++) {
		__builtin_prefetch(tile->out + i * tile->pitch, 1);
		if (width == 2)
			__builtin_prefetch(tile->out + i * tile->pitch + 2 * AUR_LANES - 1, 1);
	}
	int64_t left = tile->steps;
	/* In place two steps at a time, so that the five pointers move half as often. */
	for (; layout == AUR_A_IN_PLACE && left >= 2; left -= 2) {
		fetch_step(width, bytes_on(b, AHEAD * b_pitch));
		multiply_step(pairs, layout, rows, width, &a, 0, b, sums);
		b = bytes_on(b, b_pitch);
		fetch_step(width, bytes_on(b, AHEAD * b_pitch));
		multiply_step(pairs, layout, rows, width, &a, 1, b, sums);
		b = bytes_on(b, b_pitch);
		advance(layout, &a, rows, 2);
	}
	for (; left > 0; left--) {
		fetch_step(width, bytes_on(b, AHEAD * b_pitch));
		multiply_step(pairs, layout, rows, width, &a, 0, b, sums);
		b = bytes_on(b, b_pitch);
		advance(layout, &a, rows, 1);
	}
	finish_tile(rows, width, tile, sums);
}

/* Kernels for 2, 4, ... rows. X(rows) */
#if defined(__AVX512F__)
#define AUR_HEIGHTS(X) X(2) X(4) X(6) X(8) X(10) X(12) X(14)
#elif defined(__aarch64__)
#define AUR_HEIGHTS(X) X(2) X(4) X(6) X(8) X(10) X(12)
#else
#define AUR_HEIGHTS(X) X(2) X(4) X(6)
#endif

#define AUR_KERNEL(pairs, layout, name, rows, width)                                                                   \
	static void kernel_##name##_##rows##_##width(const struct aur_tile *tile)                                          \
	{                                                                                                                  \
		multiply_tile(pairs, layout, rows, width, tile);                                                               \
	}

#define AUR_FLOATS_BY_ROWS(rows)                                                                                       \
	AUR_KERNEL(0, AUR_A_BY_ROWS, floats_by_rows, rows, 1) AUR_KERNEL(0, AUR_A_BY_ROWS, floats_by_rows, rows, 2)
#define AUR_FLOATS_BY_STEPS(rows)                                                                                      \
	AUR_KERNEL(0, AUR_A_BY_STEPS, floats_by_steps, rows, 1) AUR_KERNEL(0, AUR_A_BY_STEPS, floats_by_steps, rows, 2)
#define AUR_FLOATS_IN_PLACE(rows)                                                                                      \
	AUR_KERNEL(0, AUR_A_IN_PLACE, floats_in_place, rows, 1) AUR_KERNEL(0, AUR_A_IN_PLACE, floats_in_place, rows, 2)
AUR_HEIGHTS(AUR_FLOATS_BY_ROWS)
AUR_HEIGHTS(AUR_FLOATS_BY_STEPS)
AUR_HEIGHTS(AUR_FLOATS_IN_PLACE)

#define AUR_ROW_FLOATS_BY_ROWS_1(rows) kernel_floats_by_rows_##rows##_1,
#define AUR_ROW_FLOATS_BY_ROWS_2(rows) kernel_floats_by_rows_##rows##_2,
#define AUR_ROW_FLOATS_BY_STEPS_1(rows) kernel_floats_by_steps_##rows##_1,
#define AUR_ROW_FLOATS_BY_STEPS_2(rows) kernel_floats_by_steps_##rows##_2,
#define AUR_ROW_FLOATS_IN_PLACE_1(rows) kernel_floats_in_place_##rows##_1,
#define AUR_ROW_FLOATS_IN_PLACE_2(rows) kernel_floats_in_place_##rows##_2,

#if AUR_HAS_BF16_PRODUCT

#define AUR_PAIRS_BY_ROWS(rows)                                                                                        \
	AUR_KERNEL(1, AUR_A_BY_ROWS, pairs_by_rows, rows, 1) AUR_KERNEL(1, AUR_A_BY_ROWS, pairs_by_rows, rows, 2)
#define AUR_PAIRS_BY_STEPS(rows)                                                                                       \
	AUR_KERNEL(1, AUR_A_BY_STEPS, pairs_by_steps, rows, 1) AUR_KERNEL(1, AUR_A_BY_STEPS, pairs_by_steps, rows, 2)
AUR_HEIGHTS(AUR_PAIRS_BY_ROWS)
AUR_HEIGHTS(AUR_PAIRS_BY_STEPS)

#define AUR_ROW_PAIRS_BY_ROWS_1(rows) kernel_pairs_by_rows_##rows##_1,
#define AUR_ROW_PAIRS_BY_ROWS_2(rows) kernel_pairs_by_rows_##rows##_2,
#define AUR_ROW_PAIRS_BY_STEPS_1(rows) kernel_pairs_by_steps_##rows##_1,
#define AUR_ROW_PAIRS_BY_STEPS_2(rows) kernel_pairs_by_steps_##rows##_2,

#endif

/* [pairs][layout][registers - 1][(rows - 1) / 2] */
static const aur_kernel kernels[1 + AUR_HAS_BF16_PRODUCT][3][2][AUR_PANEL_ROWS / 2] = {
	{
		[AUR_A_BY_ROWS] = {{AUR_HEIGHTS(AUR_ROW_FLOATS_BY_ROWS_1)}, {AUR_HEIGHTS(AUR_ROW_FLOATS_BY_ROWS_2)}},
		[AUR_A_BY_STEPS] = {{AUR_HEIGHTS(AUR_ROW_FLOATS_BY_STEPS_1)}, {AUR_HEIGHTS(AUR_ROW_FLOATS_BY_STEPS_2)}},
		[AUR_A_IN_PLACE] = {{AUR_HEIGHTS(AUR_ROW_FLOATS_IN_PLACE_1)}, {AUR_HEIGHTS(AUR_ROW_FLOATS_IN_PLACE_2)}},
	},
#if AUR_HAS_BF16_PRODUCT
	{
		[AUR_A_BY_ROWS] = {{AUR_HEIGHTS(AUR_ROW_PAIRS_BY_ROWS_1)}, {AUR_HEIGHTS(AUR_ROW_PAIRS_BY_ROWS_2)}},
		[AUR_A_BY_STEPS] = {{AUR_HEIGHTS(AUR_ROW_PAIRS_BY_STEPS_1)}, {AUR_HEIGHTS(AUR_ROW_PAIRS_BY_STEPS_2)}},
	},
#endif
};

aur_kernel aur_gemm_kernel_of(int pairs, enum aur_a_layout layout, int64_t rows, int width)
{
	return kernels[pairs][layout][width - 1][(rows - 1) / 2];
}
