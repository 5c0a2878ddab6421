#ifndef AUR_CUDA_RESIDUAL_NORM_CUH
#define AUR_CUDA_RESIDUAL_NORM_CUH

/* What the forward and the backward pass of the normalisation share. */

#include "internal.cuh"

/* Columns up to which a row is held in the registers of one block, eight columns a thread. Wider rows are read from
 * memory as often as they are needed. */
enum { AUR_NORM_SMALL = 128, AUR_NORM_LARGE = 512, AUR_NORM_HELD = 8 * AUR_NORM_LARGE };

/* Threads of a block that holds a row of so many columns. */
static inline int aur_norm_threads(int64_t columns)
{
	return static_cast<int>((columns + 8 * 32 - 1) / (8 * 32) * 32);
}

#endif
