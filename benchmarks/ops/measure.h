#ifndef AUR_BENCH_OPS_MEASURE_H
#define AUR_BENCH_OPS_MEASURE_H

#include "bench.h"
#include "copy.h"
#include "machine.h"
#include "settings.h"

enum { BENCH_SAMPLES = 101 };

/* Where the operands of a case lie between its calls. */
enum bench_place { BENCH_IN_L2, BENCH_IN_LAST_LEVEL, BENCH_IN_MEMORY };

/* What was measured of one case. Medians over the samples; a ratio is the median of the samples' own ratios, each
 * with the copy and the products that were timed beside it. */
struct bench_result {
	const struct bench_case *one;
	struct bench_work work;
	enum aur_dtype precision;
	int supported; /* 0: the operation refuses this precision, and nothing below holds */
	int samples, sets;
	double ms, best_ms;
	double copy_bytes_per_s, of_copy; /* of_copy: bytes a second over those of the copy */
	double of_stream;                 /* the same of the copy past the cache; 0 where there is none */
	double products_ms, of_products;  /* of_products: time over that of the products alone; 0 without products */
	size_t operand_bytes;             /* of all sets that calls take turns on */
	enum bench_place place;
};

/* Measures one case on a backend of its own. Fails as the operation does, but for AUR_SHAPE in bf16. */
aur_status bench_measure(const struct bench_case *one, const struct bench_settings *settings,
	const struct bench_machine *machine, const struct bench_copy *copy, struct bench_result *result);

/* The median of `count` numbers, which it sorts. */
double bench_median(double *numbers, int count);

#endif
