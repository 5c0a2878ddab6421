#ifndef AUR_CPU_ROWS_H
#define AUR_CPU_ROWS_H

/* Elements of activations, fp32 or bf16, for loops that are written once and compiled for both: the type is a constant
 * wherever such a loop is inlined, so that it becomes vector code without a branch. A bf16 is widened by a shift and
 * rounded to nearest even, denormal numbers and NaN included, in the same way by every instruction set: the processors'
 * own conversions take denormal numbers for zero. */

#include "internal.h"
#include "vector_math.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined __SSE2__
#include <immintrin.h>
#endif

#define AUR_INLINE static inline __attribute__((always_inline))

AUR_INLINE float aur_widen(uint16_t bits)
{
	return aur_float_of((uint32_t)bits << 16);
}

/* As aur_bf16_from_f32, without a branch. */
AUR_INLINE uint16_t aur_narrow(float x)
{
	const uint32_t bits = aur_bits_of(x);
	const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
	return (uint16_t)((x == x ? rounded : bits | 0x400000u) >> 16);
}

/* Element i of x. */
AUR_INLINE float aur_element(const void *x, int64_t i, enum aur_dtype type)
{
	return type == AUR_F32 ? ((const float *)x)[i] : aur_widen(((const uint16_t *)x)[i]);
}

/* y[i] = value. */
AUR_INLINE void aur_set_element(void *y, int64_t i, enum aur_dtype type, float value)
{
	if (type == AUR_F32)
		((float *)y)[i] = value;
	else
		((uint16_t *)y)[i] = aur_narrow(value);
}

static inline size_t aur_element_bytes(enum aur_dtype type)
{
	return type == AUR_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* Where element `first` of a tensor lies; NULL for an absent one. */
static inline void *aur_elements(const struct aur_tensor *tensor, int64_t first)
{
	return tensor->data ? (char *)tensor->data + (size_t)first * aur_element_bytes(tensor->dtype) : NULL;
}

/* A result of this many bytes is written past the caches: that spares the processor reading each line before writing
 * it. With 12 MiB, a third of the last-level cache, the activation took a tenth less and the product that read its
 * result next took no longer; with 3 MiB the norm took a third less, and a training step as long as before. */
enum { AUR_STREAM_BYTES = 2 << 20, AUR_PIECE = 1024 /* elements that a streaming loop makes at a time */ };

static inline int aur_streams(const struct aur_tensor *result)
{
	return (size_t)aur_tensor_count(result) * aur_element_bytes(result->dtype) >= AUR_STREAM_BYTES;
}

/* Asks for memory that is read soon, while something else is computed; NULL: nothing. */
static inline void aur_fetch(const void *from, size_t bytes)
{
	for (size_t i = 0; from && i < bytes; i += 64)
		__builtin_prefetch((const char *)from + i);
}

#if defined __AVX512F__
enum { AUR_STREAM_UNIT = 64 };
AUR_INLINE void aur_stream_unit(char *to, const char *from)
{
	_mm512_stream_si512((__m512i *)(void *)to, _mm512_loadu_si512(from));
}
#elif defined __AVX__
enum { AUR_STREAM_UNIT = 32 };
AUR_INLINE void aur_stream_unit(char *to, const char *from)
{
	_mm256_stream_si256((__m256i *)(void *)to, _mm256_loadu_si256((const __m256i *)(const void *)from));
}
#elif defined __SSE2__
enum { AUR_STREAM_UNIT = 16 };
AUR_INLINE void aur_stream_unit(char *to, const char *from)
{
	_mm_stream_si128((__m128i *)(void *)to, _mm_loadu_si128((const __m128i *)(const void *)from));
}
#else
enum { AUR_STREAM_UNIT = 16 };
AUR_INLINE void aur_stream_unit(char *to, const char *from)
{
	memcpy(to, from, AUR_STREAM_UNIT);
}
#endif

/* Copies past the caches. aur_stream_end() before another thread may read. `next`, unless NULL, is what will be read
 * after it, as many bytes: it is fetched meanwhile, since the processor's own prefetching rests while nothing is read.
 */
static inline void aur_stream(void *to, const void *from, size_t bytes, const void *next)
{
	const size_t before = (AUR_STREAM_UNIT - (uintptr_t)to % AUR_STREAM_UNIT) % AUR_STREAM_UNIT;
	size_t i = before < bytes ? before : bytes;
	memcpy(to, from, i);
	for (; i + AUR_STREAM_UNIT <= bytes; i += AUR_STREAM_UNIT) {
		if (next)
			__builtin_prefetch((const char *)next + i);
		aur_stream_unit((char *)to + i, (const char *)from + i);
	}
	memcpy((char *)to + i, (const char *)from + i, bytes - i);
}

static inline void aur_stream_end(void)
{
#if defined __SSE2__
	_mm_sfence();
#endif
}

#endif
