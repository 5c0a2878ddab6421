#include "gemm.h"

#include <limits.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#if defined(AUR_WITH_OPENBLAS)
#include <cblas.h>
#elif defined(AUR_WITH_ONEDNN)
#include <dnnl.h>
#else
#error "no matrix library: define AUR_WITH_OPENBLAS or AUR_WITH_ONEDNN"
#endif

static int fits(int64_t size)
{
	return size >= 0 && size <= INT_MAX;
}

static int product_fits(const struct aur_gemm *p)
{
	return fits(p->m) && fits(p->n) && fits(p->k) && fits(p->lda) && fits(p->ldb) && fits(p->ldc);
}

static void multiply_plainly(const struct aur_gemm *p)
{
	for (int64_t i = 0; i < p->m; i++)
		for (int64_t j = 0; j < p->n; j++) {
			float sum = 0.0f;
			for (int64_t l = 0; l < p->k; l++) {
				const float a = p->transpose_a ? p->a[l * p->lda + i] : p->a[i * p->lda + l];
				const float b = p->transpose_b ? p->b[j * p->ldb + l] : p->b[l * p->ldb + j];
				sum += a * b;
			}
			float *c = &p->c[i * p->ldc + j];
			*c = p->alpha * sum + (p->beta == 0.0f ? 0.0f : p->beta * *c);
		}
}

#if defined(AUR_WITH_OPENBLAS)

static void call_library(const struct aur_gemm *p)
{
	cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans, p->transpose_b ? CblasTrans : CblasNoTrans,
		(int)p->m, (int)p->n, (int)p->k, p->alpha, p->a, (int)p->lda, p->b, (int)p->ldb, p->beta, p->c, (int)p->ldc);
}

/* OpenBLAS 0.3.21's kernel for small products on AVX-512 takes memory in the call, unchecked, when nothing is
 * transposed, one to eight columns are left over from sixteens and the depth is 32 or more. Seen by counting its
 * allocations over all small shapes. */
static int would_allocate(const struct aur_gemm *p)
{
	const int64_t left_over = p->n % 16;
	return !p->transpose_a && !p->transpose_b && left_over >= 1 && left_over <= 8 && p->k >= 32 &&
		   p->m * p->n * p->k <= 1000000;
}

/* Such a product is added up over pieces of a depth at which it does not. */
static void multiply(const struct aur_gemm *p)
{
	enum { DEPTH = 31 };
	struct aur_gemm piece = *p;
	if (!would_allocate(p)) {
		call_library(p);
		return;
	}
	for (int64_t at = 0; at < p->k; at += DEPTH) {
		piece.a = p->a + at;
		piece.b = p->b + at * p->ldb;
		piece.k = p->k - at < DEPTH ? p->k - at : DEPTH;
		piece.beta = at == 0 ? p->beta : 1.0f;
		call_library(&piece);
	}
}

static void make_single_threaded(void)
{
	openblas_set_num_threads(1);
}

void aur_gemm_description(char *text, size_t bytes)
{
	/* The configuration begins "OpenBLAS 0.3.21 NO_LAPACKE ...". */
	const char *config = openblas_get_config();
	const char *name_end = strchr(config, ' ');
	const char *end = name_end ? strchr(name_end + 1, ' ') : NULL;
	const int length = (int)(end ? end - config : (ptrdiff_t)strlen(config));
	snprintf(text, bytes, "%.*s %s", length, config, openblas_get_corename());
}

#else

/* The library takes the caller's OpenMP thread count when it is called outside a parallel region. */
static void multiply(const struct aur_gemm *p)
{
	const int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
	if (threads > 1)
		omp_set_num_threads(1);
	dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k, p->alpha, p->a, p->lda, p->b,
		p->ldb, p->beta, p->c, p->ldc);
	if (threads > 1)
		omp_set_num_threads(threads);
}

static void make_single_threaded(void)
{
}

void aur_gemm_description(char *text, size_t bytes)
{
	const dnnl_version_t *version = dnnl_version();
	snprintf(text, bytes, "oneDNN %d.%d.%d isa-%x", version->major, version->minor, version->patch,
		(unsigned)dnnl_get_effective_cpu_isa());
}

#endif

void aur_gemm(const struct aur_gemm *product)
{
	if (product->m == 0 || product->n == 0)
		return;
	if (product_fits(product))
		multiply(product);
	else
		multiply_plainly(product);
}

void aur_gemm_setup(void)
{
	enum { SIDE = 192 }; /* beyond the sizes for which the library needs no buffer */
	static const float zeros[SIDE * SIDE];
	make_single_threaded();
#pragma omp parallel
	{
		static _Thread_local float result[SIDE * SIDE];
		aur_gemm(&(struct aur_gemm){.m = SIDE,
			.n = SIDE,
			.k = SIDE,
			.alpha = 1.0f,
			.a = zeros,
			.lda = SIDE,
			.b = zeros,
			.ldb = SIDE,
			.c = result,
			.ldc = SIDE});
	}
}
