#ifndef AUR_BENCH_OPS_OPERANDS_H
#define AUR_BENCH_OPS_OPERANDS_H

#include "bench.h"

enum { BENCH_OPERAND_SETS = 64 };

/* The operand sets of one case: calls that take turns on more sets than the cache holds find their operands in memory.
 */
struct bench_operand_sets {
	struct aur_backend *backend; /* borrowed */
	void *memory;                /* owned */
	size_t bytes;                /* of one set, without what only restores it */
	int n_sets;
	struct bench_job jobs[BENCH_OPERAND_SETS];
	struct bench_work work;
};

/* As many sets as exceed `at_least` bytes together, at most BENCH_OPERAND_SETS; one with 0. AUR_MEMORY. */
aur_status bench_operands_create(struct aur_backend *backend, const struct bench_case *one, enum aur_dtype dtype,
	size_t at_least, struct bench_operand_sets *sets);

void bench_operands_destroy(struct bench_operand_sets *sets);

/* Runs what has to run once before the first call of each job. */
aur_status bench_operands_prepare(struct bench_operand_sets *sets);

/* Refills what the jobs overwrite in place. */
void bench_operands_restore(struct bench_operand_sets *sets);

#endif
