#ifndef AUR_BENCH_OPS_LIBRARY_H
#define AUR_BENCH_OPS_LIBRARY_H

#include "bench.h"

/* The matrix libraries of this machine, called directly: the ceilings that products are held against. */

/* One product of one library, ready to be multiplied again and again. */
struct bench_multiplier {
	struct bench_product product;
	enum aur_dtype dtype; /* of a and b, and of c unless it is a gradient of weights, which is fp32 */
	int threads;
	const void *a, *b; /* borrowed */
	void *c;           /* borrowed */
	void *plan;        /* the library's, owned */
};

struct bench_library {
	const char *name;
	void (*version)(char *text, size_t bytes);
	int (*supports)(enum aur_dtype dtype);
	/* Fills plan. Fails with AUR_DEVICE and the library's code. */
	aur_status (*prepare)(struct bench_multiplier *multiplier);
	aur_status (*multiply)(const struct bench_multiplier *multiplier);
	void (*destroy)(struct bench_multiplier *multiplier);
	/* Around a run of calls: sets and resets what the library keeps of threads. */
	void (*begin)(int threads);
	void (*end)(void);
};

/* Those that were found when this program was built; NULL ends the list. */
extern const struct bench_library *const bench_libraries[];

extern const struct bench_library bench_openblas;
extern const struct bench_library bench_onednn;

/* Type of c: gradients of weights (a transposed) add up in fp32, everything else is an activation. */
static inline enum aur_dtype bench_result_dtype(const struct bench_multiplier *multiplier)
{
	return multiplier->product.transpose_a ? AUR_F32 : multiplier->dtype;
}

#endif
