#ifndef AUR_CPU_GEMM_VECTOR_H
#define AUR_CPU_GEMM_VECTOR_H

/* One register of the instruction set this copy is compiled for. A tile of C is PANEL_ROWS x 2 registers: the most that
 * leaves room for one row of B and one number of A, so that every load of B serves PANEL_ROWS multiplications. */

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { AUR_LANES = 16, AUR_PANEL_ROWS = 14 }; /* of 32 registers 28 sums, 2 of B, 1 of A */
#elif defined(__AVX2__) && defined(__FMA__)
enum { AUR_LANES = 8, AUR_PANEL_ROWS = 6 }; /* of 16: 12, 2, 1 */
#elif defined(__aarch64__)
enum { AUR_LANES = 4, AUR_PANEL_ROWS = 12 };
#else
enum { AUR_LANES = 4, AUR_PANEL_ROWS = 6 };
#endif

enum { AUR_PANEL_COLUMNS = 2 * AUR_LANES };

typedef float aur_vec __attribute__((vector_size(4 * AUR_LANES), may_alias));
typedef float aur_vec_loose __attribute__((vector_size(4 * AUR_LANES), may_alias, aligned(4)));

/* sum + a * b with one rounding, where there is such an instruction. */
static inline aur_vec aur_vec_multiply_add(aur_vec a, aur_vec b, aur_vec sum)
{
#if defined(__AVX512F__)
	return _mm512_fmadd_ps(a, b, sum);
#elif defined(__AVX2__) && defined(__FMA__)
	return _mm256_fmadd_ps(a, b, sum);
#else
	return a * b + sum;
#endif
}

/* x in every lane, its bits as they are: it may be a pair of bf16. */
static inline aur_vec aur_vec_of(float x)
{
#if defined(__AVX512F__)
	return _mm512_set1_ps(x);
#elif defined(__AVX2__) && defined(__FMA__)
	return _mm256_set1_ps(x);
#else
	return (aur_vec){x, x, x, x};
#endif
}

typedef float aur_four __attribute__((vector_size(16)));
typedef float aur_eight __attribute__((vector_size(32)));

/* The sum of all lanes: halves are added to each other until one number is left. */
static inline float aur_vec_sum(aur_vec v)
{
#if defined(__AVX512F__)
	const aur_eight w = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
						__builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
	const aur_four x = __builtin_shufflevector(w, w, 0, 1, 2, 3) + __builtin_shufflevector(w, w, 4, 5, 6, 7);
#elif defined(__AVX2__) && defined(__FMA__)
	const aur_four x = __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
	const aur_four x = v;
#endif
	return (x[0] + x[2]) + (x[1] + x[3]);
}

#if defined(__AVX512BF16__)
#define AUR_HAS_BF16_PRODUCT 1

/* sum[i] + a[2i] * b[2i] + a[2i+1] * b[2i+1] of bf16 pairs. */
static inline aur_vec aur_vec_multiply_add_pairs(aur_vec a, aur_vec b, aur_vec sum)
{
	return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

#else
#define AUR_HAS_BF16_PRODUCT 0
#endif

/* Loops over registers must be unrolled whole, so that the sums stay in registers. */
#if defined(__clang__)
#define AUR_UNROLL _Pragma("clang loop unroll(full)")
#else
#define AUR_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
