#ifndef AUR_CPU_VECTOR_MATH_H
#define AUR_CPU_VECTOR_MATH_H

/* Exponentials without branches, calls or tables, so that the compiler turns a loop over them into vector code
 * (gcc 12 at -O3 and clang 14 do, with -fno-math-errno -fno-trapping-math and without -ffast-math). The polynomials are
 * minimax fits by Remez's exchange for the ranges named at each. The errors stated hold for
 * all fp32 numbers with fused multiply-add, and for each seventh, tried so far, without. */

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t aur_bits_of(float x)
{
	uint32_t bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static inline float aur_float_of(uint32_t bits)
{
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

/* e^x within 1.1 ulp; results below the smallest normal number lose digits gradually and end at 0. exp(-inf) = 0,
 * exp(inf) = inf, NaN stays NaN.
 * x = n ln 2 + r with |r| <= ln(2)/2; e^r = 1 + r + r^2 p(r); the scale 2^n in two factors, so that neither overflows.
 */
static inline float aur_expf(float x)
{
	const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
	x = 89.0f < x ? 89.0f : x;
	x = -104.0f > x ? -104.0f : x;
	const float shifted = x * 1.44269504f + magic;
	const uint32_t n = aur_bits_of(shifted) - aur_bits_of(magic);
	const float whole = shifted - magic;
	const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
	float p = 1.395052310e-03f;
	p = p * r + 8.368908151e-03f;
	p = p * r + 4.166620533e-02f;
	p = p * r + 1.666651868e-01f;
	p = p * r + 5.000000095e-01f;
	p = p * (r * r) + r + 1.0f;
	const uint32_t half = (uint32_t)((int32_t)n >> 1);
	return p * aur_float_of((half + 127u) << 23) * aur_float_of((n - half + 127u) << 23);
}

/* 2^x for |x| <= 127.4, within 1e-7 of itself; 0 below -126.5. NaN stays NaN. The integer part leaves the addition as
 * the exponent's bits, ready to be shifted into their place. */
static inline float aur_exp2_within(float x)
{
	const float magic = 12583039.0f; /* 1.5 * 2^23 + 127 */
	const float shifted = x + magic;
	const float r = x - (shifted - magic);
	float p = 1.326476689e-03f;
	p = p * r + 9.671515786e-03f;
	p = p * r + 5.550733581e-02f;
	p = p * r + 2.402224243e-01f;
	p = p * r + 6.931470037e-01f;
	p = p * r + 1.0f;
	return p * aur_float_of(aur_bits_of(shifted) << 23);
}

/* e^x for x <= 0, as softmax needs it: within (1.6 + |x| / 4) ulp with fused multiply-add, 0 below -87.7. NaN stays
 * NaN. */
static inline float aur_exp_below(float x)
{
	const float magic = 12583039.0f; /* as above */
	const float log2e = 1.44269504f;
	x = -88.0f > x ? -88.0f : x;
	const float shifted = x * log2e + magic;
	const float r = x * log2e - (shifted - magic);
	float p = 1.535575283e-04f;
	p = p * r + 1.339892158e-03f;
	p = p * r + 9.618428536e-03f;
	p = p * r + 5.550332367e-02f;
	p = p * r + 2.402264774e-01f;
	p = p * r + 6.931471825e-01f;
	p = p * r + 1.0f;
	return p * aur_float_of(aur_bits_of(shifted) << 23);
}

#endif
