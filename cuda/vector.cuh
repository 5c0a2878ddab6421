#ifndef AUR_CUDA_VECTOR_CUH
#define AUR_CUDA_VECTOR_CUH

/* Eight neighbouring elements at a time, fp32 or bf16 in memory and fp32 in registers: one access of 16 bytes for bf16,
 * two for fp32. Where a width does not divide by eight or an address is not a multiple of 16 (`wide` is false), and at
 * the end of an array (fewer than eight are left), the elements are read and written one by one: slower, equal bits. */

#include "launch.cuh"

#include <string.h>

enum { AUR_VECTOR = 8 };

/* Eight elements as they lie in memory: 16 bytes of bf16, 32 of fp32. */
template <class T> struct alignas(16) aur_eight {
	uint32_t word[AUR_VECTOR * sizeof(T) / sizeof(uint32_t)];
};

AUR_DEVICE float aur_float_of_bits(uint32_t bits)
{
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

AUR_DEVICE uint32_t aur_bits_of_float(float x)
{
	uint32_t bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

AUR_DEVICE float aur_widen(float x)
{
	return x;
}

AUR_DEVICE float aur_widen(__nv_bfloat16 x)
{
	return __bfloat162float(x);
}

/* Rounds to nearest, ties to even. */
template <class T> AUR_DEVICE T aur_narrow(float x);

template <> AUR_DEVICE float aur_narrow<float>(float x)
{
	return x;
}

template <> AUR_DEVICE __nv_bfloat16 aur_narrow<__nv_bfloat16>(float x)
{
	return __float2bfloat16_rn(x);
}

AUR_DEVICE void aur_widen8(const aur_eight<float> &eight, float (&x)[AUR_VECTOR])
{
	for (int i = 0; i < AUR_VECTOR; i++)
		x[i] = aur_float_of_bits(eight.word[i]);
}

AUR_DEVICE void aur_widen8(const aur_eight<__nv_bfloat16> &eight, float (&x)[AUR_VECTOR])
{
	for (int i = 0; i < AUR_VECTOR / 2; i++) {
		x[2 * i] = aur_float_of_bits(eight.word[i] << 16);
		x[2 * i + 1] = aur_float_of_bits(eight.word[i] & 0xffff0000u);
	}
}

AUR_DEVICE void aur_narrow8(const float (&x)[AUR_VECTOR], aur_eight<float> &eight)
{
	for (int i = 0; i < AUR_VECTOR; i++)
		eight.word[i] = aur_bits_of_float(x[i]);
}

AUR_DEVICE void aur_narrow8(const float (&x)[AUR_VECTOR], aur_eight<__nv_bfloat16> &eight)
{
	for (int i = 0; i < AUR_VECTOR / 2; i++) {
		const __nv_bfloat162 pair = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
		memcpy(&eight.word[i], &pair, sizeof pair);
	}
}

/* The first n elements at `from`, at most eight; what is beyond them is 0 and not read. n may be zero or less. */
template <class T> AUR_DEVICE aur_eight<T> aur_read8(const T *from, int64_t n, bool wide)
{
	if (wide && n >= AUR_VECTOR)
		return *reinterpret_cast<const aur_eight<T> *>(from);
	float x[AUR_VECTOR];
	for (int i = 0; i < AUR_VECTOR; i++)
		x[i] = i < n ? aur_widen(from[i]) : 0.0f;
	aur_eight<T> eight;
	aur_narrow8(x, eight);
	return eight;
}

/* The same in fp32. */
template <class T> AUR_DEVICE void aur_load8(const T *from, int64_t n, bool wide, float (&x)[AUR_VECTOR])
{
	aur_widen8(aur_read8(from, n, wide), x);
}

/* Eight elements at an address that is a multiple of 16. */
template <class T> AUR_DEVICE void aur_load8(const T *from, float (&x)[AUR_VECTOR])
{
	aur_widen8(*reinterpret_cast<const aur_eight<T> *>(from), x);
}

template <class T> AUR_DEVICE void aur_store8(T *to, const float (&x)[AUR_VECTOR])
{
	aur_eight<T> eight;
	aur_narrow8(x, eight);
	*reinterpret_cast<aur_eight<T> *>(to) = eight;
}

/* Writes the first n of eight elements. */
template <class T> AUR_DEVICE void aur_store8(T *to, int64_t n, bool wide, const float (&x)[AUR_VECTOR])
{
	if (wide && n >= AUR_VECTOR) {
		aur_store8(to, x);
		return;
	}
	for (int i = 0; i < AUR_VECTOR; i++)
		if (i < n)
			to[i] = aur_narrow<T>(x[i]);
}

/* Host: 1 when every address is a multiple of 16; NULL is one. */
template <class... P> static inline bool aur_all_aligned(const P *...pointers)
{
	return ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

/* Host: blocks for `work` items, `per_block` each. Kernels loop over what one grid does not cover. */
static inline unsigned aur_blocks_for(int64_t work, int64_t per_block)
{
	const int64_t most = 1 << 30;
	const int64_t blocks = (work + per_block - 1) / per_block;
	return static_cast<unsigned>(blocks < most ? blocks : most);
}

#endif
