#ifndef AUR_CUDA_ATTENTION_CACHED_CUH
#define AUR_CUDA_ATTENTION_CACHED_CUH

/* Between the two files of generation. */

#include "attention.cuh"

/* K and V of the new rows, which call.k and call.v, the caches, do not hold yet. */
struct aur_cached_rows {
	aur_attention_rows k, v;
};

enum {
	AUR_FEW_ROWS = 4,   /* new rows up to which each reads the cache by itself */
	AUR_FEW_SIZE = 256, /* of heads of at most so many numbers */
};

static inline int aur_attention_are_few(const aur_attention_call &call)
{
	return call.queries <= AUR_FEW_ROWS && call.size <= AUR_FEW_SIZE;
}

aur_status aur_attention_few_rows(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, const aur_cached_rows &rows, enum aur_dtype type);

#endif
