#ifndef AUR_CUDA_VECTOR_CUH
#define AUR_CUDA_VECTOR_CUH

/* Eight neighbouring elements at a time, fp32 or bf16 in memory and fp32 in registers: one access of 16 bytes for bf16,
 * two for fp32. Where a width does not divide by eight or an address is not a multiple of 16, and at the end of an
 * array, elements are read and written one by one: slower, equal bits.
 *
 * Which of the two it is comes as a template argument, WIDE, decided once for all arrays of a kernel: a branch at each
 * access would keep the next load waiting for this one. With it n, the elements left, is at least eight or else no
 * more than zero, which reads and writes nothing. */

#include "launch.cuh"

#include <string.h>

enum { AUR_VECTOR = 8 };

/* Before a loop whose array must stay in registers. */
#ifdef AURELIUS_EMULATED
#define AUR_UNROLL
#else
#define AUR_UNROLL _Pragma("unroll")
#endif

/* Eight elements as they lie in memory: 16 bytes of bf16, 32 of fp32. */
template <class T> struct alignas(16) aur_eight {
	uint32_t word[AUR_VECTOR * sizeof(T) / sizeof(uint32_t)];
};

AUR_ON_DEVICE float aur_float_of_bits(uint32_t bits)
{
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

AUR_ON_DEVICE uint32_t aur_bits_of_float(float x)
{
	uint32_t bits;
	memcpy(&bits, &x, sizeof bits);
	return bits;
}

/* A parameter as bf16, as core/dtype.h's aur_bf16_from_f32: the device's own rounding makes one NaN of all, here it
 * keeps sign and upper digits. */
AUR_ON_DEVICE uint32_t aur_bf16_bits(float x)
{
	const uint32_t bits = aur_bits_of_float(x);
	if ((bits & 0x7fffffffu) > 0x7f800000u)
		return bits >> 16 | 0x40u;
	return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
}

AUR_ON_DEVICE float aur_widen(float x)
{
	return x;
}

AUR_ON_DEVICE float aur_widen(__nv_bfloat16 x)
{
	return __bfloat162float(x);
}

/* Rounds to nearest, ties to even. */
template <class T> AUR_ON_DEVICE T aur_narrow(float x)
{
	if constexpr (sizeof(T) == sizeof(float))
		return x;
	else
		return __float2bfloat16_rn(x);
}

AUR_ON_DEVICE void aur_widen8(const aur_eight<float> &eight, float (&x)[AUR_VECTOR])
{
	for (int i = 0; i < AUR_VECTOR; i++)
		x[i] = aur_float_of_bits(eight.word[i]);
}

AUR_ON_DEVICE void aur_widen8(const aur_eight<__nv_bfloat16> &eight, float (&x)[AUR_VECTOR])
{
	for (int i = 0; i < AUR_VECTOR / 2; i++) {
		x[2 * i] = aur_float_of_bits(eight.word[i] << 16);
		x[2 * i + 1] = aur_float_of_bits(eight.word[i] & 0xffff0000u);
	}
}

AUR_ON_DEVICE void aur_narrow8(const float (&x)[AUR_VECTOR], aur_eight<float> &eight)
{
	for (int i = 0; i < AUR_VECTOR; i++)
		eight.word[i] = aur_bits_of_float(x[i]);
}

AUR_ON_DEVICE void aur_narrow8(const float (&x)[AUR_VECTOR], aur_eight<__nv_bfloat16> &eight)
{
	for (int i = 0; i < AUR_VECTOR / 2; i++) {
		const __nv_bfloat162 pair = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
		memcpy(&eight.word[i], &pair, sizeof pair);
	}
}

/* Puts one element where it lies in the eight. */
template <class T> AUR_ON_DEVICE void aur_put_element(aur_eight<T> &eight, int i, T element)
{
	if constexpr (sizeof(T) == sizeof(uint32_t)) {
		memcpy(&eight.word[i], &element, sizeof element);
	} else {
		uint16_t bits;
		memcpy(&bits, &element, sizeof bits);
		eight.word[i / 2] |= static_cast<uint32_t>(bits) << 16 * (i % 2);
	}
}

/* One element of the eight. */
template <class T> AUR_ON_DEVICE T aur_element_of(const aur_eight<T> &eight, int i)
{
	T element;
	if constexpr (sizeof(T) == sizeof(uint32_t)) {
		memcpy(static_cast<void *>(&element), &eight.word[i], sizeof element);
	} else {
		const uint16_t bits = static_cast<uint16_t>(eight.word[i / 2] >> 16 * (i % 2));
		memcpy(static_cast<void *>(&element), &bits, sizeof element);
	}
	return element;
}

/* The first n elements at `from`, at most eight; what is beyond them is 0 and not read. */
template <bool WIDE, class T> AUR_ON_DEVICE aur_eight<T> aur_read8(const T *from, int64_t n)
{
	aur_eight<T> eight = {};
	if constexpr (WIDE) {
		if (n > 0)
			eight = *reinterpret_cast<const aur_eight<T> *>(from);
	} else {
		for (int i = 0; i < AUR_VECTOR; i++)
			if (i < n)
				aur_put_element(eight, i, from[i]);
	}
	return eight;
}

/* Of an operand that may be absent: array == NULL gives zeros. */
template <bool WIDE, class T> AUR_ON_DEVICE aur_eight<T> aur_read8_if(const T *array, int64_t at, int64_t n)
{
	return aur_read8<WIDE>(array ? array + at : array, array ? n : 0);
}

/* What aur_read8 reads, in fp32. */
template <bool WIDE, class T> AUR_ON_DEVICE void aur_load8(const T *from, int64_t n, float (&x)[AUR_VECTOR])
{
	aur_widen8(aur_read8<WIDE>(from, n), x);
}

/* Writes the first n of eight elements, as they lie in memory. */
template <bool WIDE, class T> AUR_ON_DEVICE void aur_write8(T *to, int64_t n, const aur_eight<T> &eight)
{
	if constexpr (WIDE) {
		if (n > 0)
			*reinterpret_cast<aur_eight<T> *>(to) = eight;
	} else {
		for (int i = 0; i < AUR_VECTOR; i++)
			if (i < n)
				to[i] = aur_element_of(eight, i);
	}
}

/* The same of fp32. */
template <bool WIDE, class T> AUR_ON_DEVICE void aur_store8(T *to, int64_t n, const float (&x)[AUR_VECTOR])
{
	aur_eight<T> eight;
	aur_narrow8(x, eight);
	aur_write8<WIDE>(to, n, eight);
}

/* Eight elements at an address that is a multiple of 16. */
template <class T> AUR_ON_DEVICE void aur_load8(const T *from, float (&x)[AUR_VECTOR])
{
	aur_load8<true>(from, AUR_VECTOR, x);
}

template <class T> AUR_ON_DEVICE void aur_store8(T *to, const float (&x)[AUR_VECTOR])
{
	aur_store8<true>(to, AUR_VECTOR, x);
}

/* Where it is known at run time alone whether `from` may be read 16 bytes at a time; any n. */
template <class T> AUR_ON_DEVICE void aur_load8(const T *from, int64_t n, bool wide, float (&x)[AUR_VECTOR])
{
	if (wide && n >= AUR_VECTOR)
		aur_load8<true>(from, n, x);
	else
		aur_load8<false>(from, n, x);
}

template <class T> AUR_ON_DEVICE void aur_store8(T *to, int64_t n, bool wide, const float (&x)[AUR_VECTOR])
{
	if (wide && n >= AUR_VECTOR)
		aur_store8<true>(to, n, x);
	else
		aur_store8<false>(to, n, x);
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
