#include "bench.h"

#include "core/rng.h"

#include <math.h>

/* Causal attention. FLOPs are those of the pairs (query, key) that the mask leaves, T (T + 1) / 2 a head: 4 D a pair
 * forward, 10 D backward, where the scores are computed once more. */

static aur_status run_forward(struct bench_job *job)
{
	return job->backend->ops->attention_forward(job->backend, &job->op.attention_forward);
}

static aur_status run_backward(struct bench_job *job)
{
	return job->backend->ops->attention_backward(job->backend, &job->op.attention_backward);
}

static aur_status run_cached(struct bench_job *job)
{
	return job->backend->ops->attention_cached(job->backend, &job->op.attention_cached);
}

static double pairs_of(const struct bench_shape *shape)
{
	return 0.5 * (double)(shape->batch * shape->positions) * (double)(shape->positions + 1);
}

static float scale_of(const struct bench_shape *shape)
{
	return (float)(1.0 / sqrt((double)shape->width / (double)shape->heads));
}

static struct aur_dropout take_dropout(const struct bench_shape *shape, struct bench_memory *memory)
{
	struct aur_dropout dropout = bench_take_dropout(memory, shape->dropout);
	dropout.site = AUR_SITE_DROP_ATTENTION;
	return dropout;
}

static struct aur_tensor take_lse(const struct bench_shape *shape, struct bench_memory *memory)
{
	const struct aur_tensor flat = bench_take_f32(memory, shape->batch * shape->heads, shape->positions, 1.0f);
	return aur_view3(flat.data, shape->batch, shape->heads, shape->positions);
}

static void build_forward(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	const int64_t rows = bench_rows(shape);
	struct aur_attention_forward *op = &job->op.attention_forward;
	*op = (struct aur_attention_forward){
		.qkv = bench_take(memory, rows, 3 * shape->width, 1.0f),
		.out = bench_take(memory, rows, shape->width, 1.0f),
		.lse = take_lse(shape, memory),
		.batch = shape->batch,
		.positions = shape->positions,
		.n_head = shape->heads,
		.scale = scale_of(shape),
		.dropout = take_dropout(shape, memory),
	};
	job->run = run_forward;
	work->bytes = bench_bytes_of(&op->qkv) + bench_bytes_of(&op->out) + bench_bytes_of(&op->lse);
	work->flops = 4.0 * (double)shape->width * pairs_of(shape);
}

/* The backward pass reads what a forward pass of the same input wrote. */
static aur_status prepare_backward(struct bench_job *job)
{
	const struct aur_attention_backward *op = &job->op.attention_backward;
	const struct aur_attention_forward forward = {
		.qkv = op->qkv,
		.out = op->out,
		.lse = op->lse,
		.batch = op->batch,
		.positions = op->positions,
		.n_head = op->n_head,
		.scale = op->scale,
		.dropout = op->dropout,
	};
	return job->backend->ops->attention_forward(job->backend, &forward);
}

static void build_backward(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	const int64_t rows = bench_rows(shape);
	struct aur_attention_backward *op = &job->op.attention_backward;
	*op = (struct aur_attention_backward){
		.qkv = bench_take(memory, rows, 3 * shape->width, 1.0f),
		.out = bench_take(memory, rows, shape->width, 1.0f),
		.lse = take_lse(shape, memory),
		.d_out = bench_take(memory, rows, shape->width, 1e-3f),
		.d_qkv = bench_take(memory, rows, 3 * shape->width, 1e-3f),
		.batch = shape->batch,
		.positions = shape->positions,
		.n_head = shape->heads,
		.scale = scale_of(shape),
		.dropout = take_dropout(shape, memory),
	};
	job->prepare = prepare_backward;
	job->run = run_backward;
	work->bytes = 2 * bench_bytes_of(&op->qkv) + 2 * bench_bytes_of(&op->out) + bench_bytes_of(&op->lse);
	work->flops = 10.0 * (double)shape->width * pairs_of(shape);
}

/* One new row against the rows in the cache: all of K and V are read once. */
static void build_cached(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	const int64_t capacity = shape->past + 1, size = shape->width / shape->heads;
	const struct aur_tensor keys = bench_take(memory, shape->heads * capacity, size, 1.0f);
	const struct aur_tensor values = bench_take(memory, shape->heads * capacity, size, 1.0f);
	struct aur_attention_cached *op = &job->op.attention_cached;
	*op = (struct aur_attention_cached){
		.qkv = bench_take(memory, 1, 3 * shape->width, 1.0f),
		.k_cache = aur_view3(keys.data, shape->heads, capacity, size),
		.v_cache = aur_view3(values.data, shape->heads, capacity, size),
		.out = bench_take(memory, 1, shape->width, 1.0f),
		.batch = 1,
		.positions = 1,
		.past = shape->past,
		.capacity = capacity,
		.n_head = shape->heads,
		.scale = scale_of(shape),
	};
	op->k_cache.dtype = keys.dtype;
	op->v_cache.dtype = values.dtype;
	job->run = run_cached;
	work->bytes = bench_bytes_of(&keys) + bench_bytes_of(&values) + bench_bytes_of(&op->qkv) + bench_bytes_of(&op->out);
}

static void add(
	struct bench_suite *suite, const struct bench_model *model, struct bench_extent extent, int backward, int drop)
{
	const struct bench_case filled = {
		.op = backward ? "attention_backward" : "attention_forward",
		.set = model->set,
		.bound = BENCH_PRODUCT,
		.any_precision = 1,
		.shape = {.batch = extent.batch,
			.positions = extent.positions,
			.width = model->width,
			.heads = model->heads,
			.dropout = drop ? 0.1f : 0},
		.build = backward ? build_backward : build_forward,
	};
	bench_add(suite, &filled, "B=%lld T=%lld H=%lld D=%lld%s", (long long)extent.batch, (long long)extent.positions,
		(long long)model->heads, (long long)(model->width / model->heads), drop ? " dropout 0.1" : "");
}

static void add_cached(struct bench_suite *suite, const struct bench_model *model, int64_t past)
{
	const struct bench_case filled = {
		.op = "attention_cached",
		.set = model->set,
		.bound = BENCH_MEMORY,
		.any_precision = 1,
		.shape = {.batch = 1, .positions = 1, .width = model->width, .heads = model->heads, .past = past},
		.build = build_cached,
	};
	bench_add(suite, &filled, "1 row after %lld H=%lld D=%lld", (long long)past, (long long)model->heads,
		(long long)(model->width / model->heads));
}

void bench_add_attention(struct bench_suite *suite, const struct bench_model *model)
{
	const int64_t longest = model->extents[model->n_extents - 1].positions;
	for (int i = 0; i < model->n_extents; i++)
		for (int backward = 0; backward < 2; backward++)
			for (int drop = 0; drop < 2; drop++)
				add(suite, model, model->extents[i], backward, drop);
	add_cached(suite, model, longest / 4 - 1);
	add_cached(suite, model, longest - 1);
}
