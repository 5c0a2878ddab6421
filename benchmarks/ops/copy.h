#ifndef AUR_BENCH_OPS_COPY_H
#define AUR_BENCH_OPS_COPY_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Copies of memory larger than the caches: what memory-bound operations are held against. */

struct bench_copy {
	char *memory; /* owned: both arrays */
	size_t bytes; /* of one array: twice the last-level cache, 64 MiB to 512 MiB */
	int threads;
	int by_blocks; /* 1: memcpy is faster in blocks than once a thread */
};

/* Takes the memory and finds the fastest way. AUR_MEMORY. bench_copy_destroy releases it. */
aur_status bench_copy_create(int threads, size_t last_level, struct bench_copy *copy);
void bench_copy_destroy(struct bench_copy *copy);

/* Copies once by the C library's memcpy and returns the bytes read and written a second. */
double bench_copy_rate(const struct bench_copy *copy);

/* The same by stores that go past the cache: the most that memory gives, as lines are not read before they are
 * overwritten. 0 where the processor has no such stores. */
double bench_copy_stream_rate(const struct bench_copy *copy);

/* Reads both arrays once, adding them up, and returns the bytes a second: what a pass that writes nothing can reach.
 * `sum` keeps the compiler from leaving it out. */
double bench_copy_read_rate(const struct bench_copy *copy, uint64_t *sum);

/* "one memcpy a thread" */
const char *bench_copy_way(const struct bench_copy *copy);

#endif
