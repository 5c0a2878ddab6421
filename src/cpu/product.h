#ifndef AUR_CPU_PRODUCT_H
#define AUR_CPU_PRODUCT_H

#include "gemm.h"
#include "variant.h"

#include "backend/tensor.h"
#include "core/status.h"

struct aur_cpu;

/* The product on all threads, cut into a grid of blocks; with at most AUR_FEW_ROWS rows, where few_rows.h can, read
 * straight through. AUR_MEMORY: see aur_cpu_take_rooms. */
aur_status aur_cpu_multiply(struct aur_cpu *cpu, const struct aur_gemm *product);

/* sums[j] += sum over rows i of x[i, j]; x [rows, columns] fp32 or bf16. Within a column 64 rows at a time in fp32,
 * those sums in fp64. */
void aur_column_sums(const struct aur_tensor *x, float *sums);

#endif
