#include "attention.h"
#include "vector_math.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* One unit of work is a head of a sequence against some of its blocks of keys: it walks down the queries that see each
 * block, keeping the block's dK and dV at hand, and adds to dQ. Where heads are few, the blocks of a head are dealt out
 * to several parts; each part sums its own dQ, and the parts are added in order. With F the mask of dropout:
 *   P = exp(S - lse)   dV += (P F)^T dO   dS = P (F (dO V^T) - delta) scale   dK += dS^T Q   dQ += dS K */

enum {
	QUERIES = AUR_ATTENTION_QUERIES,
	KEYS = 128, /* a multiple of QUERIES, so that every query of a tile sees a key */
	UNITS = 32, /* pairs of heads and sequences are cut into parts up to that many units */
};

struct backward {
	const struct aur_attention_backward *op;
	const struct aur_cpu *cpu;
	struct aur_attention_sizes sizes;
	int64_t pairs, parts, tiles;
};

struct scratch {
	float *probabilities, *gradients, *factors;   /* [QUERIES, KEYS] */
	float *d_keys, *d_values;                     /* [KEYS, D] */
	float *keys, *values, *d_keys_t, *d_values_t; /* transposed, for tiny heads */
	float *delta;                                 /* [T] */
};

/* One head of one sequence. */
struct head {
	struct aur_rows q, k, v, out, d_out, dq, dk, dv;
	const float *lse;
	struct aur_dropout_stream stream;
	int drops;
};

static int64_t block_floats(int64_t size)
{
	return aur_round16(KEYS * size);
}

static int64_t floats_per_thread(int64_t positions, int64_t size)
{
	return 3 * QUERIES * KEYS + 2 * block_floats(size) + 4 * aur_panel_floats(size, KEYS) + aur_round16(positions);
}

static struct scratch carve(const struct backward *b)
{
	char *bytes = b->cpu->per_thread + (size_t)omp_get_thread_num() * b->cpu->scratch.per_thread;
	float *at = (float *)(void *)bytes;
	const int64_t block = block_floats(b->sizes.head), panel = aur_panel_floats(b->sizes.head, KEYS);
	struct scratch s = {.probabilities = at, .gradients = at + QUERIES * KEYS, .factors = at + 2 * QUERIES * KEYS};
	s.d_keys = at + 3 * QUERIES * KEYS;
	s.d_values = s.d_keys + block;
	s.keys = s.d_values + block;
	s.values = s.keys + panel;
	s.d_keys_t = s.values + panel;
	s.d_values_t = s.d_keys_t + panel;
	s.delta = s.d_values_t + panel;
	return s;
}

static int64_t most_parts(int64_t positions)
{
	return (positions + KEYS - 1) / KEYS;
}

static int64_t parts_of(const struct aur_attention_sizes *sizes)
{
	const int64_t parts = UNITS / (sizes->batch * sizes->heads);
	const int64_t most = most_parts(sizes->positions);
	return parts < 1 ? 1 : parts < most ? parts : most;
}

struct aur_cpu_scratch aur_attention_backward_scratch(int64_t positions, int64_t head)
{
	return (struct aur_cpu_scratch){
		.shared = most_parts(positions) > 1 ? (size_t)(UNITS * positions * head) * sizeof(float) : 0,
		.per_thread = (size_t)floats_per_thread(positions, head) * sizeof(float),
	};
}

static struct aur_rows from_row(struct aur_rows rows, int64_t i)
{
	return (struct aur_rows){rows.at + i * rows.pitch, rows.pitch};
}

static struct head head_of(const struct backward *b, int64_t pair)
{
	const struct aur_attention_backward *op = b->op;
	const int64_t width = b->sizes.width, sequence = pair / b->sizes.heads, h = pair % b->sizes.heads;
	const int64_t row = sequence * b->sizes.positions, column = h * b->sizes.head;
	float *q = aur_f32(&op->qkv) + row * 3 * width + column;
	float *dq = aur_f32(&op->d_qkv) + row * 3 * width + column;
	struct head head = {
		.q = {q, 3 * width},
		.k = {q + width, 3 * width},
		.v = {q + 2 * width, 3 * width},
		.out = {aur_f32(&op->out) + row * width + column, width},
		.d_out = {aur_f32(&op->d_out) + row * width + column, width},
		.dq = {dq, 3 * width},
		.dk = {dq + width, 3 * width},
		.dv = {dq + 2 * width, 3 * width},
		.lse = aur_f32(&op->lse) + pair * b->sizes.positions,
		.drops = op->dropout.p > 0.0f,
	};
	if (head.drops)
		head.stream = aur_dropout_stream_of(&op->dropout, (uint32_t)h, sequence);
	return head;
}

static float *partial_of(const struct backward *b, int64_t pair, int64_t part)
{
	float *shared = (float *)(void *)b->cpu->shared;
	return shared + (pair * b->parts + part) * b->sizes.positions * b->sizes.head;
}

static void deltas(const struct head *head, const struct aur_attention_sizes *sizes, int64_t first, float *delta)
{
	for (int64_t i = first; i < sizes->positions; i++) {
		const float *out = head->out.at + i * head->out.pitch;
		const float *d_out = head->d_out.at + i * head->d_out.pitch;
		float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
		for (int64_t d = 0; d < sizes->head; d++)
			sum += d_out[d] * out[d];
		delta[i] = sum;
	}
}

struct row {
	int64_t seen, width; /* keys this query sees; their sixteens */
	float lse, delta, scale;
};

/* Beyond the keys seen, P and dS are 0: scores of -inf, and gradients that were computed for nothing cleared. */
static void mask_row(float *s, float *d, const struct row *row, int64_t n)
{
	for (int64_t j = row->seen; j < row->width; j++) {
		s[j] = -INFINITY;
		d[j] = 0.0f;
	}
	memset(s + row->width, 0, (size_t)(n - row->width) * sizeof(float));
	memset(d + row->width, 0, (size_t)(n - row->width) * sizeof(float));
}

/* s: scores become P; d: dO V^T becomes dS. */
static void row_without_dropout(float *s, float *d, const struct row *row)
{
	const struct row r = *row;
#pragma omp simd
	for (int64_t j = 0; j < r.width; j++) {
		const float p = aur_expf(s[j] - r.lse);
		s[j] = p;
		d[j] = p * (d[j] - r.delta) * r.scale;
	}
}

/* The same with F; s becomes P F. */
static void row_with_dropout(float *s, float *d, const float *factors, const struct row *row)
{
	const struct row r = *row;
#pragma omp simd
	for (int64_t j = 0; j < r.width; j++) {
		const float p = aur_expf(s[j] - r.lse);
		s[j] = p * factors[j];
		d[j] = p * (d[j] * factors[j] - r.delta) * r.scale;
	}
}

/* A block of keys, with the sums of its gradients. */
struct block {
	int64_t key, n;
	int add; /* dQ holds something already */
	struct aur_panel keys, values, d_keys, d_values;
};

/* The first n rows of a panel: the keys that the last query of a tile sees. */
static struct aur_panel shortened(struct aur_panel panel, int64_t n)
{
	panel.n = n < panel.n ? n : panel.n;
	return panel;
}

static void backward_tile(const struct backward *b, const struct head *head, const struct block *block, int64_t first,
	const struct scratch *scratch, struct aur_rows dq)
{
	const int64_t left = b->sizes.positions - first, rows = left < QUERIES ? left : QUERIES;
	const int64_t n = first + rows - block->key < block->n ? first + rows - block->key : block->n;
	const struct aur_rows s = {scratch->probabilities, KEYS}, d = {scratch->gradients, KEYS};
	const struct aur_rows q = from_row(head->q, first), d_out = from_row(head->d_out, first);
	const struct aur_panel keys = shortened(block->keys, n), values = shortened(block->values, n);
	const struct aur_panel d_keys = shortened(block->d_keys, n), d_values = shortened(block->d_values, n);
	const struct aur_seen seen = {rows, first + 1 - block->key};
	aur_attention_scores(q, seen, &keys, b->op->scale, s);
	aur_attention_scores(d_out, seen, &values, 1.0f, d);
	if (head->drops) {
		const struct aur_dropout_tile tile = {b->sizes.positions, first, rows, block->key, n};
		aur_dropout_factors(&head->stream, &tile, scratch->factors, KEYS);
	}
	for (int64_t i = 0; i < rows; i++) {
		const struct row row = {aur_seen_by(seen, i, n), aur_seen_width(seen, i, n), head->lse[first + i],
			scratch->delta[first + i], b->op->scale};
		mask_row(s.at + i * KEYS, d.at + i * KEYS, &row, aur_round16(n));
		if (head->drops)
			row_with_dropout(s.at + i * KEYS, d.at + i * KEYS, scratch->factors + i * KEYS, &row);
		else
			row_without_dropout(s.at + i * KEYS, d.at + i * KEYS, &row);
	}
	aur_attention_scatter(s, seen, d_out, &d_values);
	aur_attention_scatter(d, seen, q, &d_keys);
	aur_attention_gather(d, seen, &keys, block->add, from_row(dq, first));
}

/* A panel of sums, at zero. */
static struct aur_panel sums_of(const struct backward *b, int64_t n, float *rows, float *columns)
{
	const int64_t size = b->sizes.head;
	memset(rows, 0, (size_t)block_floats(size) * sizeof(float));
	memset(columns, 0, (size_t)aur_panel_floats(size, KEYS) * sizeof(float));
	return (struct aur_panel){{rows, size}, size <= AUR_ATTENTION_TINY ? columns : NULL, KEYS, n, size};
}

static void store(const struct aur_panel *sums, struct aur_rows to)
{
	for (int64_t i = 0; i < sums->n; i++)
		for (int64_t d = 0; d < sums->size; d++)
			to.at[i * to.pitch + d] =
				sums->columns ? sums->columns[d * sums->capacity + i] : sums->rows.at[i * sums->rows.pitch + d];
}

static void backward_block(const struct backward *b, const struct head *head, int64_t key, int add,
	const struct scratch *scratch, struct aur_rows dq)
{
	const int64_t size = b->sizes.head, left = b->sizes.positions - key, n = left < KEYS ? left : KEYS;
	const struct block block = {key, n, add,
		aur_attention_panel_of(from_row(head->k, key), n, size, scratch->keys, KEYS),
		aur_attention_panel_of(from_row(head->v, key), n, size, scratch->values, KEYS),
		sums_of(b, n, scratch->d_keys, scratch->d_keys_t), sums_of(b, n, scratch->d_values, scratch->d_values_t)};
	for (int64_t first = key; first < b->sizes.positions; first += QUERIES)
		backward_tile(b, head, &block, first, scratch, dq);
	store(&block.d_keys, from_row(head->dk, key));
	store(&block.d_values, from_row(head->dv, key));
}

static void backward_unit(const struct backward *b, int64_t pair, int64_t part)
{
	const struct scratch scratch = carve(b);
	const struct head head = head_of(b, pair);
	const int64_t positions = b->sizes.positions, size = b->sizes.head;
	struct aur_rows dq = head.dq;
	/* The first block of keys is seen by every query and may write; other parts begin with zeros. */
	if (b->parts > 1) {
		dq = (struct aur_rows){partial_of(b, pair, part), size};
		memset(dq.at, 0, (size_t)(positions * size) * sizeof(float));
	}
	deltas(&head, &b->sizes, part * KEYS, scratch.delta);
	for (int64_t key = part * KEYS; key < positions; key += b->parts * KEYS)
		backward_block(b, &head, key, key > 0, &scratch, dq);
}

static void add_parts(const struct backward *b, int64_t pair, int64_t first)
{
	const struct aur_rows dq = head_of(b, pair).dq;
	const int64_t size = b->sizes.head, left = b->sizes.positions - first, rows = left < QUERIES ? left : QUERIES;
	for (int64_t i = first; i < first + rows; i++) {
		float *to = dq.at + i * dq.pitch;
		memcpy(to, partial_of(b, pair, 0) + i * size, (size_t)size * sizeof(float));
		for (int64_t part = 1; part < b->parts; part++) {
			const float *from = partial_of(b, pair, part) + i * size;
			for (int64_t d = 0; d < size; d++)
				to[d] += from[d];
		}
	}
}

static aur_status check_sizes(const struct aur_attention_backward *op, const struct aur_attention_sizes *sizes)
{
	const char *who = "attention_backward";
	const int64_t rows = sizes->batch * sizes->positions, count = rows * sizes->width;
	if (rows <= 0 || sizes->heads <= 0 || (op->n_kv_head != 0 && op->n_kv_head != op->n_head))
		return aur_fail(AUR_SHAPE, "%s: batch, positions and heads must be positive, and n_kv_head 0 or n_head", who);
	if (sizes->head <= 0 || sizes->width % sizes->heads != 0 || count != aur_tensor_count(&op->out))
		return aur_fail(AUR_SHAPE, "%s: %lld heads do not divide the width of out", who, (long long)sizes->heads);
	if (!aur_tensor_is(&op->qkv, AUR_F32, 3 * count) || !aur_tensor_is(&op->d_qkv, AUR_F32, 3 * count) ||
		!aur_tensor_is(&op->out, AUR_F32, count) || !aur_tensor_is(&op->d_out, AUR_F32, count) ||
		!aur_tensor_is(&op->lse, AUR_F32, rows * sizes->heads))
		return aur_fail(AUR_SHAPE, "%s: qkv, out, lse, d_out or d_qkv do not fit [%lld, %lld, %lld]", who,
			(long long)sizes->batch, (long long)sizes->positions, (long long)sizes->width);
	return AUR_OK;
}

static aur_status check(struct aur_backend *backend, const struct backward *b)
{
	AUR_TRY(check_sizes(b->op, &b->sizes));
	if (b->op->dropout.p > 0.0f && !b->op->dropout.state)
		return aur_fail(AUR_SHAPE, "attention_backward: dropout needs a state");
	const struct aur_cpu_scratch need = aur_attention_backward_scratch(b->sizes.positions, b->sizes.head);
	return aur_check_scratch(backend, "attention_backward", need.shared, need.per_thread);
}

aur_status aur_attention_backward_cpu(struct aur_backend *backend, const struct aur_attention_backward *op)
{
	const int64_t rows = op->batch * op->positions;
	const int64_t width = rows > 0 ? aur_tensor_count(&op->out) / rows : 0;
	struct backward b = {.op = op,
		.cpu = aur_cpu_of(backend),
		.sizes = {op->batch, op->positions, op->n_head, width, op->n_head > 0 ? width / op->n_head : 0}};
	AUR_TRY(check(backend, &b));
	b.pairs = op->batch * op->n_head;
	b.parts = parts_of(&b.sizes);
	b.tiles = (op->positions + QUERIES - 1) / QUERIES;
#pragma omp parallel
	{
		/* The first parts hold the longest blocks and come first, so that threads end together. */
#pragma omp for schedule(dynamic)
		for (int64_t i = 0; i < b.pairs * b.parts; i++)
			backward_unit(&b, i % b.pairs, i / b.pairs);
		if (b.parts > 1) {
#pragma omp for schedule(static)
			for (int64_t i = 0; i < b.pairs * b.tiles; i++)
				add_parts(&b, i / b.tiles, i % b.tiles * QUERIES);
		}
	}
	return AUR_OK;
}
