#ifndef AUR_CPU_ATTENTION_H
#define AUR_CPU_ATTENTION_H

/* Pieces of attention. A tile is AUR_ATTENTION_QUERIES rows of queries against a block of keys; its sizes are
 * constants, so that bits do not depend on the threads. Rows of a tile begin at multiples of 16 floats and are worked
 * on in whole sixteens: what lies beyond the keys is kept at zero. */

#include "dropout.h"
#include "internal.h"

enum {
	AUR_ATTENTION_QUERIES = 64,
	AUR_ATTENTION_TINY = 16, /* up to this head size loops over the keys beat the matrix library */
};

static inline int64_t aur_round16(int64_t n)
{
	return (n + 15) / 16 * 16;
}

/* Rows of a tensor, `pitch` floats apart. */
struct aur_rows {
	float *at;
	int64_t pitch;
};

/* n keys (or values) of `size` numbers. `columns`: for tiny heads a transposed copy, [size rounded up to 4][capacity],
 * zero from n to the next multiple of 16; NULL otherwise. */
struct aur_panel {
	struct aur_rows rows;
	float *columns;
	int64_t capacity;
	int64_t n, size;
};

/* Floats that `columns` takes: 0 when the head is not tiny. */
static inline int64_t aur_panel_floats(int64_t size, int64_t capacity)
{
	return size <= AUR_ATTENTION_TINY ? (size + 3) / 4 * 4 * capacity : 0;
}

/* The panel of n rows; `room` holds aur_panel_floats(size, capacity) floats. */
struct aur_panel aur_attention_panel_of(struct aur_rows rows, int64_t n, int64_t size, float *room, int64_t capacity);

/* The rows of a tile, and how many keys of the block the first one sees (it may be none, or negative); each row sees
 * one more than the row before. */
struct aur_seen {
	int64_t rows;
	int64_t first;
};

static inline int64_t aur_seen_by(struct aur_seen seen, int64_t row, int64_t n)
{
	const int64_t keys = seen.first + row;
	return keys < 0 ? 0 : keys < n ? keys : n;
}

/* The sixteens of row `row` that hold a key it sees. */
static inline int64_t aur_seen_width(struct aur_seen seen, int64_t row, int64_t n)
{
	return aur_round16(aur_seen_by(seen, row, n));
}

/* tile [rows, panel.n] = scale x panel^T.   x [rows, size]. What a row does not see is undefined. */
void aur_attention_scores(
	struct aur_rows x, struct aur_seen seen, const struct aur_panel *panel, float scale, struct aur_rows tile);

/* y [rows, size] = (or += when `add`) tile panel. The tile is zero where a row does not see. */
void aur_attention_gather(
	struct aur_rows tile, struct aur_seen seen, const struct aur_panel *panel, int add, struct aur_rows y);

/* sums += tile^T x: into sums->columns for tiny heads, into sums->rows otherwise. */
void aur_attention_scatter(struct aur_rows tile, struct aur_seen seen, struct aur_rows x, const struct aur_panel *sums);

/* At most AUR_ATTENTION_QUERIES queries of one head against all keys that they see. */
struct aur_attention_queries {
	struct aur_rows q, k, v, out; /* q and out at the first query, k and v at position 0 */
	float *lse;                   /* of the first query; NULL: not wanted */
	int64_t first;                /* position of the first query */
	int64_t rows;
	int64_t size; /* D */
	float scale;
	const struct aur_dropout_stream *dropout; /* NULL: none */
	int64_t positions;                        /* columns of dropout's mask */
};

void aur_attention_queries(const struct aur_attention_queries *queries, float *scratch);

/* Floats of scratch memory it needs. */
int64_t aur_attention_queries_floats(int64_t size);

/* The sizes of one call, checked. */
struct aur_attention_sizes {
	int64_t batch, positions, heads, width, head; /* head: D */
};

/* What the backward pass needs; attention.c adds it to its own. */
struct aur_cpu_scratch aur_attention_backward_scratch(int64_t positions, int64_t head);

#endif
