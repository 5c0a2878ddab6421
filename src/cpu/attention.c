#include "attention.h"

#include <omp.h>

static size_t bytes_of(int64_t floats)
{
	return (size_t)floats * sizeof(float);
}

struct aur_cpu_scratch aur_attention_scratch(const struct aur_backend_limits *limits)
{
	const int64_t head = limits->heads > 0 ? limits->width / limits->heads : 0;
	struct aur_cpu_scratch need = {.per_thread = bytes_of(aur_attention_queries_floats(head))};
	if (limits->training) {
		const struct aur_cpu_scratch backward = aur_attention_backward_scratch(limits->positions, head);
		need.shared = backward.shared;
		need.per_thread = backward.per_thread > need.per_thread ? backward.per_thread : need.per_thread;
	}
	return need;
}

static aur_status check(const struct aur_attention_forward *op, const struct aur_attention_sizes *sizes)
{
	const char *who = "attention_forward";
	const int64_t rows = sizes->batch * sizes->positions;
	if (rows <= 0 || sizes->heads <= 0 || (op->n_kv_head != 0 && op->n_kv_head != op->n_head))
		return aur_fail(AUR_SHAPE, "%s: batch, positions and heads must be positive, and n_kv_head 0 or n_head", who);
	if (sizes->head <= 0 || sizes->width % sizes->heads != 0 || sizes->width * rows != aur_tensor_count(&op->out))
		return aur_fail(AUR_SHAPE, "%s: %lld heads do not divide the width of out", who, (long long)sizes->heads);
	if (!aur_tensor_is(&op->qkv, AUR_F32, 3 * rows * sizes->width) ||
		!aur_tensor_is(&op->out, AUR_F32, rows * sizes->width) ||
		!aur_tensor_is(&op->lse, AUR_F32, rows * sizes->heads))
		return aur_fail(AUR_SHAPE, "%s: qkv, out or lse do not fit [%lld, %lld, %lld]", who, (long long)sizes->batch,
			(long long)sizes->positions, (long long)sizes->width);
	if (op->dropout.p > 0.0f && !op->dropout.state)
		return aur_fail(AUR_SHAPE, "%s: dropout needs a state", who);
	return AUR_OK;
}

static struct aur_attention_sizes sizes_of(const struct aur_attention_forward *op)
{
	const int64_t rows = op->batch * op->positions;
	const int64_t width = rows > 0 ? aur_tensor_count(&op->out) / rows : 0;
	return (struct aur_attention_sizes){
		op->batch, op->positions, op->n_head, width, op->n_head > 0 ? width / op->n_head : 0};
}

/* Queries [first, first + rows) of one head of one sequence. */
static void forward_queries(const struct aur_attention_forward *op, const struct aur_attention_sizes *sizes,
	int64_t pair, int64_t first, float *scratch)
{
	const int64_t b = pair / sizes->heads, h = pair % sizes->heads;
	const int64_t left = sizes->positions - first, pitch = 3 * sizes->width, row = b * sizes->positions;
	float *q = aur_f32(&op->qkv) + row * pitch + h * sizes->head;
	struct aur_dropout_stream stream;
	if (op->dropout.p > 0.0f)
		stream = aur_dropout_stream_of(&op->dropout, (uint32_t)h, b);
	aur_attention_queries(
		&(struct aur_attention_queries){
			.q = {q + first * pitch, pitch},
			.k = {q + sizes->width, pitch},
			.v = {q + 2 * sizes->width, pitch},
			.out = {aur_f32(&op->out) + (row + first) * sizes->width + h * sizes->head, sizes->width},
			.lse = aur_f32(&op->lse) + pair * sizes->positions + first,
			.first = first,
			.rows = left < AUR_ATTENTION_QUERIES ? left : AUR_ATTENTION_QUERIES,
			.size = sizes->head,
			.scale = op->scale,
			.dropout = op->dropout.p > 0.0f ? &stream : NULL,
			.positions = sizes->positions,
		},
		scratch);
}

aur_status aur_attention_forward_cpu(struct aur_backend *backend, const struct aur_attention_forward *op)
{
	const struct aur_cpu *cpu = aur_cpu_of(backend);
	const struct aur_attention_sizes sizes = sizes_of(op);
	AUR_TRY(check(op, &sizes));
	AUR_TRY(aur_check_scratch(backend, "attention_forward", 0, bytes_of(aur_attention_queries_floats(sizes.head))));
	const int64_t pairs = sizes.batch * sizes.heads;
	const int64_t tiles = (sizes.positions + AUR_ATTENTION_QUERIES - 1) / AUR_ATTENTION_QUERIES;
	/* Late queries see the most keys and come first, so that threads end together. */
#pragma omp parallel for schedule(dynamic)
	for (int64_t i = 0; i < pairs * tiles; i++) {
		char *scratch = cpu->per_thread + (size_t)omp_get_thread_num() * cpu->scratch.per_thread;
		const int64_t first = (tiles - 1 - i / pairs) * AUR_ATTENTION_QUERIES;
		forward_queries(op, &sizes, i % pairs, first, (float *)(void *)scratch);
	}
	return AUR_OK;
}
