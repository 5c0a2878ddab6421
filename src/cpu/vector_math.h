#ifndef AUR_CPU_VECTOR_MATH_H
#define AUR_CPU_VECTOR_MATH_H

/* exp, tanh and erf without branches, calls or tables, so that the compiler turns a loop over them into vector code
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

/* tanh(x) within 1.5 ulp. |x| < 0.625: x + x^3 p(x^2); beyond: 1 - 2 / (e^(2|x|) + 1). */
static inline float aur_tanhf(float x)
{
	const float size = fabsf(x);
	const float z = x * x;
	float p = -5.660789312e-03f;
	p = p * z + 2.060200822e-02f;
	p = p * z + -5.372923030e-02f;
	p = p * z + 1.333132897e-01f;
	p = p * z + -3.333327832e-01f;
	const float near = p * z * size + size;
	const float far = 1.0f - 2.0f / (aur_expf(2.0f * size) + 1.0f);
	return copysignf(size < 0.625f ? near : far, x);
}

/* erf(x) within 1.5 ulp. |x| < 1: x + x p(x^2); beyond: 1 - e^q(|x|), q a fit of ln erfc; from |x| = 4 on it is 1. */
static inline float aur_erff(float x)
{
	float size = fabsf(x);
	const float z = x * x;
	float p = 7.888763915e-05f;
	p = p * z + -8.020726625e-04f;
	p = p * z + 5.189521149e-03f;
	p = p * z + -2.685443618e-02f;
	p = p * z + 1.128359993e-01f;
	p = p * z + -3.761262711e-01f;
	p = p * z + 1.283791659e-01f;
	const float near = p * size + size;
	size = 4.0f < size ? 4.0f : size;
	float q = 1.879635163e-04f;
	q = q * size + -2.963928967e-03f;
	q = q * size + 2.190618062e-02f;
	q = q * size + -1.032556133e-01f;
	q = q * size + -6.379656445e-01f;
	q = q * size + -1.127201908e+00f;
	q = q * size + -3.125561740e-04f;
	const float far = 1.0f - aur_expf(q);
	return copysignf(size < 1.0f ? near : far, x);
}

#endif
