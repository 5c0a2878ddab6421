#include "library.h"

#include <cblas.h>
#include <stdio.h>
#include <string.h>

/* The configuration begins "OpenBLAS 0.3.21 NO_LAPACKE ...". */
static void version(char *text, size_t bytes)
{
	const char *config = openblas_get_config();
	const char *name_end = strchr(config, ' ');
	const size_t length = name_end ? (size_t)(name_end + 1 - config) + strcspn(name_end + 1, " ") : strlen(config);
	snprintf(text, bytes, "%.*s %s", (int)length, config, openblas_get_corename());
}

static int supports(enum aur_dtype dtype)
{
	return dtype == AUR_F32;
}

static aur_status prepare(struct bench_multiplier *multiplier)
{
	multiplier->plan = NULL;
	return AUR_OK;
}

static aur_status multiply(const struct bench_multiplier *multiplier)
{
	const struct bench_product *p = &multiplier->product;
	cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans, p->transpose_b ? CblasTrans : CblasNoTrans,
		(int)p->m, (int)p->n, (int)p->k, 1.0f, multiplier->a, (int)(p->transpose_a ? p->m : p->k), multiplier->b,
		(int)(p->transpose_b ? p->k : p->n), 0.0f, multiplier->c, (int)p->n);
	return AUR_OK;
}

static void destroy(struct bench_multiplier *multiplier)
{
	multiplier->plan = NULL;
}

static void begin(int threads)
{
	openblas_set_num_threads(threads);
}

/* The backend calls the same library and relies on one thread a caller. */
static void end(void)
{
	openblas_set_num_threads(1);
}

const struct bench_library bench_openblas = {
	.name = "OpenBLAS",
	.version = version,
	.supports = supports,
	.prepare = prepare,
	.multiply = multiply,
	.destroy = destroy,
	.begin = begin,
	.end = end,
};
