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

/* B comes from the second-level cache. Where a step takes two lines of it (AVX-512), they are asked for four steps
 * ahead: 138 GFLOP/s instead of 133 on a Xeon's core. Where a step is one line of fewer multiplications, asking costs
 * more. */
static inline __attribute__((always_inline)) void fetch_step(const int width, const float *b)
{
	enum { AHEAD = 4, LINE = 64 / sizeof(float) };
	if (width * AUR_LANES < 2 * LINE)
		return;
	__builtin_prefetch(b + AHEAD * width * AUR_LANES);
	__builtin_prefetch(b + AHEAD * width * AUR_LANES + LINE);
}

/* Inlined with constants for everything but the tile. */
static inline __attribute__((always_inline)) void multiply_tile(
	const int pairs, const int by_steps, const int rows, const int width, const struct aur_tile *tile)
{
	const int row_pitch = by_steps ? 1 : AUR_GEMM_DEPTH;
	const int step_pitch = by_steps ? AUR_GEMM_MOST_ROWS : 1;
	const float *a = tile->a;
	const float *b = tile->b;
	aur_vec sums[AUR_PANEL_ROWS][2];
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
	for (int64_t l = tile->steps; l > 0; l--) {
		aur_vec row[2];
		fetch_step(width, b);
		AUR_UNROLL
		for (int j = 0; j < width; j++)
			row[j] = *(const aur_vec *)(const void *)(b + j * AUR_LANES);
		AUR_UNROLL
		for (int i = 0; i < rows; i++) {
			const aur_vec number = aur_vec_of(a[i * row_pitch]);
			AUR_UNROLL
			for (int j = 0; j < width; j++)
				sums[i][j] = add_product(pairs, number, row[j], sums[i][j]);
		}
		a += step_pitch;
		b += width * AUR_LANES;
	}
	const aur_vec alpha = aur_vec_of(tile->alpha);
	float *out = tile->out;
	AUR_UNROLL
	for (int i = 0; i < rows; i++, out += tile->pitch) {
		AUR_UNROLL
		for (int j = 0; j < width; j++) {
			aur_vec sum = alpha * sums[i][j];
			if (tile->add)
				sum += *(const aur_vec_loose *)(const void *)(out + j * AUR_LANES);
			if (tile->bias)
				sum += *(const aur_vec_loose *)(const void *)(tile->bias + j * AUR_LANES);
			*(aur_vec_loose *)(void *)(out + j * AUR_LANES) = sum;
		}
	}
}

/* Kernels for 2, 4, ... rows. X(rows) */
#if defined(__AVX512F__)
#define AUR_HEIGHTS(X) X(2) X(4) X(6) X(8) X(10) X(12) X(14)
#elif defined(__aarch64__)
#define AUR_HEIGHTS(X) X(2) X(4) X(6) X(8) X(10) X(12)
#else
#define AUR_HEIGHTS(X) X(2) X(4) X(6)
#endif

#define AUR_KERNEL(pairs, by_steps, rows, width)                                                                       \
	static void kernel_##pairs##_##by_steps##_##rows##_##width(const struct aur_tile *tile)                            \
	{                                                                                                                  \
		multiply_tile(pairs, by_steps, rows, width, tile);                                                             \
	}

#define AUR_KERNELS_OF_FLOATS(rows)                                                                                    \
	AUR_KERNEL(0, 0, rows, 1)                                                                                          \
	AUR_KERNEL(0, 0, rows, 2)                                                                                          \
	AUR_KERNEL(0, 1, rows, 1)                                                                                          \
	AUR_KERNEL(0, 1, rows, 2)
AUR_HEIGHTS(AUR_KERNELS_OF_FLOATS)

#define AUR_ROW_0_0_1(rows) kernel_0_0_##rows##_1,
#define AUR_ROW_0_0_2(rows) kernel_0_0_##rows##_2,
#define AUR_ROW_0_1_1(rows) kernel_0_1_##rows##_1,
#define AUR_ROW_0_1_2(rows) kernel_0_1_##rows##_2,

#if AUR_HAS_BF16_PRODUCT

#define AUR_KERNELS_OF_PAIRS(rows)                                                                                     \
	AUR_KERNEL(1, 0, rows, 1)                                                                                          \
	AUR_KERNEL(1, 0, rows, 2)                                                                                          \
	AUR_KERNEL(1, 1, rows, 1)                                                                                          \
	AUR_KERNEL(1, 1, rows, 2)
AUR_HEIGHTS(AUR_KERNELS_OF_PAIRS)

#define AUR_ROW_1_0_1(rows) kernel_1_0_##rows##_1,
#define AUR_ROW_1_0_2(rows) kernel_1_0_##rows##_2,
#define AUR_ROW_1_1_1(rows) kernel_1_1_##rows##_1,
#define AUR_ROW_1_1_2(rows) kernel_1_1_##rows##_2,

#endif

/* [pairs][A by steps][registers - 1][(rows - 1) / 2] */
static const aur_kernel kernels[1 + AUR_HAS_BF16_PRODUCT][2][2][AUR_PANEL_ROWS / 2] = {
	{{{AUR_HEIGHTS(AUR_ROW_0_0_1)}, {AUR_HEIGHTS(AUR_ROW_0_0_2)}},
		{{AUR_HEIGHTS(AUR_ROW_0_1_1)}, {AUR_HEIGHTS(AUR_ROW_0_1_2)}}},
#if AUR_HAS_BF16_PRODUCT
	{{{AUR_HEIGHTS(AUR_ROW_1_0_1)}, {AUR_HEIGHTS(AUR_ROW_1_0_2)}},
		{{AUR_HEIGHTS(AUR_ROW_1_1_1)}, {AUR_HEIGHTS(AUR_ROW_1_1_2)}}},
#endif
};

aur_kernel aur_gemm_kernel_of(int pairs, int a_by_steps, int64_t rows, int width)
{
	return kernels[pairs][a_by_steps][width - 1][(rows - 1) / 2];
}
