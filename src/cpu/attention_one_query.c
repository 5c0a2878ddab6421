#include "attention.h"
#include "rows.h"

#include <math.h>

/* One query against a cache, whose keys and values are read once, in order: 2 D multiply-adds for as many numbers, so
 * that memory is the limit. A running softmax over blocks of keys, as in attention_queries.c. */

enum { KEYS = AUR_ATTENTION_BLOCK };

struct running {
	float largest, sum;
};

/* Asks for the numbers [at, at + count) of what is read next: keys while values are added and values while scores are
 * computed, so that memory never waits for either. Beyond the cache's end the processor ignores it. */
AUR_INLINE void fetch(const void *next, int64_t at, int64_t count, enum aur_dtype type)
{
	const int64_t bytes = (int64_t)aur_dtype_bytes(type);
	for (int64_t i = at * bytes; i < (at + count) * bytes; i += 64)
		__builtin_prefetch((const char *)next + i);
}

/* Four keys at a time, so that their sums across a register overlap. */
AUR_INLINE void scores_of(
	const float *q, const void *k, enum aur_dtype type, int64_t n, int64_t size, float *s, const void *next)
{
	for (int64_t j = 0; j < n; j += 4) {
		fetch(next, j * size, 4 * size, type);
		const int64_t last = n - 1 - j, at = j * size;
		const int64_t one = (last < 1 ? last : 1) * size, two = (last < 2 ? last : 2) * size;
		const int64_t three = (last < 3 ? last : 3) * size;
		float a = 0.0f, b = 0.0f, c = 0.0f, e = 0.0f;
#pragma omp simd reduction(+ : a, b, c, e)
		for (int64_t d = 0; d < size; d++) {
			a += q[d] * aur_element(k, at + d, type);
			b += q[d] * aur_element(k, at + one + d, type);
			c += q[d] * aur_element(k, at + two + d, type);
			e += q[d] * aur_element(k, at + three + d, type);
		}
		const float sums[4] = {a, b, c, e};
		memcpy(s + j, sums, sizeof sums);
	}
}

AUR_INLINE void add_values(
	const float *p, const void *v, enum aur_dtype type, int64_t n, int64_t size, float *y, const void *next)
{
	int64_t j = 0;
	for (; j + 4 <= n; j += 4) {
		const float p0 = p[j], p1 = p[j + 1], p2 = p[j + 2], p3 = p[j + 3];
		const int64_t at = j * size;
		fetch(next, at, 4 * size, type);
#pragma omp simd
		for (int64_t d = 0; d < size; d++)
			y[d] += (p0 * aur_element(v, at + d, type) + p1 * aur_element(v, at + size + d, type)) +
					(p2 * aur_element(v, at + 2 * size + d, type) + p3 * aur_element(v, at + 3 * size + d, type));
	}
	for (; j < n; j++)
#pragma omp simd
		for (int64_t d = 0; d < size; d++)
			y[d] += p[j] * aur_element(v, j * size + d, type);
}

/* Scores become exp(score - largest). Returns what earlier sums are to be multiplied by. */
static float softmax(float *s, int64_t n, struct running *running)
{
	float largest = running->largest, sum = 0.0f;
	for (int64_t j = 0; j < n; j++)
		largest = largest < s[j] ? s[j] : largest;
	const float rescale = aur_exp_below(running->largest - largest);
#pragma omp simd reduction(+ : sum)
	for (int64_t j = 0; j < n; j++) {
		s[j] = aur_exp_below(s[j] - largest);
		sum += s[j];
	}
	*running = (struct running){largest, running->sum * rescale + sum};
	return rescale;
}

AUR_INLINE void attend(const struct aur_attention_queries *t, enum aur_dtype type, float *scratch)
{
	const int64_t pitch = aur_attention_pitch(t->size), seen = t->first + 1;
	float *q = scratch, *y = q + pitch, *s = y + pitch;
	struct running running = {-INFINITY, 0.0f};
	for (int64_t d = 0; d < t->size; d++) {
		q[d] = aur_element(t->q.at, d, type) * t->scale;
		y[d] = 0.0f;
	}
	for (int64_t key = 0; key < seen; key += KEYS) {
		const int64_t n = seen - key < KEYS ? seen - key : KEYS;
		const void *values = aur_rows_from(t->v, key, 0).at, *next = aur_rows_from(t->k, key + KEYS, 0).at;
		scores_of(q, aur_rows_from(t->k, key, 0).at, type, n, t->size, s, values);
		const float rescale = softmax(s, n, &running);
		for (int64_t d = 0; d < t->size; d++)
			y[d] *= rescale;
		add_values(s, values, type, n, t->size, y, next);
	}
	aur_attention_store(t->out, 0, y, 1.0f / running.sum, t->size);
}

void aur_attention_one_query(const struct aur_attention_queries *t, float *scratch)
{
	if (t->q.type == AUR_F32)
		attend(t, AUR_F32, scratch);
	else
		attend(t, AUR_BF16, scratch);
}
