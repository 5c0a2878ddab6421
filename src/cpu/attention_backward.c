#include "attention.h"

#include <string.h>

/* One unit of work is a head of a sequence against some of its groups of keys. Where heads are few, the groups of a
 * head are dealt out to several parts; each part sums its own dQ, and the parts are added in order. */

enum {
	UNITS = 32, /* heads of sequences are cut into parts up to that many units */
	QUERIES = AUR_ATTENTION_BLOCK,
};

struct backward {
	const struct aur_attention_backward *op;
	const struct aur_cpu *cpu;
	struct aur_attention_sizes sizes;
	int64_t pairs, parts;
};

static int64_t parts_of(const struct aur_attention_sizes *sizes)
{
	const int64_t parts = UNITS / (sizes->batch * sizes->heads);
	const int64_t most = aur_attention_key_groups(sizes->positions);
	return parts < 1 ? 1 : parts < most ? parts : most;
}

struct aur_cpu_scratch aur_attention_backward_scratch(int64_t positions, int64_t head)
{
	return (struct aur_cpu_scratch){
		.shared = aur_attention_key_groups(positions) > 1 ? (size_t)(UNITS * positions * head) * sizeof(float) : 0,
		.per_thread = (size_t)aur_attention_keys_floats(positions, head) * sizeof(float),
	};
}

static float *partial_of(const struct backward *b, int64_t pair, int64_t part)
{
	float *shared = (float *)(void *)b->cpu->shared;
	return shared + (pair * b->parts + part) * b->sizes.positions * b->sizes.head;
}

/* Row 0 of a head in a tensor whose rows hold `width` numbers, from number `column` on. */
static struct aur_rows rows_of(const struct aur_tensor *tensor, int64_t width, int64_t row, int64_t column)
{
	return aur_rows_from((struct aur_rows){tensor->data, tensor->dtype, width}, row, column);
}

static struct aur_attention_head head_of(const struct backward *b, int64_t pair)
{
	const struct aur_attention_backward *op = b->op;
	const int64_t width = b->sizes.width, sequence = pair / b->sizes.heads, h = pair % b->sizes.heads;
	const int64_t row = sequence * b->sizes.positions, column = h * b->sizes.head;
	return (struct aur_attention_head){
		.q = rows_of(&op->qkv, 3 * width, row, column),
		.k = rows_of(&op->qkv, 3 * width, row, width + column),
		.v = rows_of(&op->qkv, 3 * width, row, 2 * width + column),
		.out = rows_of(&op->out, width, row, column),
		.d_out = rows_of(&op->d_out, width, row, column),
		.dq = rows_of(&op->d_qkv, 3 * width, row, column),
		.dk = rows_of(&op->d_qkv, 3 * width, row, width + column),
		.dv = rows_of(&op->d_qkv, 3 * width, row, 2 * width + column),
		.lse = aur_f32(&op->lse) + pair * b->sizes.positions,
		.positions = b->sizes.positions,
		.size = b->sizes.head,
		.scale = op->scale,
	};
}

static void backward_unit(const struct backward *b, int64_t pair, int64_t part)
{
	struct aur_attention_head head = head_of(b, pair);
	struct aur_dropout_stream stream;
	if (b->op->dropout.p > 0.0f) {
		stream = aur_dropout_stream_of(&b->op->dropout, (uint32_t)(pair % b->sizes.heads), pair / b->sizes.heads);
		head.dropout = &stream;
	}
	if (b->parts > 1)
		head.dq = (struct aur_rows){partial_of(b, pair, part), AUR_F32, b->sizes.head};
	aur_attention_keys(&head, part, b->parts, aur_cpu_own(b->cpu));
}

/* The parts' dQ of queries [first, first + QUERIES), added up in part 0's place. */
static void add_parts(const struct backward *b, int64_t pair, int64_t first)
{
	const struct aur_rows dq = head_of(b, pair).dq;
	const int64_t size = b->sizes.head, left = b->sizes.positions - first, rows = left < QUERIES ? left : QUERIES;
	float *sum = partial_of(b, pair, 0) + first * size;
	for (int64_t part = 1; part < b->parts; part++) {
		const float *from = partial_of(b, pair, part) + first * size;
#pragma omp simd
		for (int64_t i = 0; i < rows * size; i++)
			sum[i] += from[i];
	}
	for (int64_t i = 0; i < rows; i++)
		aur_attention_store(dq, first + i, sum + i * size, 1.0f, size);
}

aur_status aur_attention_backward_cpu(struct aur_backend *backend, const struct aur_attention_backward *op)
{
	struct backward b = {.op = op,
		.cpu = aur_cpu_of(backend),
		.sizes = aur_attention_sizes_of(&op->out, op->batch, op->positions, op->n_head)};
	AUR_TRY(aur_check_attention_backward(op));
	const struct aur_cpu_scratch need = aur_attention_backward_scratch(b.sizes.positions, b.sizes.head);
	AUR_TRY(aur_check_scratch(backend, "attention_backward", need.shared, need.per_thread));
	b.pairs = op->batch * op->n_head;
	b.parts = parts_of(&b.sizes);
	const int64_t blocks = (op->positions + QUERIES - 1) / QUERIES;
#pragma omp parallel
	{
#pragma omp for schedule(dynamic)
		for (int64_t i = 0; i < b.pairs * b.parts; i++)
			backward_unit(&b, i % b.pairs, i / b.pairs);
		if (b.parts > 1) {
#pragma omp for schedule(static)
			for (int64_t i = 0; i < b.pairs * blocks; i++)
				add_parts(&b, i / blocks, i % blocks * QUERIES);
		}
	}
	return AUR_OK;
}
