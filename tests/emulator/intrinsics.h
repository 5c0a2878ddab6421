#ifndef AUR_EMULATOR_INTRINSICS_H
#define AUR_EMULATOR_INTRINSICS_H

/* CUDA's intrinsics on numbers and memory that the toolkit's host headers do not give, and integer atomics. The fast
 * approximations (__expf and the like) are the exact functions here: a result may differ from a device's within the
 * error that CUDA states for them.
 */

#include <cuda_runtime.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <type_traits>

template <typename To, typename From> To aur_emulator_bits(From from)
{
	static_assert(sizeof(To) == sizeof(From), "the same bits in another type");
	To to;
	memcpy(&to, &from, sizeof to);
	return to;
}

static inline float __int_as_float(int x)
{
	return aur_emulator_bits<float>(x);
}
static inline int __float_as_int(float x)
{
	return aur_emulator_bits<int>(x);
}
static inline float __uint_as_float(unsigned x)
{
	return aur_emulator_bits<float>(x);
}
static inline unsigned __float_as_uint(float x)
{
	return aur_emulator_bits<unsigned>(x);
}
static inline long long __double_as_longlong(double x)
{
	return aur_emulator_bits<long long>(x);
}
static inline double __longlong_as_double(long long x)
{
	return aur_emulator_bits<double>(x);
}

/* Macros, since the C library has these names for itself. */
#define __expf(x) expf(x)
#define __exp2f(x) exp2f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanhf(x) tanhf(x)
#define __powf(x, y) powf(x, y)

#define AUR_UNARY(name, expression)                                                                                    \
	static inline float name(float x)                                                                                  \
	{                                                                                                                  \
		return expression;                                                                                             \
	}
AUR_UNARY(__frcp_rn, 1.0f / x)
AUR_UNARY(__fsqrt_rn, sqrtf(x))
AUR_UNARY(__frsqrt_rn, static_cast<float>(1.0 / sqrt(static_cast<double>(x))))
AUR_UNARY(rsqrtf, static_cast<float>(1.0 / sqrt(static_cast<double>(x))))
AUR_UNARY(__saturatef, x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f)
#undef AUR_UNARY

#define AUR_BINARY(name, expression)                                                                                   \
	static inline float name(float x, float y)                                                                         \
	{                                                                                                                  \
		return expression;                                                                                             \
	}
AUR_BINARY(__fdividef, x / y)
AUR_BINARY(__fdiv_rn, x / y)
AUR_BINARY(__fadd_rn, x + y)
AUR_BINARY(__fsub_rn, x - y)
AUR_BINARY(__fmul_rn, x *y)
#undef AUR_BINARY

static inline double rsqrt(double x)
{
	return 1.0 / sqrt(x);
}
static inline float __fmaf_rn(float x, float y, float z)
{
	return fmaf(x, y, z);
}
static inline double __fma_rn(double x, double y, double z)
{
	return fma(x, y, z);
}
static inline int __float2int_rn(float x)
{
	return static_cast<int>(lrintf(x));
}
static inline unsigned __float2uint_rn(float x)
{
	return static_cast<unsigned>(lrintf(x));
}
static inline float __int2float_rn(int x)
{
	return static_cast<float>(x);
}
static inline float __uint2float_rn(unsigned x)
{
	return static_cast<float>(x);
}

static inline unsigned __umulhi(unsigned x, unsigned y)
{
	return static_cast<unsigned>((static_cast<uint64_t>(x) * y) >> 32);
}
static inline int __mulhi(int x, int y)
{
	return static_cast<int>((static_cast<int64_t>(x) * y) >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y)
{
	return static_cast<unsigned long long>((static_cast<unsigned __int128>(x) * y) >> 64);
}
static inline int __popc(unsigned x)
{
	return __builtin_popcount(x);
}
static inline int __popcll(unsigned long long x)
{
	return __builtin_popcountll(x);
}
static inline int __clz(int x)
{
	return x ? __builtin_clz(static_cast<unsigned>(x)) : 32;
}
static inline int __clzll(long long x)
{
	return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64;
}
static inline int __ffs(int x)
{
	return __builtin_ffs(x);
}
static inline unsigned __brev(unsigned x)
{
	unsigned reversed = 0;
	for (int i = 0; i < 32; i++)
		reversed |= ((x >> i) & 1u) << (31 - i);
	return reversed;
}
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift)
{
	const uint64_t both = static_cast<uint64_t>(high) << 32 | low;
	return static_cast<unsigned>((both << (shift & 31u)) >> 32);
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift)
{
	const uint64_t both = static_cast<uint64_t>(high) << 32 | low;
	return static_cast<unsigned>(both >> (shift & 31u));
}
/* Byte i of the result is byte (selector >> 4 i) & 7 of y:x; the mode that copies a sign is not here. */
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector)
{
	const uint64_t both = static_cast<uint64_t>(y) << 32 | x;
	unsigned chosen = 0;
	for (int i = 0; i < 4; i++)
		chosen |= static_cast<unsigned>((both >> (8 * ((selector >> (4 * i)) & 7u))) & 0xffu) << (8 * i);
	return chosen;
}

#define AUR_MIN_MAX(type)                                                                                              \
	static inline type min(type x, type y)                                                                             \
	{                                                                                                                  \
		return y < x ? y : x;                                                                                          \
	}                                                                                                                  \
	static inline type max(type x, type y)                                                                             \
	{                                                                                                                  \
		return x < y ? y : x;                                                                                          \
	}
AUR_MIN_MAX(int)
AUR_MIN_MAX(unsigned)
AUR_MIN_MAX(long)
AUR_MIN_MAX(unsigned long)
AUR_MIN_MAX(long long)
AUR_MIN_MAX(unsigned long long)
#undef AUR_MIN_MAX
/* As fminf and fmaxf: a NaN gives way to a number. */
static inline float min(float x, float y)
{
	return fminf(x, y);
}
static inline float max(float x, float y)
{
	return fmaxf(x, y);
}
static inline double min(double x, double y)
{
	return fmin(x, y);
}
static inline double max(double x, double y)
{
	return fmax(x, y);
}

/* Loads and stores with a hint for the caches. */
#define AUR_LOAD(name)                                                                                                 \
	template <typename T> T name(const T *from)                                                                        \
	{                                                                                                                  \
		return *from;                                                                                                  \
	}
AUR_LOAD(__ldg)
AUR_LOAD(__ldca)
AUR_LOAD(__ldcg)
AUR_LOAD(__ldcs)
AUR_LOAD(__ldlu)
AUR_LOAD(__ldcv)
#undef AUR_LOAD
#define AUR_STORE(name)                                                                                                \
	template <typename T> void name(T *to, std::common_type_t<T> value)                                                \
	{                                                                                                                  \
		*to = value;                                                                                                   \
	}
AUR_STORE(__stwb)
AUR_STORE(__stcg)
AUR_STORE(__stcs)
AUR_STORE(__stwt)
#undef AUR_STORE

/* Fibers change places only where they wait, so that a plain operation is atomic. */
#define AUR_ATOMIC(name, expression)                                                                                   \
	template <typename T> T name(T *at, std::common_type_t<T> value)                                                   \
	{                                                                                                                  \
		static_assert(std::is_integral<T>::value, "atomics of floats are not used: their order is not fixed");         \
		const T old = *at;                                                                                             \
		*at = static_cast<T>(expression);                                                                              \
		return old;                                                                                                    \
	}
AUR_ATOMIC(atomicAdd, old + value)
AUR_ATOMIC(atomicSub, old - value)
AUR_ATOMIC(atomicExch, value)
AUR_ATOMIC(atomicMin, value < old ? value : old)
AUR_ATOMIC(atomicMax, value > old ? value : old)
AUR_ATOMIC(atomicAnd, old &value)
AUR_ATOMIC(atomicOr, old | value)
AUR_ATOMIC(atomicXor, old ^ value)
AUR_ATOMIC(atomicInc, old >= value ? 0 : old + 1)
AUR_ATOMIC(atomicDec, old == 0 || old > value ? value : old - 1)
#undef AUR_ATOMIC

template <typename T> T atomicCAS(T *at, std::common_type_t<T> expected, std::common_type_t<T> value)
{
	static_assert(std::is_integral<T>::value, "atomics of floats are not used: their order is not fixed");
	const T old = *at;
	if (old == expected)
		*at = value;
	return old;
}

static inline void __threadfence(void)
{
}
static inline void __threadfence_block(void)
{
}
static inline void __threadfence_system(void)
{
}

#endif
