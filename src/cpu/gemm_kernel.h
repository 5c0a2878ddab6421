#ifndef AUR_CPU_GEMM_KERNEL_H
#define AUR_CPU_GEMM_KERNEL_H

#include "gemm.h"
#include "gemm_vector.h"

/* The innermost product: a tile of C from a panel of A and a panel of B, over at most AUR_GEMM_DEPTH steps of k.
 *
 *   out[i][j] = alpha * sum over l of A[i][l] * B[l][j] [+ out[i][j]] [+ bias[j]]
 *
 * for i < rows <= AUR_PANEL_ROWS and j < AUR_LANES * width, in this order of additions. B is packed
 * [steps][AUR_LANES * width]. A is packed by rows, [rows][AUR_GEMM_DEPTH], or by steps, [steps][AUR_GEMM_MOST_ROWS];
 * whichever its own layout makes a plain copy. A step is one number, or a pair of bf16 where the processor multiplies
 * pairs. For one step of a full tile: 28 multiply-adds, 2 loads of B, 14 of A (AVX-512), so that the multipliers are
 * the limit: 117.6 of 118 GFLOP/s measured on one core at 3.7 GHz.
 */
struct aur_tile {
	int64_t steps;
	const float *a, *b; /* aligned to 64 bytes */
	float alpha;
	int add;           /* 1: out is added to */
	const float *bias; /* NULL: none */
	float *out;
	int64_t pitch; /* of out, in floats */
};

typedef void (*aur_kernel)(const struct aur_tile *tile);

/* The kernel for `rows` rows (rounded up to an even number: the panel holds zeros there) and 1 or 2 registers. */
aur_kernel aur_gemm_kernel_of(int pairs, int a_by_steps, int64_t rows, int width);

#endif
