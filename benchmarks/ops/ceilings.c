#include "ceilings.h"

#include "measure.h"
#include "products.h"

#include <stdlib.h>

enum { TRIALS = 5 };

static const struct bench_product shapes[] = {
	{0, 1, 1024, 3072, 768}, {0, 0, 1024, 768, 3072}, {1, 0, 3072, 768, 1024}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

const char *bench_product_letters(const struct bench_product *product)
{
	static const char *const letters[2][2] = {{"NN", "NT"}, {"TN", "TT"}};
	return letters[product->transpose_a != 0][product->transpose_b != 0];
}

static aur_status measure_rate(
	const struct bench_library *library, const struct bench_multiplier *multiplier, double *flops_per_s)
{
	double seconds[TRIALS], first;
	AUR_TRY(bench_multiplier_time(library, multiplier, 1, &first));
	for (int i = 0; i < TRIALS; i++)
		AUR_TRY(bench_multiplier_time(library, multiplier, 1, &seconds[i]));
	*flops_per_s = bench_product_flops(&multiplier->product) / bench_median(seconds, TRIALS);
	return AUR_OK;
}

static void note(struct bench_ceilings *ceilings, const struct bench_ceiling *item)
{
	if (ceilings->n_items < BENCH_CEILINGS)
		ceilings->items[ceilings->n_items++] = *item;
	if (item->threads == 1 && item->flops_per_s > ceilings->one_thread)
		ceilings->one_thread = item->flops_per_s;
	if (item->flops_per_s > ceilings->best)
		ceilings->best = item->flops_per_s;
}

static aur_status measure_one(struct bench_ceilings *ceilings, const struct bench_library *library,
	const struct bench_product *product, enum aur_dtype dtype, int threads, void *memory)
{
	struct bench_ceiling item = {.matrix_library = library, .product = *product, .threads = threads};
	struct bench_multiplier multiplier;
	AUR_TRY(bench_multiplier_create(library, product, dtype, threads, memory, &multiplier));
	const aur_status status = measure_rate(library, &multiplier, &item.flops_per_s);
	library->destroy(&multiplier);
	AUR_TRY(status);
	note(ceilings, &item);
	return AUR_OK;
}

static aur_status measure_library(struct bench_ceilings *ceilings, const struct bench_library *library,
	enum aur_dtype dtype, int threads, void *memory)
{
	for (int i = 0; i < SHAPES; i++) {
		AUR_TRY(measure_one(ceilings, library, &shapes[i], dtype, 1, memory));
		if (threads > 1)
			AUR_TRY(measure_one(ceilings, library, &shapes[i], dtype, threads, memory));
	}
	return AUR_OK;
}

aur_status bench_ceilings_measure(enum aur_dtype dtype, int threads, struct bench_ceilings *ceilings)
{
	void *memory;
	*ceilings = (struct bench_ceilings){0};
	AUR_TRY(bench_products_memory(shapes, SHAPES, dtype, &memory));
	aur_status status = AUR_OK;
	for (int i = 0; bench_libraries[i] && status == AUR_OK; i++)
		if (bench_libraries[i]->supports(dtype))
			status = measure_library(ceilings, bench_libraries[i], dtype, threads, memory);
	free(memory);
	return status;
}
