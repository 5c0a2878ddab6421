#ifndef AUR_CUDA_MATH_CUH
#define AUR_CUDA_MATH_CUH

/* The device's fast functions, of one or two instructions each, and what stands for them on the host. */

#include "launch.cuh"

#include <math.h>

/* 2^x within 2 ulp; results below the smallest normal number are 0. NaN stays NaN. */
AUR_ON_DEVICE float aur_exp2(float x)
{
#ifdef AURELIUS_EMULATED
	return x < -126.0f ? 0.0f : exp2f(x);
#else
	float y;
	asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
	return y;
#endif
}

/* e^x, within (2 + |x|) ulp. */
AUR_ON_DEVICE float aur_exp(float x)
{
	return aur_exp2(x * 1.44269504f);
}

/* a / b within 2 ulp, for |b| in [2^-126, 2^126]. */
AUR_ON_DEVICE float aur_divide(float a, float b)
{
#ifdef AURELIUS_EMULATED
	return a / b;
#else
	return __fdividef(a, b);
#endif
}

#endif
