#include "bench.h"

/* The optimizer and the reductions: passes over flat arenas of parameters. */

static aur_status run_adamw(struct bench_job *job)
{
	return job->backend->ops->adamw(job->backend, &job->op.adamw);
}

static aur_status run_sum_of_squares(struct bench_job *job)
{
	return job->backend->ops->sum_of_squares(job->backend, &job->op.sum_of_squares);
}

static aur_status run_clip(struct bench_job *job)
{
	return job->backend->ops->clip(job->backend, &job->op.clip);
}

static aur_status run_tree_add(struct bench_job *job)
{
	return job->backend->ops->tree_add(job->backend, &job->op.tree_add);
}

static int64_t blocks_of(int64_t count)
{
	return (count + AUR_NORM_BLOCK - 1) / AUR_NORM_BLOCK;
}

static void build_adamw(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	struct aur_adamw *op = &job->op.adamw;
	job->segment = (struct aur_adamw_segment){.begin = 0, .count = shape->count, .weight_decay = 0.1f};
	*op = (struct aur_adamw){
		.weights = bench_take_f32(memory, 1, shape->count, 0.05f),
		.gradients = bench_take_f32(memory, 1, shape->count, 1e-3f),
		.m = bench_take_f32(memory, 1, shape->count, 1e-3f),
		.v = bench_take_constant(memory, AUR_F32, shape->count, 1e-6),
		.segments = &job->segment,
		.n_segments = 1,
		.beta1 = 0.9f,
		.beta2 = 0.95f,
		.epsilon = 1e-8f,
		.state = bench_take_state(memory),
	};
	job->run = run_adamw;
	work->bytes = 7 * bench_bytes_of(&op->weights);
}

static void build_sum_of_squares(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	struct aur_sum_of_squares *op = &job->op.sum_of_squares;
	op->x = bench_take_f32(memory, 1, shape->count, 1e-3f);
	op->sums = bench_take_constant(memory, AUR_F64, blocks_of(shape->count), 0.0);
	job->run = run_sum_of_squares;
	work->bytes = bench_bytes_of(&op->x) + bench_bytes_of(&op->sums);
}

static void build_clip(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	struct aur_clip *op = &job->op.clip;
	*op = (struct aur_clip){
		.sums = bench_take_constant(memory, AUR_F64, blocks_of(shape->count), 1e-3),
		.max_norm = 1.0f,
		.beta1 = 0.9,
		.beta2 = 0.95,
		.state = bench_take_state(memory),
	};
	job->run = run_clip;
	work->bytes = bench_bytes_of(&op->sums);
}

/* Into the first part, as leaves are added. */
static void build_tree_add(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	struct aur_tree_add *op = &job->op.tree_add;
	*op = (struct aur_tree_add){.n_parts = shape->parts, .count = shape->count};
	for (int i = 0; i < shape->parts; i++)
		op->parts[i] = bench_take_f32(memory, 1, shape->count, 1e-3f).data;
	/* The first part alone is written; the arena gave it to us as memory that may be. */
	op->out = (float *)(uintptr_t)op->parts[0];
	job->run = run_tree_add;
	work->bytes = (double)(shape->parts + 1) * (double)shape->count * sizeof(float);
}

static struct bench_case filled_case(const struct bench_model *model, const char *op, int64_t count)
{
	return (struct bench_case){.op = op, .set = model->set, .bound = BENCH_MEMORY, .shape = {.count = count}};
}

void bench_add_parameters(struct bench_suite *suite, const struct bench_model *model)
{
	const double millions = 1e-6 * (double)model->slice;
	struct bench_case filled = filled_case(model, "adamw", model->slice);
	filled.build = build_adamw;
	bench_add(suite, &filled, "%.1fM parameters", millions);
	filled = filled_case(model, "sum_of_squares", model->slice);
	filled.build = build_sum_of_squares;
	bench_add(suite, &filled, "%.1fM parameters", millions);
	filled = filled_case(model, "clip", model->parameters);
	filled.build = build_clip;
	bench_add(suite, &filled, "%lld blocks", (long long)blocks_of(model->parameters));
	for (int parts = 2; parts <= 4; parts *= 2) {
		filled = filled_case(model, "tree_add", model->slice);
		filled.build = build_tree_add;
		filled.shape.parts = parts;
		bench_add(suite, &filled, "%d parts of %.1fM", parts, millions);
	}
}
