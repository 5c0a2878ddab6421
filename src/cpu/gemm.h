#ifndef AUR_CPU_GEMM_H
#define AUR_CPU_GEMM_H

#include <stddef.h>
#include <stdint.h>

/* The one place where the matrix library is called. */

/* C = alpha op(A) op(B) + beta C, row-major, fp32, in the calling thread alone: op(A) is [m,k], op(B) [k,n], C [m,n];
 * lda, ldb, ldc are the row pitches of A, B and C as stored. beta = 0 does not read C. Never allocates with OpenBLAS.
 * Sizes that the library's int cannot hold are multiplied by plain loops. */
struct aur_gemm {
	int transpose_a, transpose_b;
	int64_t m, n, k;
	float alpha, beta;
	const float *a;
	int64_t lda;
	const float *b;
	int64_t ldb;
	float *c;
	int64_t ldc;
};

void aur_gemm(const struct aur_gemm *product);

/* Makes the library single-threaded for each caller and lets it take its buffers. */
void aur_gemm_setup(void);

/* "OpenBLAS 0.3.21 Cooperlake": library, version and the kernels it chose for this processor. */
void aur_gemm_description(char *text, size_t bytes);

#endif
