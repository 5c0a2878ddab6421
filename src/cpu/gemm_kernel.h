#ifndef AUR_CPU_GEMM_KERNEL_H
#define AUR_CPU_GEMM_KERNEL_H

#include "gemm.h"
#include "gemm_vector.h"

/* Where the kernel finds A. A step is one number, or a pair of bf16 where the processor multiplies pairs.
 *
 *   by rows    packed [rows][AUR_GEMM_DEPTH]
 *   by steps   packed [steps][AUR_GEMM_MOST_ROWS], where A's own rows lie across
 *   in place   as stored, rows along k, `a_pitch` apart. Floats only, and an even number of rows. Each row is read by
 *              the multiplication instead of once more before it; but rows that are a multiple of 2 KiB apart share the
 *              few places of one set of the first-level cache, and are better packed (aur_gemm_reads_in_place)
 */
enum aur_a_layout { AUR_A_BY_ROWS, AUR_A_BY_STEPS, AUR_A_IN_PLACE };

/* The innermost product: a tile of C from a panel of A and a panel of B, over at most AUR_GEMM_DEPTH steps of k.
 *
 *   out[i][j] = alpha * sum over l of A[i][l] * B[l][j] [+ out[i][j]] [+ bias[j]]
 *
 * for i < rows <= AUR_PANEL_ROWS and j < AUR_LANES * width, in this order of additions, wherever A and B lie. For one
 * step of a full tile: 28 multiply-adds, 2 loads of B, 14 of A (AVX-512), so that the multipliers are the limit: 117.6
 * of 118 GFLOP/s measured on one core at 3.7 GHz.
 */
struct aur_tile {
	int64_t steps;
	const float *a;
	const float *b;
	int64_t a_pitch; /* in floats; in place only */
	int64_t b_pitch; /* from step to step; packed: AUR_LANES * width */
	float alpha;
	int add;           /* 1: out is added to */
	const float *bias; /* NULL: none */
	float *out;
	int64_t pitch; /* of out, in floats */
};

typedef void (*aur_kernel)(const struct aur_tile *tile);

/* The kernel for `rows` rows (rounded up to an even number: the panel holds zeros there) and 1 or 2 registers. */
aur_kernel aur_gemm_kernel_of(int pairs, enum aur_a_layout layout, int64_t rows, int width);

/* Whether `rows` rows of A that lie along k, `pitch` elements apart, are best read in place. */
static inline int aur_gemm_reads_in_place(enum aur_dtype type, int64_t rows, int64_t pitch)
{
	return type == AUR_F32 && rows % 2 == 0 && pitch % 512 != 0;
}

#endif
