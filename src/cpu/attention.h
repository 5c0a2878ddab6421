#ifndef AUR_CPU_ATTENTION_H
#define AUR_CPU_ATTENTION_H

/* Pieces of attention. A tile is AUR_PANEL_ROWS rows (of queries going forward, of keys going backward) against a block
 * of up to AUR_ATTENTION_BLOCK positions, which is packed once and serves every tile. A tile's rows lie as the matrix
 * kernels read them, [rows][AUR_GEMM_DEPTH], so that what one product writes and softmax works on in place is an
 * operand of the next. All sizes are constants, so that bits do not depend on the threads.
 *
 * Forward, D numbers a head:    S = Q K^T, P V                        4 D operations for each query and key it sees.
 * Backward:                     S, dO V^T, dV, dK, dQ                10 D.
 */

#include "dropout.h"
#include "gemm.h"
#include "gemm_kernel.h"
#include "gemm_vector.h"
#include "internal.h"

enum {
	AUR_ATTENTION_BLOCK = AUR_GEMM_DEPTH,
	AUR_ATTENTION_TINY = 16,      /* up to this head size loops over the positions beat the matrix kernels */
	AUR_ATTENTION_QUERIES = 1008, /* most queries that one unit of the forward pass handles; a multiple of the rows */
};

static inline int64_t aur_round_up(int64_t n, int64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* Rows of an activation, `pitch` elements apart. */
struct aur_rows {
	void *at;
	enum aur_dtype type;
	int64_t pitch;
};

static inline struct aur_rows aur_rows_from(struct aur_rows rows, int64_t row, int64_t column)
{
	rows.at = (char *)rows.at + (row * rows.pitch + column) * (rows.type == AUR_F32 ? 4 : 2);
	return rows;
}

/* How a head is multiplied: by loops, or by kernels of floats or of pairs of bf16. */
struct aur_attention_kind {
	int64_t size; /* D */
	int tiny, pairs;
};

static inline struct aur_attention_kind aur_attention_kind_of(int64_t size, enum aur_dtype type)
{
	const int tiny = size <= AUR_ATTENTION_TINY;
	return (struct aur_attention_kind){size, tiny, !tiny && type == AUR_BF16 && AUR_HAS_BF16_PRODUCT};
}

/* D with room for whole registers: the pitch, in floats, of sums of one head. */
static inline int64_t aur_attention_pitch(int64_t size)
{
	return aur_round_up(size, 16);
}

/* Floats of a packed block, and of a tile's rows as an operand of scores. */
static inline int64_t aur_attention_block_floats(int64_t size)
{
	return AUR_ATTENTION_BLOCK * aur_attention_pitch(size);
}

static inline int64_t aur_attention_lines_floats(int64_t size)
{
	return aur_round_up(size, AUR_GEMM_DEPTH) * AUR_GEMM_MOST_ROWS;
}

enum { AUR_ATTENTION_TILE_FLOATS = AUR_GEMM_MOST_ROWS * AUR_GEMM_DEPTH };

/* A block packed for scores: across, the positions side by side. */
void aur_attention_pack_across(const struct aur_attention_kind *kind, struct aur_rows rows, int64_t n, float *across);

/* A block packed for gather: along, the numbers of a position side by side (for tiny heads as above). */
void aur_attention_pack_along(const struct aur_attention_kind *kind, struct aur_rows rows, int64_t n, float *along);

/* Rows of a tile, packed for scores. */
void aur_attention_pack_lines(const struct aur_attention_kind *kind, struct aur_rows rows, int64_t n, float *lines);

/* Rows of a tile as scores read them: where they lie, or packed. */
struct aur_attention_lines {
	const float *at;
	int64_t pitch, stretch; /* floats from row to row, and from one AUR_GEMM_DEPTH of D to the next */
	enum aur_a_layout layout;
};

/* Not for tiny heads. `room` is for lines that have to be packed. */
struct aur_attention_lines aur_attention_lines_of(
	const struct aur_attention_kind *kind, struct aur_rows rows, int64_t n, float *room);

/* Columns [begin, end) of a block. */
struct aur_attention_range {
	int64_t begin, end;
};

/* Not for tiny heads: tile = scale x lines across, in these columns and others that fill the panels they lie in. */
void aur_attention_scores(const struct aur_attention_kind *kind, const struct aur_attention_lines *lines, int64_t rows,
	const float *across, struct aur_attention_range columns, float scale, float *tile);

/* Of AUR_GEMM_MOST_ROWS rows of AUR_LANES numbers side by side: out[i], aligned to 64 bytes and of as many numbers, is
 * the sum of row i in the order of its numbers, or its largest, a NaN being none. */
enum { AUR_ATTENTION_LANES_FLOATS = AUR_GEMM_MOST_ROWS * AUR_LANES };
void aur_attention_add_rows(const float *lanes, float *out);
void aur_attention_largest_of_rows(const float *lanes, float *out);

/* Not for tiny heads: y [rows rounded up to 2, pitch] = (or += when `add`) tile x along, over these columns: pairs of
 * bf16 where the kind says so. `begin` is even; the tile holds zeros from `end` on to the next even number. */
void aur_attention_gather(const struct aur_attention_kind *kind, const float *tile, int64_t rows, const float *along,
	struct aur_attention_range columns, int add, float *y);

/* Floats of a row in a tile become bf16 in the same place, in columns [begin, end), which are multiples of 16. */
void aur_attention_narrow(float *row, int64_t begin, int64_t end);

/* The same of two rows, and each pair of them, side by side in 32 columns, into `pairs` at [panel][pitch]. */
void aur_attention_narrow_two(float *row, float *next, int64_t begin, int64_t end, float *pairs, int64_t pitch);

/* Loops of tiny heads for one row of a tile, in the sixteens that hold these columns; `columns` is a block as either
 * pack leaves it, [D rounded up to 4][AUR_ATTENTION_BLOCK]. s = scale x columns; y = (or +=) p columns^T;
 * columns += x p. */
void aur_attention_tiny_columns(struct aur_rows rows, int64_t n, int64_t size, float *columns);
void aur_attention_tiny_scores(
	const float *x, const float *columns, int64_t size, float scale, struct aur_attention_range range, float *s);
void aur_attention_tiny_gather(
	const float *p, const float *columns, int64_t size, struct aur_attention_range range, int add, float *y);
void aur_attention_tiny_scatter(
	const float *p, const float *x, int64_t size, struct aur_attention_range range, float *columns);

/* x[0..n) as the type of `to`, row `row`. */
void aur_attention_store(struct aur_rows to, int64_t row, const float *x, float scale, int64_t n);

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

/* A query's results do not depend on which others come with it. scratch: aur_attention_queries_floats(D). */
void aur_attention_queries(const struct aur_attention_queries *queries, float *scratch);
int64_t aur_attention_queries_floats(int64_t size);

/* Queries that one unit of work holds when `units` (heads of sequences) of `rows` queries are shared by all threads:
 * a head is cut only where there are few. */
int64_t aur_attention_unit_rows(int64_t units, int64_t rows);

/* One row of a new text: running softmax over keys and values that are read once. */
void aur_attention_one_query(const struct aur_attention_queries *query, float *scratch);

/* One head of one sequence, backward. */
struct aur_attention_head {
	struct aur_rows q, k, v, out, d_out, dq, dk, dv; /* at position 0; behind a row of k as many numbers may be read */
	const float *lse;
	int64_t positions, size;
	float scale;
	const struct aur_dropout_stream *dropout; /* NULL: none */
};

/* dK and dV of each `parts`-th group of keys, beginning with group `part`, and their share of dQ. */
void aur_attention_keys(const struct aur_attention_head *head, int64_t part, int64_t parts, float *scratch);
int64_t aur_attention_keys_floats(int64_t positions, int64_t size);
int64_t aur_attention_key_groups(int64_t positions);

/* What the backward pass needs; attention.c adds it to its own. */
struct aur_cpu_scratch aur_attention_backward_scratch(int64_t positions, int64_t head);

/* The sizes of one call. */
struct aur_attention_sizes {
	int64_t batch, positions, heads, width, head; /* head: D */
};

/* From out [B*T, C]; they mean nothing before the operation was checked. */
struct aur_attention_sizes aur_attention_sizes_of(
	const struct aur_tensor *out, int64_t batch, int64_t positions, int64_t heads);

#endif
