#include "bench.h"

/* Changes of type, copies and zeroing. */

static aur_status run_cast(struct bench_job *job)
{
	return job->backend->ops->cast(job->backend, &job->op.cast);
}

static aur_status run_zero(struct bench_job *job)
{
	return job->backend->ops->zero(job->backend, job->op.memory.to, job->op.memory.bytes);
}

static aur_status run_copy(struct bench_job *job)
{
	return job->backend->ops->copy(job->backend, job->op.memory.to, job->op.memory.from, job->op.memory.bytes);
}

static void build_cast(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	struct aur_cast *op = &job->op.cast;
	op->x = bench_take_typed(memory, shape->from, 1, shape->count, 1.0f);
	op->y = bench_take_typed(memory, shape->to, 1, shape->count, 1.0f);
	job->run = run_cast;
	work->bytes = bench_bytes_of(&op->x) + bench_bytes_of(&op->y);
}

static void build_zero(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	const struct aur_tensor to = bench_take_f32(memory, 1, shape->count, 1.0f);
	job->op.memory = (struct bench_bytes){.to = to.data, .bytes = (size_t)bench_bytes_of(&to)};
	job->run = run_zero;
	work->bytes = bench_bytes_of(&to);
}

static void build_copy(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	const struct aur_tensor from = bench_take_f32(memory, 1, shape->count, 1.0f);
	const struct aur_tensor to = bench_take_f32(memory, 1, shape->count, 1.0f);
	job->op.memory = (struct bench_bytes){.to = to.data, .from = from.data, .bytes = (size_t)bench_bytes_of(&to)};
	job->run = run_copy;
	work->bytes = 2 * bench_bytes_of(&to);
}

void bench_add_memory(struct bench_suite *suite, const struct bench_model *model)
{
	static const enum aur_dtype types[][2] = {{AUR_F32, AUR_BF16}, {AUR_BF16, AUR_F32}};
	const double millions = 1e-6 * (double)model->slice;
	struct bench_case filled = {.set = model->set, .bound = BENCH_MEMORY, .shape = {.count = model->slice}};
	filled.op = "cast";
	filled.build = build_cast;
	for (int i = 0; i < 2; i++) {
		filled.shape.from = types[i][0];
		filled.shape.to = types[i][1];
		bench_add(suite, &filled, "%s to %s %.1fM", aur_dtype_name(types[i][0]), aur_dtype_name(types[i][1]), millions);
	}
	filled.op = "zero";
	filled.build = build_zero;
	bench_add(suite, &filled, "%.1fM floats", millions);
	filled.op = "copy";
	filled.build = build_copy;
	bench_add(suite, &filled, "%.1fM floats", millions);
}
