#include "attention.h"
#include "attention_vector.h"
#include "rows.h"

#include <math.h>
#include <omp.h>

/* A running softmax (Milakov, Gimelshein 2018, arXiv:1805.02867) over blocks of keys: of each query the largest score
 * so far, the sum of exp(score - largest) and the weighted sum of values; the last two are rescaled when a block brings
 * a larger score. A NaN among the scores is no maximum, and reaches the sum through exp. */

enum { QUERIES = AUR_ATTENTION_QUERIES, KEYS = AUR_ATTENTION_BLOCK, ROWS = AUR_PANEL_ROWS, LANES = 16 };

struct scratch {
	float *keys, *values, *lines, *tile, *factors;
	float *sums; /* the weighted values, [QUERIES, pitch] */
	float *largest, *sum;
};

int64_t aur_attention_queries_floats(int64_t size)
{
	return 2 * aur_attention_block_floats(size) + aur_attention_lines_floats(size) + 2 * AUR_ATTENTION_TILE_FLOATS +
		   (QUERIES + LANES) * (aur_attention_pitch(size) + 2);
}

static struct scratch carve(float *at, int64_t size)
{
	struct scratch s = {.keys = at, .values = at + aur_attention_block_floats(size)};
	s.lines = s.values + aur_attention_block_floats(size);
	s.tile = s.lines + aur_attention_lines_floats(size);
	s.factors = s.tile + AUR_ATTENTION_TILE_FLOATS;
	s.sums = s.factors + AUR_ATTENTION_TILE_FLOATS;
	s.largest = s.sums + (QUERIES + LANES) * aur_attention_pitch(size);
	s.sum = s.largest + QUERIES + LANES;
	return s;
}

/* n > 0, a multiple of LANES. Lane by lane; a NaN is no maximum. */
static aur_vec largest_lanes(const float *s, int64_t n)
{
	aur_vec largest = aur_vec_of(-INFINITY);
	for (int64_t j = 0; j < n; j += AUR_LANES)
		largest = aur_vec_larger(*aur_vec_in(s + j), largest);
	return largest;
}

/* Scores become exp(score - largest). Returns their sum, lane by lane. */
static aur_vec exponentials(float *s, int64_t n, float largest)
{
	const aur_vec shift = aur_vec_of(largest);
	aur_vec sum = {0};
	for (int64_t j = 0; j < n; j += AUR_LANES) {
		const aur_vec e = aur_vec_exp_below(*aur_vec_in(s + j) - shift);
		*aur_vec_at(s + j) = e;
		sum += e;
	}
	return sum;
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

/* A tile: rows [row, row + rows) of the unit against keys [key, key + n), of which row i sees i + first. */
struct place {
	int64_t row, rows, key, n, first;
};

static int64_t seen_by(const struct place *place, int64_t i)
{
	const int64_t keys = place->first + i;
	return keys < 0 ? 0 : keys < place->n ? keys : place->n;
}

/* The largest score of each row, of those seen; what is not seen becomes 0 or, among the last sixteen seen, -inf. */
static void largest_scores(const struct scratch *scratch, const struct place *place, float *largest)
{
	const int64_t width = aur_round_up(place->n, LANES);
	_Alignas(64) float lanes[AUR_ATTENTION_LANES_FLOATS] = {0};
	for (int64_t i = 0; i < place->rows; i++) {
		float *s = scratch->tile + i * KEYS;
		const int64_t seen = seen_by(place, i), n = aur_round_up(seen, LANES);
		for (int64_t j = seen; j < n; j++)
			s[j] = -INFINITY;
		memset(s + n, 0, (size_t)(width - n) * sizeof *s);
		*aur_vec_at(lanes + i * AUR_LANES) = largest_lanes(s, n);
	}
	aur_attention_largest_of_rows(lanes, largest);
}

/* Scores become exp(score - largest), 0 from those seen on. */
static void softmax_tile(
	const struct aur_attention_kind *kind, const struct scratch *scratch, const struct place *place)
{
	float *largest = scratch->largest + place->row, *sum = scratch->sum + place->row;
	_Alignas(64) float here[AUR_GEMM_MOST_ROWS], sums[AUR_GEMM_MOST_ROWS], rescale[AUR_GEMM_MOST_ROWS] = {0};
	_Alignas(64) float lanes[AUR_ATTENTION_LANES_FLOATS] = {0};
	largest_scores(scratch, place, here);
	for (int64_t i = 0; i < place->rows; i++) {
		const float now = largest[i] < here[i] ? here[i] : largest[i];
		rescale[i] = largest[i] - now;
		largest[i] = now;
	}
	for (int64_t i = 0; i < AUR_GEMM_MOST_ROWS; i += AUR_LANES)
		*aur_vec_at(rescale + i) = aur_vec_exp_below(*aur_vec_in(rescale + i));
	for (int64_t i = 0; i < place->rows; i++)
		*aur_vec_at(lanes + i * AUR_LANES) =
			exponentials(scratch->tile + i * KEYS, aur_round_up(seen_by(place, i), LANES), largest[i]);
	aur_attention_add_rows(lanes, sums);
	for (int64_t i = 0; i < place->rows; i++) {
		if (seen_by(place, i) == 0)
			continue;
		sum[i] *= rescale[i];
		if (place->key > 0)
			scale_row(scratch->sums + (place->row + i) * aur_attention_pitch(kind->size), rescale[i], kind->size);
	}
	for (int64_t i = 0; i < place->rows; i++)
		sum[i] += sums[i];
}

static void drop(const struct aur_attention_queries *t, const struct scratch *scratch, const struct place *place)
{
	const struct aur_dropout_tile tile = {t->positions, t->first + place->row, place->rows, place->key, place->n};
	aur_dropout_factors(t->dropout, &tile, scratch->factors, KEYS);
	for (int64_t i = 0; i < place->rows; i++)
		multiply(scratch->tile + i * KEYS, scratch->factors + i * KEYS, aur_round_up(seen_by(place, i), LANES));
}

/* Of each row as far as it sees. */
static void tiny_scores(const struct aur_attention_queries *t, const struct scratch *scratch, const struct place *place)
{
	for (int64_t i = 0; i < place->rows; i++)
		aur_attention_tiny_scores(scratch->lines + i * AUR_GEMM_DEPTH, scratch->keys, t->size, t->scale,
			(struct aur_attention_range){0, seen_by(place, i)}, scratch->tile + i * KEYS);
}

static void tiny_gather(const struct aur_attention_queries *t, const struct scratch *scratch, const struct place *place)
{
	for (int64_t i = 0; i < place->rows; i++)
		aur_attention_tiny_gather(scratch->tile + i * KEYS, scratch->values, t->size,
			(struct aur_attention_range){0, seen_by(place, i)}, place->key > 0,
			scratch->sums + (place->row + i) * aur_attention_pitch(t->size));
}

static void add_tile(const struct aur_attention_queries *t, const struct aur_attention_kind *kind,
	const struct scratch *scratch, const struct place *place)
{
	const struct aur_attention_range columns = {0, place->n};
	const struct aur_rows q = aur_rows_from(t->q, place->row, 0);
	if (kind->tiny) {
		aur_attention_pack_lines(kind, q, place->rows, scratch->lines);
		tiny_scores(t, scratch, place);
	} else {
		const struct aur_attention_lines lines = aur_attention_lines_of(kind, q, place->rows, scratch->lines);
		aur_attention_scores(kind, &lines, place->rows, scratch->keys, columns, t->scale, scratch->tile);
	}
	softmax_tile(kind, scratch, place);
	if (t->dropout)
		drop(t, scratch, place);
	for (int64_t i = 0; kind->pairs && i < place->rows; i++)
		aur_attention_narrow(scratch->tile + i * KEYS, 0, aur_round_up(place->n, LANES));
	if (kind->tiny)
		tiny_gather(t, scratch, place);
	else
		aur_attention_gather(kind, scratch->tile, place->rows, scratch->values, columns, place->key > 0,
			scratch->sums + place->row * aur_attention_pitch(kind->size));
}

/* Keys [key, key + n) against all queries that see one of them. */
static void add_block(const struct aur_attention_queries *t, const struct aur_attention_kind *kind,
	const struct scratch *scratch, int64_t key, int64_t n)
{
	aur_attention_pack_across(kind, aur_rows_from(t->k, key, 0), n, scratch->keys);
	aur_attention_pack_along(kind, aur_rows_from(t->v, key, 0), n, scratch->values);
	for (int64_t row = 0; row < t->rows; row += ROWS) {
		const int64_t rows = t->rows - row < ROWS ? t->rows - row : ROWS;
		struct place place = {row, rows, key, n, t->first + row + 1 - key};
		place.n = seen_by(&place, rows - 1);
		if (place.n > 0)
			add_tile(t, kind, scratch, &place);
	}
}

void aur_attention_queries(const struct aur_attention_queries *t, float *memory)
{
	const struct aur_attention_kind kind = aur_attention_kind_of(t->size, t->q.type);
	const struct scratch scratch = carve(memory, t->size);
	for (int64_t i = 0; i < t->rows; i++) {
		scratch.largest[i] = -INFINITY;
		scratch.sum[i] = 0.0f;
	}
	const int64_t end = t->first + t->rows;
	for (int64_t key = 0; key < end; key += KEYS)
		add_block(t, &kind, &scratch, key, end - key < KEYS ? end - key : KEYS);
	for (int64_t i = 0; i < t->rows; i++) {
		aur_attention_store(t->out, i, scratch.sums + i * aur_attention_pitch(t->size), 1.0f / scratch.sum[i], t->size);
		if (t->lse)
			t->lse[i] = scratch.largest[i] + logf(scratch.sum[i]);
	}
}

int64_t aur_attention_unit_rows(int64_t units, int64_t rows)
{
	const int64_t wanted = 4 * (int64_t)omp_get_max_threads();
	const int64_t parts = units >= wanted ? 1 : (wanted + units - 1) / units;
	const int64_t each = aur_round_up((rows + parts - 1) / parts, 12 * ROWS);
	return each < QUERIES ? each : QUERIES;
}
