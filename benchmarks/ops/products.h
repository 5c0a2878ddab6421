#ifndef AUR_BENCH_OPS_PRODUCTS_H
#define AUR_BENCH_OPS_PRODUCTS_H

#include "library.h"

/* The products an operation consists of, by the matrix library and number of threads that make them fastest. */
struct bench_products {
	struct bench_multiplier multipliers[BENCH_PRODUCTS];
	const struct bench_library *library[BENCH_PRODUCTS];
	int n_products;
	void *memory; /* owned: operands of the largest */
};

/* Tries each library that supports `dtype` with one thread and with `threads`, each a few times. AUR_MEMORY,
 * AUR_DEVICE. Without any library n_products is 0. */
aur_status bench_products_create(
	const struct bench_work *work, enum aur_dtype dtype, int threads, struct bench_products *products);

void bench_products_destroy(struct bench_products *products);

/* Makes all products `calls` times and gives the seconds that took. */
aur_status bench_products_time(const struct bench_products *products, int calls, double *seconds);

/* Memory for the operands of the largest of these products, filled; free() releases it. */
aur_status bench_products_memory(const struct bench_product *list, int n_products, enum aur_dtype dtype, void **memory);

/* A multiplier of this product by this library whose operands lie in `memory`. */
aur_status bench_multiplier_create(const struct bench_library *library, const struct bench_product *product,
	enum aur_dtype dtype, int threads, void *memory, struct bench_multiplier *multiplier);

/* Multiplies `calls` times and gives the seconds that took. */
aur_status bench_multiplier_time(
	const struct bench_library *library, const struct bench_multiplier *multiplier, int calls, double *seconds);

static inline double bench_product_flops(const struct bench_product *product)
{
	return 2.0 * (double)product->m * (double)product->n * (double)product->k;
}

#endif
