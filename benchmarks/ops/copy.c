#include "copy.h"

#include "core/clock.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { TRIALS = 5 };
static const size_t huge_page = (size_t)2 << 20, least_bytes = (size_t)64 << 20, most_bytes = (size_t)512 << 20;
static const size_t block_bytes = (size_t)256 << 10;

static void copy_through(char *to, const char *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

#ifdef __SSE2__

enum { STREAMS = 1 };

/* Stores that do not read the lines they fill. Parts begin at multiples of 64 bytes. */
static void copy_past(char *to, const char *from, size_t bytes)
{
	__m128i *target = (__m128i *)(void *)to;
	const __m128i *source = (const __m128i *)(const void *)from;
	for (size_t i = 0; i < bytes / sizeof *target; i++)
		_mm_stream_si128(target + i, _mm_load_si128(source + i));
	_mm_sfence();
}

#else

enum { STREAMS = 0 };

static void copy_past(char *to, const char *from, size_t bytes)
{
	copy_through(to, from, bytes);
}

#endif

static double rate_of(const struct bench_copy *copy, void (*run)(char *, const char *, size_t), int64_t parts)
{
	char *from = copy->memory, *to = copy->memory + copy->bytes;
	const size_t part = copy->bytes / (size_t)parts / 64 * 64;
	const double start = aur_clock_s();
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < parts; i++)
		run(to + part * (size_t)i, from + part * (size_t)i, part);
	return 2.0 * (double)(part * (size_t)parts) / (aur_clock_s() - start);
}

static int64_t parts_of(const struct bench_copy *copy)
{
	return copy->by_blocks ? (int64_t)(copy->bytes / block_bytes) : copy->threads;
}

double bench_copy_rate(const struct bench_copy *copy)
{
	return rate_of(copy, copy_through, parts_of(copy));
}

double bench_copy_stream_rate(const struct bench_copy *copy)
{
	return STREAMS ? rate_of(copy, copy_past, copy->threads) : 0;
}

typedef uint64_t line __attribute__((vector_size(64), may_alias));

/* Two lines at a time, added up apart, so that no addition waits for another. */
static uint64_t add_up(const uint64_t *from, int64_t n)
{
	line a = {0}, b = {0};
	for (int64_t i = 0; i + 16 <= n; i += 16) {
		a += *(const line *)(const void *)(from + i);
		b += *(const line *)(const void *)(from + i + 8);
	}
	a += b;
	return a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
}

double bench_copy_read_rate(const struct bench_copy *copy, uint64_t *sum)
{
	const int64_t part = (int64_t)(2 * copy->bytes / (size_t)copy->threads / 64 * 8);
	const uint64_t *from = (const uint64_t *)(const void *)copy->memory;
	uint64_t all = 0;
	const double start = aur_clock_s();
#pragma omp parallel for schedule(static) reduction(+ : all)
	for (int i = 0; i < copy->threads; i++)
		all += add_up(from + part * i, part);
	const double seconds = aur_clock_s() - start;
	*sum += all;
	return (double)(part * copy->threads) * sizeof *from / seconds;
}

static double best_rate(const struct bench_copy *copy)
{
	double best = 0;
	for (int i = 0; i < TRIALS; i++) {
		const double rate = bench_copy_rate(copy);
		best = rate > best ? rate : best;
	}
	return best;
}

static void choose_way(struct bench_copy *copy)
{
	const double whole = best_rate(copy);
	copy->by_blocks = 1;
	copy->by_blocks = best_rate(copy) > whole;
}

aur_status bench_copy_create(int threads, size_t last_level, struct bench_copy *copy)
{
	size_t bytes = 2 * last_level;
	bytes = bytes < least_bytes ? least_bytes : bytes > most_bytes ? most_bytes : bytes;
	*copy = (struct bench_copy){.bytes = bytes / huge_page * huge_page, .threads = threads};
	copy->memory = aligned_alloc(huge_page, 2 * copy->bytes);
	if (!copy->memory)
		return aur_fail(AUR_MEMORY, "copy: no memory for %zu bytes", 2 * copy->bytes);
	(void)madvise(copy->memory, 2 * copy->bytes, MADV_HUGEPAGE);
	memset(copy->memory, 1, 2 * copy->bytes);
	choose_way(copy);
	return AUR_OK;
}

void bench_copy_destroy(struct bench_copy *copy)
{
	free(copy->memory);
	copy->memory = NULL;
}

const char *bench_copy_way(const struct bench_copy *copy)
{
	return copy->by_blocks ? "memcpy of 256 KiB" : "one memcpy a thread";
}
