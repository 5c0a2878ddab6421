#include "products.h"

#include "core/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS = 3, ALIGNMENT = 256 };

static size_t aligned(int64_t count, size_t element)
{
	return ((size_t)count * element + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t bytes_of_product(const struct bench_product *p, size_t element)
{
	return aligned(p->m * p->k, element) + aligned(p->k * p->n, element) + aligned(p->m * p->n, sizeof(float));
}

/* Every element is the same small number: products take equal time for all ordinary numbers. */
static void fill(char *memory, size_t bytes, enum aur_dtype dtype)
{
	const float value = 0.01f;
	const uint16_t half = aur_bf16_from_f32(value);
	const size_t element = aur_dtype_bytes(dtype);
	for (size_t i = 0; i + element <= bytes; i += element)
		memcpy(memory + i, dtype == AUR_BF16 ? (const void *)&half : (const void *)&value, element);
}

aur_status bench_products_memory(const struct bench_product *list, int n_products, enum aur_dtype dtype, void **memory)
{
	size_t most = ALIGNMENT;
	for (int i = 0; i < n_products; i++) {
		const size_t bytes = bytes_of_product(&list[i], aur_dtype_bytes(dtype));
		most = bytes > most ? bytes : most;
	}
	*memory = aligned_alloc(ALIGNMENT, most);
	if (!*memory)
		return aur_fail(AUR_MEMORY, "matrix libraries: no memory for %zu bytes of operands", most);
	fill(*memory, most, dtype);
	return AUR_OK;
}

aur_status bench_multiplier_create(const struct bench_library *library, const struct bench_product *product,
	enum aur_dtype dtype, int threads, void *memory, struct bench_multiplier *multiplier)
{
	const size_t element = aur_dtype_bytes(dtype);
	char *a = memory, *b = a + aligned(product->m * product->k, element);
	*multiplier = (struct bench_multiplier){
		.product = *product,
		.dtype = dtype,
		.threads = threads,
		.a = a,
		.b = b,
		.c = b + aligned(product->k * product->n, element),
	};
	library->begin(threads);
	const aur_status status = library->prepare(multiplier);
	library->end();
	return status;
}

aur_status bench_multiplier_time(
	const struct bench_library *library, const struct bench_multiplier *multiplier, int calls, double *seconds)
{
	aur_status status = AUR_OK;
	library->begin(multiplier->threads);
	const double start = aur_clock_s();
	for (int i = 0; i < calls && status == AUR_OK; i++)
		status = library->multiply(multiplier);
	*seconds = aur_clock_s() - start;
	library->end();
	return status;
}

/* Keeps the multiplier in place i when it is faster than the one that is there. */
static aur_status try_one(struct bench_products *products, int i, const struct bench_library *library,
	struct bench_multiplier *tried, double *best)
{
	double fastest = INFINITY, seconds;
	for (int trial = 0; trial < TRIALS; trial++) {
		AUR_TRY(bench_multiplier_time(library, tried, 1, &seconds));
		fastest = fmin(fastest, seconds);
	}
	if (fastest >= *best)
		return AUR_OK;
	*best = fastest;
	if (products->library[i])
		products->library[i]->destroy(&products->multipliers[i]);
	products->multipliers[i] = *tried;
	products->library[i] = library;
	tried->plan = NULL;
	return AUR_OK;
}

static aur_status choose(
	struct bench_products *products, int i, const struct bench_product *product, enum aur_dtype dtype, int threads)
{
	double best = INFINITY;
	for (int j = 0; bench_libraries[j]; j++) {
		const struct bench_library *library = bench_libraries[j];
		if (!library->supports(dtype))
			continue;
		for (int n = 1; n <= threads; n += threads > 1 ? threads - 1 : 1) {
			struct bench_multiplier tried;
			AUR_TRY(bench_multiplier_create(library, product, dtype, n, products->memory, &tried));
			const aur_status status = try_one(products, i, library, &tried, &best);
			if (tried.plan)
				library->destroy(&tried);
			AUR_TRY(status);
		}
	}
	return AUR_OK;
}

static int any_library(enum aur_dtype dtype)
{
	for (int i = 0; bench_libraries[i]; i++)
		if (bench_libraries[i]->supports(dtype))
			return 1;
	return 0;
}

aur_status bench_products_create(
	const struct bench_work *work, enum aur_dtype dtype, int threads, struct bench_products *products)
{
	*products = (struct bench_products){.n_products = any_library(dtype) ? work->n_products : 0};
	if (products->n_products == 0)
		return AUR_OK;
	aur_status status;
	AUR_TRY_CLEANUP(bench_products_memory(work->products, work->n_products, dtype, &products->memory));
	for (int i = 0; i < products->n_products; i++)
		AUR_TRY_CLEANUP(choose(products, i, &work->products[i], dtype, threads));
	return AUR_OK;
cleanup:
	bench_products_destroy(products);
	return status;
}

void bench_products_destroy(struct bench_products *products)
{
	for (int i = 0; i < products->n_products; i++)
		if (products->library[i])
			products->library[i]->destroy(&products->multipliers[i]);
	free(products->memory);
	*products = (struct bench_products){0};
}

aur_status bench_products_time(const struct bench_products *products, int calls, double *seconds)
{
	*seconds = 0;
	for (int i = 0; i < products->n_products; i++) {
		double one;
		AUR_TRY(bench_multiplier_time(products->library[i], &products->multipliers[i], calls, &one));
		*seconds += one;
	}
	return AUR_OK;
}
