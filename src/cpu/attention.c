#include "attention.h"

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

struct aur_attention_sizes aur_attention_sizes_of(
	const struct aur_tensor *out, int64_t batch, int64_t positions, int64_t heads)
{
	const int64_t rows = batch * positions;
	const int64_t width = rows > 0 ? aur_tensor_count(out) / rows : 0;
	return (struct aur_attention_sizes){batch, positions, heads, width, heads > 0 ? width / heads : 0};
}

/* Queries [first, first + rows), as far as there are, of one head of one sequence. */
static void forward_unit(const struct aur_attention_forward *op, const struct aur_attention_sizes *sizes, int64_t pair,
	struct aur_span queries, float *scratch)
{
	const int64_t b = pair / sizes->heads, h = pair % sizes->heads, row = b * sizes->positions, width = sizes->width;
	const struct aur_rows qkv = {op->qkv.data, op->qkv.dtype, 3 * width}, out = {op->out.data, op->out.dtype, width};
	struct aur_dropout_stream stream;
	if (op->dropout.p > 0.0f)
		stream = aur_dropout_stream_of(&op->dropout, (uint32_t)h, b);
	aur_attention_queries(
		&(struct aur_attention_queries){
			.q = aur_rows_from(qkv, row + queries.begin, h * sizes->head),
			.k = aur_rows_from(qkv, row, width + h * sizes->head),
			.v = aur_rows_from(qkv, row, 2 * width + h * sizes->head),
			.out = aur_rows_from(out, row + queries.begin, h * sizes->head),
			.lse = aur_f32(&op->lse) + pair * sizes->positions + queries.begin,
			.first = queries.begin,
			.rows = (queries.end < sizes->positions ? queries.end : sizes->positions) - queries.begin,
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
	const struct aur_attention_sizes sizes = aur_attention_sizes_of(&op->out, op->batch, op->positions, op->n_head);
	AUR_TRY(aur_check_attention_forward(op));
	AUR_TRY(aur_check_scratch(backend, "attention_forward", 0, bytes_of(aur_attention_queries_floats(sizes.head))));
	const int64_t pairs = sizes.batch * sizes.heads, rows = aur_attention_unit_rows(pairs, sizes.positions);
	const int64_t units = (sizes.positions + rows - 1) / rows;
	/* Late queries see the most keys and come first, so that threads end together. */
#pragma omp parallel for schedule(dynamic)
	for (int64_t i = 0; i < pairs * units; i++) {
		const int64_t first = (units - 1 - i / pairs) * rows;
		forward_unit(op, &sizes, i % pairs, (struct aur_span){first, first + rows}, aur_cpu_own(cpu));
	}
	return AUR_OK;
}
