#ifndef AUR_CPU_ATTENTION_VECTOR_H
#define AUR_CPU_ATTENTION_VECTOR_H

/* Softmax on one register at a time. Rows begin at multiples of 64 bytes. */

#include "gemm_vector.h"

#include <stdint.h>

#if defined __SSE2__
#include <immintrin.h>
#endif

typedef uint32_t aur_vec_bits __attribute__((vector_size(4 * AUR_LANES)));

static inline aur_vec *aur_vec_at(float *x)
{
	return (aur_vec *)(void *)x;
}

static inline const aur_vec *aur_vec_in(const float *x)
{
	return (const aur_vec *)(const void *)x;
}

/* The larger, lane by lane; b where one of them is a NaN. */
static inline aur_vec aur_vec_larger(aur_vec a, aur_vec b)
{
#if defined __AVX512F__
	return _mm512_max_ps(a, b);
#elif defined __AVX2__ && defined __FMA__
	return _mm256_max_ps(a, b);
#elif defined __SSE2__
	return _mm_max_ps(a, b);
#else
	for (int i = 0; i < AUR_LANES; i++)
		b[i] = a[i] > b[i] ? a[i] : b[i];
	return b;
#endif
}

/* aur_exp_below of each lane. */
static inline aur_vec aur_vec_exp_below(aur_vec x)
{
	const aur_vec magic = aur_vec_of(12583039.0f), log2e = aur_vec_of(1.44269504f);
	x = aur_vec_larger(aur_vec_of(-88.0f), x);
	const aur_vec shifted = aur_vec_multiply_add(x, log2e, magic);
	const aur_vec r = aur_vec_multiply_add(x, log2e, magic - shifted);
	aur_vec p = aur_vec_of(1.535575283e-04f);
	p = aur_vec_multiply_add(p, r, aur_vec_of(1.339892158e-03f));
	p = aur_vec_multiply_add(p, r, aur_vec_of(9.618428536e-03f));
	p = aur_vec_multiply_add(p, r, aur_vec_of(5.550332367e-02f));
	p = aur_vec_multiply_add(p, r, aur_vec_of(2.402264774e-01f));
	p = aur_vec_multiply_add(p, r, aur_vec_of(6.931471825e-01f));
	p = aur_vec_multiply_add(p, r, aur_vec_of(1.0f));
	return p * (aur_vec)((aur_vec_bits)shifted << 23);
}

#endif
