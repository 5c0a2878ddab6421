#include "attention.h"
#include "vector_math.h"

#include <math.h>
#include <string.h>

/* A running softmax (Milakov, Gimelshein 2018, arXiv:1805.02867) over blocks of keys: of each query the largest score
 * so far, the sum of exp(score - largest) and the weighted sum of values; the last two are rescaled when a block brings
 * a larger score. A NaN among the scores is no maximum, and reaches the sum through exp. */

enum { QUERIES = AUR_ATTENTION_QUERIES, KEYS = 512, LANES = 16 };

struct scratch {
	float *scores, *factors, *sums, *keys, *values; /* sums: the weighted values, [QUERIES, D] */
};

int64_t aur_attention_queries_floats(int64_t size)
{
	return 2 * QUERIES * KEYS + aur_round16(QUERIES * size) + 2 * aur_panel_floats(size, KEYS);
}

static struct scratch carve(float *at, int64_t size)
{
	struct scratch scratch = {.scores = at, .factors = at + QUERIES * KEYS, .sums = at + 2 * QUERIES * KEYS};
	scratch.keys = scratch.sums + aur_round16(QUERIES * size);
	scratch.values = scratch.keys + aur_panel_floats(size, KEYS);
	return scratch;
}

struct running {
	float largest[QUERIES], sum[QUERIES];
};

/* `n` is a multiple of LANES. Comparisons lane by lane: the compiler knows no vector maximum that minds NaNs. */
static float largest_of(const float *s, int64_t n)
{
	float lane[LANES];
	memcpy(lane, s, sizeof lane);
	for (int64_t j = LANES; j < n; j += LANES)
		for (int l = 0; l < LANES; l++)
			lane[l] = lane[l] < s[j + l] ? s[j + l] : lane[l];
	float largest = -INFINITY;
	for (int l = 0; l < LANES; l++)
		largest = largest < lane[l] ? lane[l] : largest;
	return largest;
}

static float exponentials(float *s, int64_t n, float largest)
{
	float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
	for (int64_t j = 0; j < n; j++) {
		const float e = aur_expf(s[j] - largest);
		s[j] = e;
		sum += e;
	}
	return sum;
}

/* Scores become exp(score - largest), 0 from `seen` on. Returns what earlier sums are to be multiplied by. */
static float softmax_row(float *s, int64_t seen, int64_t width, float *largest, float *sum)
{
	if (seen <= 0) {
		memset(s, 0, (size_t)width * sizeof(float));
		return 1.0f;
	}
	const int64_t n = aur_round16(seen);
	for (int64_t j = seen; j < n; j++)
		s[j] = -INFINITY;
	memset(s + n, 0, (size_t)(width - n) * sizeof(float));
	const float here = largest_of(s, n);
	const float now = *largest < here ? here : *largest;
	const float rescale = aur_expf(*largest - now);
	*sum = *sum * rescale + exponentials(s, n, now);
	*largest = now;
	return rescale;
}

static void multiply(float *x, const float *by, int64_t n)
{
#pragma omp simd
	for (int64_t j = 0; j < n; j++)
		x[j] *= by[j];
}

static void scale_row(float *x, float by, int64_t n)
{
#pragma omp simd
	for (int64_t j = 0; j < n; j++)
		x[j] *= by;
}

static void drop(
	const struct aur_attention_queries *t, int64_t key, int64_t n, struct aur_seen seen, const struct scratch *scratch)
{
	const struct aur_dropout_tile tile = {t->positions, t->first, t->rows, key, n};
	aur_dropout_factors(t->dropout, &tile, scratch->factors, KEYS);
	for (int64_t i = 0; i < t->rows; i++)
		multiply(scratch->scores + i * KEYS, scratch->factors + i * KEYS, aur_seen_width(seen, i, n));
}

static struct aur_rows from_row(struct aur_rows rows, int64_t i)
{
	return (struct aur_rows){rows.at + i * rows.pitch, rows.pitch};
}

/* Keys [key, key + n). */
static void add_block(const struct aur_attention_queries *t, int64_t key, int64_t n, struct running *running,
	const struct scratch *scratch)
{
	const struct aur_rows tile = {scratch->scores, KEYS}, sums = {scratch->sums, t->size};
	const struct aur_panel keys = aur_attention_panel_of(from_row(t->k, key), n, t->size, scratch->keys, KEYS);
	const struct aur_seen seen = {t->rows, t->first + 1 - key};
	aur_attention_scores(t->q, seen, &keys, t->scale, tile);
	for (int64_t i = 0; i < t->rows; i++) {
		const float rescale = softmax_row(
			tile.at + i * KEYS, aur_seen_by(seen, i, n), aur_round16(n), &running->largest[i], &running->sum[i]);
		if (key > 0)
			scale_row(sums.at + i * t->size, rescale, t->size);
	}
	if (t->dropout)
		drop(t, key, n, seen, scratch);
	const struct aur_panel values = aur_attention_panel_of(from_row(t->v, key), n, t->size, scratch->values, KEYS);
	aur_attention_gather(tile, seen, &values, key > 0, sums);
}

void aur_attention_queries(const struct aur_attention_queries *t, float *memory)
{
	const struct scratch scratch = carve(memory, t->size);
	struct running running;
	for (int64_t i = 0; i < t->rows; i++) {
		running.largest[i] = -INFINITY;
		running.sum[i] = 0.0f;
	}
	const int64_t end = t->first + t->rows;
	for (int64_t key = 0; key < end; key += KEYS)
		add_block(t, key, end - key < KEYS ? end - key : KEYS, &running, &scratch);
	for (int64_t i = 0; i < t->rows; i++) {
		const float inverse = 1.0f / running.sum[i];
		const float *sums = scratch.sums + i * t->size;
		float *out = t->out.at + i * t->out.pitch;
		for (int64_t d = 0; d < t->size; d++)
			out[d] = sums[d] * inverse;
		if (t->lse)
			t->lse[i] = running.largest[i] + logf(running.sum[i]);
	}
}
