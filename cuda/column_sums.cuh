#ifndef AUR_CUDA_COLUMN_SUMS_CUH
#define AUR_CUDA_COLUMN_SUMS_CUH

/* The second stage of sums over rows: first += sum of the parts' columns [0, columns), second (may be NULL) += that of
 * columns [columns, 2 columns). partial [parts, pitch]. Parts are added in an order fixed by their number. Device
 * memory; asynchronous on the compute stream. */

#include "internal.cuh"

aur_status aur_cuda_add_parts(struct aur_cuda *cuda, const char *who, const float *partial, int64_t parts,
	int64_t columns, int64_t pitch, float *first, float *second);

#endif
