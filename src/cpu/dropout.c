#include "dropout.h"

#include "core/rng.h"

#include <math.h>
#include <string.h>

/* Counters are drawn sixteen at a time, one a vector lane: 128 elements. */
enum { LANES = 16, GROUP = 8, BATCH = LANES * GROUP, WORDS = LANES * 4 };

struct counter {
	uint32_t v[4];
};

static inline uint32_t high_half(uint32_t a, uint32_t b)
{
	return (uint32_t)((uint64_t)a * b >> 32);
}

/* The halves of each product are written apart: compilers then find the vector multiplications of 32 bits. */
static inline struct counter philox_round(struct counter c, const uint32_t key[2], uint32_t round)
{
	const uint32_t key0 = key[0] + round * PHILOX_W32_0;
	const uint32_t key1 = key[1] + round * PHILOX_W32_1;
	return (struct counter){{high_half(PHILOX_M4x32_1, c.v[2]) ^ c.v[1] ^ key0, PHILOX_M4x32_1 * c.v[2],
		high_half(PHILOX_M4x32_0, c.v[0]) ^ c.v[3] ^ key1, PHILOX_M4x32_0 * c.v[0]}};
}

static inline struct counter philox(struct counter c, const uint32_t key[2])
{
	c = philox_round(c, key, 0);
	c = philox_round(c, key, 1);
	c = philox_round(c, key, 2);
	c = philox_round(c, key, 3);
	c = philox_round(c, key, 4);
	c = philox_round(c, key, 5);
	c = philox_round(c, key, 6);
	c = philox_round(c, key, 7);
	c = philox_round(c, key, 8);
	return philox_round(c, key, 9);
}

/* aur_philox of LANES elements. Rounds are written out one by one, so that the loop over lanes is the one vectorised.
 */
static void draw(const struct aur_dropout_stream *stream, const uint32_t element[LANES], uint32_t word[WORDS])
{
	const struct aur_dropout_stream s = *stream;
#pragma omp simd
	for (int i = 0; i < LANES; i++) {
		const struct counter random = philox((struct counter){{element[i], s.stream, s.sample[0], s.sample[1]}}, s.key);
		word[4 * i] = random.v[0];
		word[4 * i + 1] = random.v[1];
		word[4 * i + 2] = random.v[2];
		word[4 * i + 3] = random.v[3];
	}
}

static void factors_of_words(const struct aur_dropout_stream *stream, const uint32_t word[WORDS], float factor[BATCH])
{
	const uint32_t threshold = stream->threshold;
	const float scale = stream->scale;
#pragma omp simd
	for (int i = 0; i < WORDS; i++) {
		factor[2 * i] = (word[i] & 0xffff) < threshold ? 0.0f : scale;
		factor[2 * i + 1] = word[i] >> 16 < threshold ? 0.0f : scale;
	}
}

static void draw_factors(const struct aur_dropout_stream *stream, const uint32_t element[LANES], float factor[BATCH])
{
	uint32_t word[WORDS];
	draw(stream, element, word);
	factors_of_words(stream, word, factor);
}

static void store_groups(const float factor[BATCH], float *const to[LANES], int lanes)
{
	for (int i = 0; i < lanes; i++)
		memcpy(to[i], factor + i * GROUP, sizeof(float) * GROUP);
}

struct aur_dropout_stream aur_dropout_stream_of(const struct aur_dropout *dropout, uint32_t head, int64_t sequence)
{
	const uint64_t seed = dropout->state->seed;
	const uint64_t sample = dropout->state->first_sample + (uint64_t)sequence;
	const uint32_t threshold = (uint32_t)floor(65536.0 * (double)dropout->p + 0.5);
	return (struct aur_dropout_stream){
		.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
		.stream = aur_rng_stream(dropout->site, dropout->layer, head),
		.sample = {(uint32_t)sample, (uint32_t)(sample >> 32)},
		.threshold = threshold,
		.scale = threshold < 65536 ? (float)(65536.0 / (65536.0 - threshold)) : 0.0f,
	};
}

/* y = x * mask for n numbers in a row, whose first is the first of counter `element`. */
static void drop_run(const struct aur_dropout_stream *stream, uint32_t element, int64_t n, const float *x, float *y)
{
	uint32_t elements[LANES];
	float factor[BATCH];
	for (int64_t begin = 0; begin < n; begin += BATCH) {
		for (uint32_t i = 0; i < LANES; i++)
			elements[i] = element + (uint32_t)(begin / GROUP) + i;
		draw_factors(stream, elements, factor);
		const int64_t count = n - begin < BATCH ? n - begin : BATCH;
		const float *from = x + begin;
		float *to = y + begin;
#pragma omp simd
		for (int64_t i = 0; i < count; i++)
			to[i] = from[i] * factor[i];
	}
}

void aur_dropout_block(const struct aur_dropout *dropout, uint32_t head, int64_t sequence, int64_t begin, int64_t end,
	int64_t columns, const float *x, float *y)
{
	const int64_t groups = (columns + GROUP - 1) / GROUP;
	/* Rows of whole groups have consecutive counters, as one long row. */
	const int64_t longest = columns % GROUP == 0 ? sequence : 1;
	for (int64_t row = begin; row < end;) {
		const int64_t t = row % sequence;
		const int64_t left = end - row < sequence - t ? end - row : sequence - t;
		const int64_t rows = left < longest ? left : longest;
		const struct aur_dropout_stream stream = aur_dropout_stream_of(dropout, head, row / sequence);
		const int64_t offset = (row - begin) * columns;
		drop_run(&stream, (uint32_t)(t * groups), rows * columns, x + offset, y + offset);
		row += rows;
	}
}

void aur_dropout_rows(const struct aur_dropout *dropout, uint32_t head, int64_t sequence, int64_t begin, int64_t end,
	int64_t columns, const float *x, float *y)
{
	aur_dropout_block(dropout, head, sequence, begin, end, columns, x + begin * columns, y + begin * columns);
}

/* Groups of row `row` of a tile that hold a column up to its own position, in pairs. */
static int64_t groups_of_row(const struct aur_dropout_tile *tile, int64_t row)
{
	const int64_t seen = tile->row + row + 1 - tile->column;
	const int64_t columns = seen < 0 ? 0 : seen < tile->n ? seen : tile->n;
	return (columns + 2 * GROUP - 1) / (2 * GROUP) * 2;
}

/* Short rows share one batch of counters: a tile of 64 columns has at most eight groups a row. */
void aur_dropout_factors(
	const struct aur_dropout_stream *stream, const struct aur_dropout_tile *tile, float *factors, int64_t pitch)
{
	const int64_t row_groups = (tile->columns + GROUP - 1) / GROUP;
	uint32_t elements[LANES] = {0};
	float factor[BATCH];
	float *to[LANES];
	int lanes = 0;
	for (int64_t row = 0; row < tile->rows; row++) {
		const int64_t groups = groups_of_row(tile, row);
		const int64_t first = (tile->row + row) * row_groups + tile->column / GROUP;
		for (int64_t group = 0; group < groups; group++) {
			elements[lanes] = (uint32_t)(first + group);
			to[lanes++] = factors + row * pitch + group * GROUP;
			if (lanes == LANES) {
				draw_factors(stream, elements, factor);
				store_groups(factor, to, lanes);
				lanes = 0;
			}
		}
	}
	draw_factors(stream, elements, factor);
	store_groups(factor, to, lanes);
}
