#include "bench.h"

/* Layer normalisation with the residual sum in front, as a pre-norm model calls it. */

static aur_status run_forward(struct bench_job *job)
{
	return job->backend->ops->residual_norm_forward(job->backend, &job->op.residual_norm_forward);
}

static aur_status run_backward(struct bench_job *job)
{
	return job->backend->ops->residual_norm_backward(job->backend, &job->op.residual_norm_backward);
}

static struct aur_tensor take_beta(const struct bench_shape *shape, struct bench_memory *memory)
{
	return shape->bias ? bench_take_f32(memory, 1, shape->width, 0.1f) : (struct aur_tensor){0};
}

static void build_forward(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	const int64_t rows = bench_rows(shape), width = shape->width;
	struct aur_residual_norm_forward *op = &job->op.residual_norm_forward;
	*op = (struct aur_residual_norm_forward){
		.a = bench_take(memory, rows, width, 1.0f),
		.b = bench_take(memory, rows, width, 1.0f),
		.s = bench_take(memory, rows, width, 1.0f),
		.y = bench_take(memory, rows, width, 1.0f),
		.gamma = bench_take_f32(memory, 1, width, 1.0f),
		.beta = take_beta(shape, memory),
		.mean = bench_take_constant(memory, AUR_F32, rows, 0.0),
		.rstd = bench_take_constant(memory, AUR_F32, rows, 1.0),
		.sequence = shape->positions,
		.dropout = bench_take_dropout(memory, shape->dropout),
	};
	job->run = run_forward;
	work->bytes = 4 * bench_bytes_of(&op->a) + bench_bytes_of(&op->gamma) + bench_bytes_of(&op->beta) +
				  2 * bench_bytes_of(&op->mean);
}

/* The gradient of the stream is replaced in place; that of the branch is another tensor only with dropout. */
static void build_backward(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	const int64_t rows = bench_rows(shape), width = shape->width;
	struct aur_residual_norm_backward *op = &job->op.residual_norm_backward;
	*op = (struct aur_residual_norm_backward){
		.d_y = bench_take(memory, rows, width, 1e-3f),
		.d_residual = bench_take(memory, rows, width, 1e-3f),
		.s = bench_take(memory, rows, width, 1.0f),
		.gamma = bench_take_f32(memory, 1, width, 1.0f),
		.mean = bench_take_constant(memory, AUR_F32, rows, 0.0),
		.rstd = bench_take_constant(memory, AUR_F32, rows, 1.0),
		.d_b = shape->dropout > 0 ? bench_take(memory, rows, width, 1e-3f) : (struct aur_tensor){0},
		.d_gamma = bench_take_f32(memory, 1, width, 1e-3f),
		.d_beta = take_beta(shape, memory),
		.sequence = shape->positions,
		.dropout = bench_take_dropout(memory, shape->dropout),
	};
	op->d_a = op->d_residual;
	job->run = run_backward;
	work->bytes = 4 * bench_bytes_of(&op->d_y) + bench_bytes_of(&op->d_b) + bench_bytes_of(&op->gamma) +
				  2 * bench_bytes_of(&op->mean) + 2 * (bench_bytes_of(&op->d_gamma) + bench_bytes_of(&op->d_beta));
}

void bench_add_norm(struct bench_suite *suite, const struct bench_model *model)
{
	const struct bench_extent extent = model->extents[0];
	for (int backward = 0; backward < 2; backward++)
		for (int drop = 0; drop < 2; drop++) {
			const struct bench_case filled = {
				.op = backward ? "residual_norm_backward" : "residual_norm_forward",
				.set = model->set,
				.bound = BENCH_MEMORY,
				.any_precision = 1,
				.shape = {.batch = extent.batch,
					.positions = extent.positions,
					.width = model->width,
					.bias = model->bias,
					.dropout = drop ? 0.1f : 0},
				.build = backward ? build_backward : build_forward,
			};
			bench_add(suite, &filled, "%lldx%lld%s", (long long)(extent.batch * extent.positions),
				(long long)model->width, drop ? " dropout 0.1" : "");
		}
}
