#ifndef AUR_CPU_FEW_ROWS_H
#define AUR_CPU_FEW_ROWS_H

#include "gemm.h"

/* Products of so few rows that reading B once is all the work: one new token against every weight.
 *
 *   C = A B^T + bias      A [m,k], B [n,k], C [m,n], m <= AUR_FEW_ROWS, all fp32
 *
 * B is read where it lies, 4 bytes a multiply-add and row of A; nothing is packed. Each element is 16 sums over every
 * sixteenth step of k, added pairwise: other bits than aur_gemm's, which is why the choice between the two is made by
 * the shape alone. */
enum { AUR_FEW_ROWS = 4 };

/* 1 when this product is one of them. */
int aur_has_few_rows(const struct aur_gemm *product);

/* On all threads. */
void aur_multiply_few_rows(const struct aur_gemm *product);

#endif
