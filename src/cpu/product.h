#ifndef AUR_CPU_PRODUCT_H
#define AUR_CPU_PRODUCT_H

#include "gemm.h"
#include "variant.h"

/* The product cut into a grid of blocks, each one single-threaded call. The grid is a function of m, n and k alone.
 * bias (may be NULL): n numbers added to each row, while a block is still in the cache. */
void aur_cpu_product_blocks(const struct aur_gemm *product, const float *bias);

/* sums[j] += sum over rows i of x[i, j]; x [rows, columns]. Within a column 64 rows at a time in fp32, those sums in
 * fp64. */
void aur_column_sums(const float *x, int64_t rows, int64_t columns, float *sums);

#endif
