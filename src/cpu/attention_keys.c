#include "attention.h"
#include "attention_vector.h"
#include "gemm_kernel.h"
#include "gemm_pack.h"
#include "rows.h"

/* Backward, one head. Tiles stand on their side: rows are keys, columns the queries of a block. So of the five products
 * four find their operands as the tile lies, and only dQ needs dS once more, in panels. With F the mask of dropout:
 *   P = exp(S - lse)   dV += (P F)^T dO   dS = P (F (dO V^T) - delta) scale   dK += dS^T Q   dQ^T += K^T dS^T
 *
 *   for each block of queries                 pack Q and dO, both ways
 *     for each group of keys that they see
 *       for AUR_PANEL_ROWS keys               S^T, (dO V^T)^T; P, dS; dV and dK
 *       dQ^T of the group
 */

enum {
	QUERIES = AUR_ATTENTION_BLOCK,
	ROWS = AUR_PANEL_ROWS,
	COLUMNS = AUR_PANEL_COLUMNS,
	GROUP = ROWS == 14 ? 56 : 48,        /* keys; a multiple of ROWS, and of the 8 that dropout draws at a time */
	STRIP = COLUMNS < 16 ? COLUMNS : 16, /* columns that softmax works on at a time */
	UNIT = COLUMNS < 16 ? 16 : COLUMNS,  /* columns that a tile begins and ends at */
	FACTORS = 64,                        /* pitch of dropout's factors, as they are drawn */
	TILE = AUR_ATTENTION_TILE_FLOATS,
	MOST_ROWS = AUR_GEMM_MOST_ROWS,
	DEPTH = AUR_GEMM_DEPTH,
};

struct scratch {
	float *q_across, *q_along, *o_across, *o_along; /* the block of queries: Q and dO */
	float *keys, *values;                           /* lines of a tile */
	float *s, *d;                                   /* the tile: S becomes P, dO V^T becomes dS */
	float *key_steps;                               /* the group, [panel of D][steps][MOST_ROWS] */
	float *panels;                                  /* dS of the group, [panel of queries][GROUP][COLUMNS] */
	float *dq;                                      /* [D rounded up][dq_pitch] */
	float *drawn, *factors;                         /* dropout's: [QUERIES][FACTORS]; laid out as `panels` */
	float *lse, *delta;                             /* [QUERIES] */
	float *dk, *dv;                                 /* [T rounded up, pitch] */
};

struct work {
	const struct aur_attention_head *head;
	struct aur_attention_kind kind;
	struct scratch s;
	int64_t query, n; /* the block: its first query, and how many */
	int64_t dq_pitch; /* as many queries as a block of this text has: what is near together stays near */
	int64_t key;      /* first of the group */
};

static int64_t panels_of(int64_t size)
{
	return (size + ROWS - 1) / ROWS;
}

/* Memory handed out front to back. */
static float *take(float **at, int64_t floats)
{
	float *taken = *at;
	*at += aur_round_up(floats, 16);
	return taken;
}

static struct scratch carve(float *at, int64_t positions, int64_t size)
{
	const int64_t block = aur_attention_block_floats(size), lines = aur_attention_lines_floats(size);
	const int64_t sums = (aur_round_up(positions, ROWS) + MOST_ROWS) * aur_attention_pitch(size);
	return (struct scratch){
		.q_across = take(&at, block),
		.q_along = take(&at, block),
		.o_across = take(&at, block),
		.o_along = take(&at, block),
		.keys = take(&at, lines),
		.values = take(&at, lines),
		.s = take(&at, TILE),
		.d = take(&at, TILE),
		.key_steps = take(&at, panels_of(size) * GROUP * MOST_ROWS),
		.panels = take(&at, GROUP * QUERIES),
		.dq = take(&at, (aur_attention_pitch(size) + MOST_ROWS) * QUERIES),
		.drawn = take(&at, QUERIES * FACTORS),
		.factors = take(&at, GROUP * QUERIES),
		.lse = take(&at, QUERIES),
		.delta = take(&at, QUERIES),
		.dk = take(&at, sums),
		.dv = take(&at, sums),
	};
}

int64_t aur_attention_keys_floats(int64_t positions, int64_t size)
{
	const int64_t sums = (aur_round_up(positions, ROWS) + MOST_ROWS) * aur_attention_pitch(size);
	return 4 * aur_attention_block_floats(size) + 2 * aur_attention_lines_floats(size) + 2 * TILE +
		   panels_of(size) * GROUP * MOST_ROWS + 2 * GROUP * QUERIES +
		   (aur_attention_pitch(size) + MOST_ROWS + FACTORS + 2) * QUERIES + 2 * sums;
}

int64_t aur_attention_key_groups(int64_t positions)
{
	return (positions + GROUP - 1) / GROUP;
}

/* Numbers [d, d + lanes) of a row; zero beyond them. */
static inline __attribute__((always_inline)) aur_vec numbers_of(
	const void *row, const enum aur_dtype type, int64_t d, int64_t lanes)
{
	_Alignas(64) float x[AUR_LANES] = {0};
	if (lanes == AUR_LANES)
#pragma omp simd
		for (int64_t i = 0; i < AUR_LANES; i++)
			x[i] = aur_element(row, d + i, type);
	else
		for (int64_t i = 0; i < lanes; i++)
			x[i] = aur_element(row, d + i, type);
	return *aur_vec_in(x);
}

/* The products of two rows, added up lane by lane. */
static inline __attribute__((always_inline)) aur_vec dot(
	const void *a, const void *b, const enum aur_dtype type, int64_t n)
{
	aur_vec sum = {0};
	for (int64_t d = 0; d < n; d += AUR_LANES) {
		const int64_t lanes = n - d < AUR_LANES ? n - d : AUR_LANES;
		sum = aur_vec_multiply_add(numbers_of(a, type, d, lanes), numbers_of(b, type, d, lanes), sum);
	}
	return sum;
}

/* delta_i = d_out_i . out_i; zero, as lse, beyond the block. */
static void take_statistics(const struct work *w)
{
	const struct aur_attention_head *head = w->head;
	_Alignas(64) float lanes[AUR_ATTENTION_LANES_FLOATS] = {0};
	memcpy(w->s.lse, head->lse + w->query, (size_t)w->n * sizeof(float));
	for (int64_t first = 0; first < w->n; first += MOST_ROWS) {
		const int64_t rows = w->n - first < MOST_ROWS ? w->n - first : MOST_ROWS;
		for (int64_t i = 0; i < rows; i++) {
			const void *out = aur_rows_from(head->out, w->query + first + i, 0).at;
			const void *d_out = aur_rows_from(head->d_out, w->query + first + i, 0).at;
			*aur_vec_at(lanes + i * AUR_LANES) = head->out.type == AUR_F32 ? dot(out, d_out, AUR_F32, head->size)
																		   : dot(out, d_out, AUR_BF16, head->size);
		}
		aur_attention_add_rows(lanes, w->s.delta + first);
	}
	const size_t beyond = (size_t)(aur_round_up(w->n, UNIT) - w->n) * sizeof(float);
	memset(w->s.lse + w->n, 0, beyond);
	memset(w->s.delta + w->n, 0, beyond);
}

/* Dropout is drawn along the keys, and needed along the queries. */
static void draw(const struct work *w, int64_t keys)
{
	const struct aur_dropout_tile tile = {w->head->positions, w->query, w->n, w->key, keys};
	aur_dropout_factors(w->head->dropout, &tile, w->s.drawn, FACTORS);
	for (int64_t i = 0; i < w->n; i += COLUMNS)
		aur_pack_by_steps(&(struct aur_pack_source){.data = w->s.drawn + i * FACTORS,
							  .type = AUR_F32,
							  .along = 1,
							  .pitch = FACTORS,
							  .lines = w->n - i < COLUMNS ? w->n - i : COLUMNS,
							  .depth = keys},
			COLUMNS, w->s.factors + i * GROUP);
}

/* One key against STRIP queries: scores become P, and dO V^T becomes dS. */
static inline void softmax_panel(float *s, float *d, const float *lse, const float *delta, float scale)
{
#pragma omp simd
	for (int64_t j = 0; j < STRIP; j++) {
		const float p = aur_exp_below(s[j] - lse[j]);
		s[j] = p;
		d[j] = p * (d[j] - delta[j]) * scale;
	}
}

/* The same with F; s becomes P F. */
static inline void softmax_panel_dropped(
	float *s, float *d, const float *factors, const float *lse, const float *delta, float scale)
{
#pragma omp simd
	for (int64_t j = 0; j < STRIP; j++) {
		const float p = aur_exp_below(s[j] - lse[j]);
		s[j] = p * factors[j];
		d[j] = p * (d[j] * factors[j] - delta[j]) * scale;
	}
}

/* Rows of a tile that begins at row `row` of the group, over whole strips of columns. What a query does not see is 0.
 */
struct place {
	int64_t row, rows;
	struct aur_attention_range columns;
};

static void softmax_row(const struct work *w, int64_t row, struct aur_attention_range columns, float *s, float *d)
{
	const int64_t hidden = w->key + row - w->query;
	for (int64_t j = columns.begin; j < columns.end; j += STRIP) {
		const float *factors = w->s.factors + j / COLUMNS * COLUMNS * GROUP + row * COLUMNS + j % COLUMNS;
		if (w->head->dropout)
			softmax_panel_dropped(s + j, d + j, factors, w->s.lse + j, w->s.delta + j, w->head->scale);
		else
			softmax_panel(s + j, d + j, w->s.lse + j, w->s.delta + j, w->head->scale);
	}
	for (int64_t j = columns.begin; j < hidden && j < columns.end; j++)
		s[j] = d[j] = 0.0f;
}

/* dS once more, as the product for dQ reads it. */
static void copy_row(const struct work *w, const struct place *place, int64_t i)
{
	const float *d = w->s.d + i * DEPTH;
	float *to = w->s.panels + (place->row + i) * COLUMNS;
	for (int64_t j = place->columns.begin; j < place->columns.end; j += COLUMNS)
		memcpy(to + j * GROUP, d + j, COLUMNS * sizeof *d);
}

static void finish_tile(const struct work *w, const struct place *place)
{
	const struct aur_attention_range c = place->columns;
	if (w->kind.pairs && place->rows % 2 != 0)
		memset(w->s.d + place->rows * DEPTH, 0, DEPTH * sizeof(float));
	for (int64_t i = 0; i < place->rows; i++) {
		if (!w->kind.pairs)
			copy_row(w, place, i);
		else if (i % 2 == 0)
			aur_attention_narrow_two(w->s.d + i * DEPTH, w->s.d + (i + 1) * DEPTH, c.begin, c.end,
				w->s.panels + (place->row + i) / 2 * COLUMNS, GROUP / 2 * COLUMNS);
		if (w->kind.pairs)
			aur_attention_narrow(w->s.s + i * DEPTH, c.begin, c.end);
	}
}

/* Key `row` of the group, row i of the tile, in the sixteens of queries that see it. */
static void tiny_row(const struct work *w, int64_t row, int64_t i)
{
	const int64_t size = w->kind.size, key = w->key + row, pitch = aur_attention_pitch(size);
	const int64_t first = key > w->query ? key - w->query : 0;
	const struct aur_attention_range columns = {first / 16 * 16, aur_round_up(w->n, 16)};
	const float *k = w->s.keys + i * DEPTH, *v = w->s.values + i * DEPTH;
	const int add = key < w->query;
	if (first >= w->n)
		return;
	aur_attention_tiny_scores(k, w->s.q_across, size, w->head->scale, columns, w->s.s);
	aur_attention_tiny_scores(v, w->s.o_across, size, 1.0f, columns, w->s.d);
	softmax_row(w, row, columns, w->s.s, w->s.d);
	aur_attention_tiny_gather(w->s.s, w->s.o_across, size, columns, add, w->s.dv + key * pitch);
	aur_attention_tiny_gather(w->s.d, w->s.q_across, size, columns, add, w->s.dk + key * pitch);
	aur_attention_tiny_scatter(w->s.d, k, size, columns, w->s.dq);
}

static void tiny_tile(const struct work *w, int64_t row, int64_t rows)
{
	aur_attention_pack_lines(&w->kind, aur_rows_from(w->head->k, w->key + row, 0), rows, w->s.keys);
	aur_attention_pack_lines(&w->kind, aur_rows_from(w->head->v, w->key + row, 0), rows, w->s.values);
	for (int64_t i = 0; i < rows; i++)
		tiny_row(w, row + i, i);
}

static void tile(const struct work *w, int64_t row, int64_t rows)
{
	const struct aur_attention_kind *kind = &w->kind;
	const int64_t key = w->key + row, pitch = aur_attention_pitch(kind->size);
	const int64_t first = key > w->query ? key - w->query : 0;
	const struct aur_attention_range seen = {first / 2 * 2, w->n};
	const struct place place = {row, rows, {first / UNIT * UNIT, aur_round_up(w->n, UNIT)}};
	const struct aur_attention_lines keys =
		aur_attention_lines_of(kind, aur_rows_from(w->head->k, key, 0), rows, w->s.keys);
	const struct aur_attention_lines values =
		aur_attention_lines_of(kind, aur_rows_from(w->head->v, key, 0), rows, w->s.values);
	aur_attention_scores(kind, &keys, rows, w->s.q_across, seen, w->head->scale, w->s.s);
	aur_attention_scores(kind, &values, rows, w->s.o_across, seen, 1.0f, w->s.d);
	for (int64_t i = 0; i < rows; i++)
		softmax_row(w, row + i, place.columns, w->s.s + i * DEPTH, w->s.d + i * DEPTH);
	finish_tile(w, &place);
	const int add = key < w->query;
	aur_attention_gather(kind, w->s.s, rows, w->s.o_along, seen, add, w->s.dv + key * pitch);
	aur_attention_gather(kind, w->s.d, rows, w->s.q_along, seen, add, w->s.dk + key * pitch);
}

/* dQ^T += K^T dS^T over the group's `keys` keys: panels of rows of nearly equal, even heights. */
static void add_to_queries(const struct work *w, int64_t keys)
{
	const int64_t size = w->kind.size, halves = (size + 1) / 2, panels = panels_of(size);
	for (int64_t i = 0; i < panels; i++) {
		const int64_t d = halves * i / panels * 2, end = halves * (i + 1) / panels * 2;
		const int64_t rows = (end < size ? end : size) - d;
		float *a = w->s.key_steps;
		const struct aur_rows from = aur_rows_from(w->head->k, w->key, d);
		aur_pack_by_steps(&(struct aur_pack_source){.data = from.at,
							  .type = from.type,
							  .pitch = from.pitch,
							  .lines = rows,
							  .depth = keys,
							  .readable = size - d + size,
							  .pairs = w->kind.pairs},
			MOST_ROWS, a);
		const aur_kernel kernel = aur_gemm_kernel_of(w->kind.pairs, AUR_A_BY_STEPS, rows, 2);
		for (int64_t j = 0; j < w->n; j += COLUMNS) {
			const int64_t seen = w->query + j + COLUMNS - w->key, used = seen < keys ? seen : keys;
			const int64_t steps = w->kind.pairs ? (used + 1) / 2 : used;
			const float *b = w->s.panels + j * (w->kind.pairs ? GROUP / 2 : GROUP);
			if (seen > 0)
				kernel(&(struct aur_tile){.steps = steps,
					.a = a,
					.b = b,
					.b_pitch = COLUMNS,
					.alpha = 1.0f,
					.add = 1,
					.out = w->s.dq + d * w->dq_pitch + j,
					.pitch = w->dq_pitch});
		}
	}
}

static void add_group(const struct work *w)
{
	const int64_t end = w->query + w->n, left = end - w->key;
	int64_t keys = aur_round_up(left < GROUP ? left : GROUP, ROWS);
	keys = w->key + keys < w->head->positions ? keys : w->head->positions - w->key;
	if (w->head->dropout)
		draw(w, keys);
	for (int64_t row = 0; row < keys; row += ROWS) {
		const int64_t rows = keys - row < ROWS ? keys - row : ROWS;
		if (w->kind.tiny)
			tiny_tile(w, row, rows);
		else
			tile(w, row, rows);
	}
	if (!w->kind.tiny)
		add_to_queries(w, keys);
}

static void store_queries(const struct work *w)
{
	const int64_t pitch = aur_attention_pitch(w->kind.size);
	float *rows = w->s.q_across; /* no longer needed */
	aur_pack_by_steps(
		&(struct aur_pack_source){
			.data = w->s.dq, .type = AUR_F32, .along = 1, .pitch = w->dq_pitch, .lines = w->kind.size, .depth = w->n},
		pitch, rows);
	for (int64_t i = 0; i < w->n; i++)
		aur_attention_store(w->head->dq, w->query + i, rows + i * pitch, 1.0f, w->kind.size);
}

static void add_block(struct work *w, int64_t part, int64_t parts)
{
	const struct aur_attention_head *head = w->head;
	const struct aur_rows q = aur_rows_from(head->q, w->query, 0), d_out = aur_rows_from(head->d_out, w->query, 0);
	aur_attention_pack_across(&w->kind, q, w->n, w->s.q_across);
	aur_attention_pack_across(&w->kind, d_out, w->n, w->s.o_across);
	if (!w->kind.tiny) {
		aur_attention_pack_along(&w->kind, q, w->n, w->s.q_along);
		aur_attention_pack_along(&w->kind, d_out, w->n, w->s.o_along);
	}
	take_statistics(w);
	memset(w->s.dq, 0, (size_t)(aur_attention_pitch(head->size) * w->dq_pitch) * sizeof(float));
	for (w->key = part * GROUP; w->key < w->query + w->n; w->key += parts * GROUP)
		add_group(w);
	store_queries(w);
}

void aur_attention_keys(const struct aur_attention_head *head, int64_t part, int64_t parts, float *memory)
{
	const int64_t positions = head->positions, pitch = aur_attention_pitch(head->size);
	struct work w = {.head = head,
		.kind = aur_attention_kind_of(head->size, head->q.type),
		.s = carve(memory, positions, head->size)};
	/* The loops of tiny heads have the pitch of a full block built in. */
	w.dq_pitch = w.kind.tiny || positions > QUERIES ? QUERIES : aur_round_up(positions, UNIT);
	for (w.query = 0; w.query < positions; w.query += QUERIES) {
		w.n = positions - w.query < QUERIES ? positions - w.query : QUERIES;
		add_block(&w, part, parts);
	}
	for (int64_t group = part * GROUP; group < positions; group += parts * GROUP)
		for (int64_t key = group; key < group + GROUP && key < positions; key++) {
			aur_attention_store(head->dk, key, w.s.dk + key * pitch, 1.0f, head->size);
			aur_attention_store(head->dv, key, w.s.dv + key * pitch, 1.0f, head->size);
		}
}
