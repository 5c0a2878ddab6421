#include "dropout.h"

#include "core/rng.h"

#include <math.h>
#include <string.h>

#if defined __SSE2__
#include <immintrin.h>
#endif

/* Counters are drawn sixteen at a time, 128 elements. A vector holds one word of several of them, each in the low half
 * of a lane of 64 bits: the multiplication of low halves to whole lanes then gives both halves of the product, and what
 * the high half of a lane holds otherwise is of no matter. */
enum { COUNTERS = 16, GROUP = 8, BATCH = COUNTERS * GROUP };

#if defined __AVX512F__

enum { LANES = 8 };
typedef uint64_t lanes __attribute__((vector_size(64)));

static inline lanes multiply(lanes a, lanes b)
{
	return (lanes)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}

static inline void store_pairs(void *to, lanes low, lanes high)
{
	_mm512_storeu_si512(to, _mm512_unpacklo_epi64((__m512i)low, (__m512i)high));
	_mm512_storeu_si512((char *)to + 64, _mm512_unpackhi_epi64((__m512i)low, (__m512i)high));
}

#elif defined __AVX2__

enum { LANES = 4 };
typedef uint64_t lanes __attribute__((vector_size(32)));

static inline lanes multiply(lanes a, lanes b)
{
	return (lanes)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}

static inline void store_pairs(void *to, lanes low, lanes high)
{
	_mm256_storeu_si256(to, _mm256_unpacklo_epi64((__m256i)low, (__m256i)high));
	_mm256_storeu_si256((__m256i *)to + 1, _mm256_unpackhi_epi64((__m256i)low, (__m256i)high));
}

#else

enum { LANES = 2 };
typedef uint64_t lanes __attribute__((vector_size(16)));

static inline lanes multiply(lanes a, lanes b)
{
#if defined __SSE2__
	return (lanes)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
	return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

static inline void store_pairs(void *to, lanes low, lanes high)
{
	const uint64_t words[4] = {low[0], high[0], low[1], high[1]};
	memcpy(to, words, sizeof words);
}

#endif

static inline lanes in_all(uint64_t x)
{
	return x - (lanes){0};
}

/* Vectors of LANES counters; lane 2i holds counter i and lane 2i + 1 counter LANES/2 + i, which is where store_pairs
 * takes them from. */
static inline lanes lanes_of(const uint32_t element[LANES])
{
	lanes x = {0};
	for (int i = 0; i < LANES / 2; i++) {
		x[2 * i] = element[i];
		x[2 * i + 1] = element[LANES / 2 + i];
	}
	return x;
}

struct counters {
	lanes v[4];
};

static inline struct counters philox_round(struct counters c, lanes key0, lanes key1)
{
	const lanes a = multiply(c.v[0], in_all(PHILOX_M4x32_0));
	const lanes b = multiply(c.v[2], in_all(PHILOX_M4x32_1));
	return (struct counters){{(b >> 32) ^ c.v[1] ^ key0, b, (a >> 32) ^ c.v[3] ^ key1, a}};
}

static inline struct counters first_of(const struct aur_dropout_stream *s, lanes element)
{
	return (struct counters){{element, in_all(s->stream), in_all(s->sample[0]), in_all(s->sample[1])}};
}

static inline void store_halves(struct counters c, uint16_t half[LANES * GROUP])
{
	store_pairs(half, (c.v[0] & 0xffffffffu) | c.v[1] << 32, (c.v[2] & 0xffffffffu) | c.v[3] << 32);
}

/* aur_philox of 2 LANES elements, as half-words in order (on the little-endian machines there are). Two chains of
 * multiplications at once, as each waits for its own results. */
static inline void philox(const struct aur_dropout_stream *s, lanes low, lanes high, uint16_t half[2 * LANES * GROUP])
{
	struct counters a = first_of(s, low), b = first_of(s, high);
	for (uint32_t round = 0; round < 10; round++) {
		const lanes key0 = in_all(s->keys[round][0]), key1 = in_all(s->keys[round][1]);
		a = philox_round(a, key0, key1);
		b = philox_round(b, key0, key1);
	}
	store_halves(a, half);
	store_halves(b, half + LANES * GROUP);
}

static void draw(const struct aur_dropout_stream *stream, const uint32_t element[COUNTERS], uint16_t half[BATCH])
{
	for (int i = 0; i < COUNTERS; i += 2 * LANES)
		philox(stream, lanes_of(element + i), lanes_of(element + i + LANES), half + i * GROUP);
}

static void factors_of(const struct aur_dropout_stream *stream, const uint16_t *half, int64_t n, float *factor)
{
	const uint32_t threshold = stream->threshold;
	const float scale = stream->scale;
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		factor[i] = half[i] < threshold ? 0.0f : scale;
}

static void draw_factors(const struct aur_dropout_stream *stream, const uint32_t element[COUNTERS], float factor[BATCH])
{
	_Alignas(64) uint16_t half[BATCH];
	draw(stream, element, half);
	factors_of(stream, half, BATCH, factor);
}

static void store_groups(const float factor[BATCH], float *const to[COUNTERS], int groups)
{
	for (int i = 0; i < groups; i++)
		memcpy(to[i], factor + i * GROUP, sizeof(float) * GROUP);
}

struct aur_dropout_stream aur_dropout_stream_of(const struct aur_dropout *dropout, uint32_t head, int64_t sequence)
{
	const uint64_t seed = dropout->state->seed;
	const uint64_t sample = dropout->state->first_sample + (uint64_t)sequence;
	const uint32_t threshold = (uint32_t)floor(65536.0 * (double)dropout->p + 0.5);
	struct aur_dropout_stream stream = {
		.stream = aur_rng_stream(dropout->site, dropout->layer, head),
		.sample = {(uint32_t)sample, (uint32_t)(sample >> 32)},
		.threshold = threshold,
		.scale = threshold < 65536 ? (float)(65536.0 / (65536.0 - threshold)) : 0.0f,
	};
	for (uint32_t round = 0; round < 10; round++) {
		stream.keys[round][0] = (uint32_t)seed + round * PHILOX_W32_0;
		stream.keys[round][1] = (uint32_t)(seed >> 32) + round * PHILOX_W32_1;
	}
	return stream;
}

/* Of n elements in a row, whose first is the first of counter `element`. */
static void factors_of_run(const struct aur_dropout_stream *stream, uint32_t element, int64_t n, float *factor)
{
	static const uint32_t first[] = {0, 1, 2, 3, 4, 5, 6, 7};
	const lanes place = lanes_of(first);
	_Alignas(64) uint16_t half[BATCH];
	for (int64_t begin = 0; begin < n; begin += BATCH) {
		for (uint32_t i = 0; i < COUNTERS; i += 2 * LANES) {
			const lanes low = place + (element + (uint32_t)(begin / GROUP) + i);
			philox(stream, low, low + LANES, half + i * GROUP);
		}
		factors_of(stream, half, n - begin < BATCH ? n - begin : BATCH, factor + begin);
	}
}

void aur_dropout_rows(
	const struct aur_dropout *dropout, int64_t sequence, int64_t begin, int64_t end, int64_t columns, float *factors)
{
	const int64_t groups = (columns + GROUP - 1) / GROUP;
	/* Rows of whole groups have consecutive counters, as one long row. */
	const int64_t longest = columns % GROUP == 0 ? sequence : 1;
	for (int64_t row = begin; row < end;) {
		const int64_t t = row % sequence;
		const int64_t left = end - row < sequence - t ? end - row : sequence - t;
		const int64_t rows = left < longest ? left : longest;
		const struct aur_dropout_stream stream = aur_dropout_stream_of(dropout, 0, row / sequence);
		factors_of_run(&stream, (uint32_t)(t * groups), rows * columns, factors + (row - begin) * columns);
		row += rows;
	}
}

void aur_dropout_strip(
	const struct aur_dropout_stream *stream, int64_t row, int64_t columns, int64_t first, int64_t n, float *factors)
{
	const int64_t groups = (columns + GROUP - 1) / GROUP;
	factors_of_run(stream, (uint32_t)(row * groups + first / GROUP), n, factors);
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
	uint32_t elements[COUNTERS] = {0};
	float factor[BATCH];
	float *to[COUNTERS];
	int drawn = 0;
	for (int64_t row = 0; row < tile->rows; row++) {
		const int64_t groups = groups_of_row(tile, row);
		const int64_t first = (tile->row + row) * row_groups + tile->column / GROUP;
		for (int64_t group = 0; group < groups; group++) {
			elements[drawn] = (uint32_t)(first + group);
			to[drawn++] = factors + row * pitch + group * GROUP;
			if (drawn == COUNTERS) {
				draw_factors(stream, elements, factor);
				store_groups(factor, to, drawn);
				drawn = 0;
			}
		}
	}
	draw_factors(stream, elements, factor);
	store_groups(factor, to, drawn);
}
