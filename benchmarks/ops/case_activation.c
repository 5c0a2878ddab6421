#include "bench.h"

static const struct {
	enum aur_activation_kind kind;
	const char *name;
} kinds[] = {{AUR_RELU, "relu"}, {AUR_GELU, "gelu"}, {AUR_GELU_TANH, "gelu_tanh"}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static aur_status run_forward(struct bench_job *job)
{
	return job->backend->ops->activation_forward(job->backend, &job->op.activation_forward);
}

static aur_status run_backward(struct bench_job *job)
{
	return job->backend->ops->activation_backward(job->backend, &job->op.activation_backward);
}

static void build_forward(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	struct aur_activation_forward *op = &job->op.activation_forward;
	*op = (struct aur_activation_forward){
		.kind = shape->kind,
		.x = bench_take(memory, bench_rows(shape), shape->width, 3.0f),
		.y = bench_take(memory, bench_rows(shape), shape->width, 1.0f),
	};
	job->run = run_forward;
	work->bytes = 2 * bench_bytes_of(&op->x);
}

/* In place, as the models call it. */
static void build_backward(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	struct aur_activation_backward *op = &job->op.activation_backward;
	*op = (struct aur_activation_backward){
		.kind = shape->kind,
		.x = bench_take(memory, bench_rows(shape), shape->width, 3.0f),
		.d_y = bench_take(memory, bench_rows(shape), shape->width, 1e-3f),
	};
	op->d_x = op->d_y;
	job->run = run_backward;
	job->restored = op->d_y;
	job->original = bench_take(memory, bench_rows(shape), shape->width, 1e-3f);
	work->bytes = 3 * bench_bytes_of(&op->x);
}

void bench_add_activation(struct bench_suite *suite, const struct bench_model *model)
{
	const struct bench_extent extent = model->extents[0];
	for (int backward = 0; backward < 2; backward++)
		for (int i = 0; i < KINDS; i++) {
			const struct bench_case filled = {
				.op = backward ? "activation_backward" : "activation_forward",
				.set = model->set,
				.bound = BENCH_MEMORY,
				.any_precision = 1,
				.shape = {.batch = extent.batch,
					.positions = extent.positions,
					.width = model->mlp_width,
					.kind = kinds[i].kind},
				.build = backward ? build_backward : build_forward,
			};
			bench_add(suite, &filled, "%s %lldx%lld", kinds[i].name, (long long)(extent.batch * extent.positions),
				(long long)model->mlp_width);
		}
}
