#ifndef AUR_BENCH_OPS_CEILINGS_H
#define AUR_BENCH_OPS_CEILINGS_H

#include "library.h"

enum { BENCH_CEILINGS = 64 };

/* A library's rate on one product of the model. */
struct bench_ceiling {
	const struct bench_library *matrix_library;
	struct bench_product product;
	int threads;
	double flops_per_s; /* median of five */
};

struct bench_ceilings {
	struct bench_ceiling items[BENCH_CEILINGS];
	int n_items;
	double one_thread; /* FLOPs a second of the best library on its best product, by one thread */
	double best;       /* by `threads` threads, or by one where that is faster */
};

/* Measures the three products of a weight of 3072 x 768 on 1024 rows: forward (NT), gradient of the input (NN) and of
 * the weight (TN); by each library, with one thread and with all. About four seconds in fp32 on two cores. */
aur_status bench_ceilings_measure(enum aur_dtype dtype, int threads, struct bench_ceilings *ceilings);

/* "NT" */
const char *bench_product_letters(const struct bench_product *product);

#endif
