#include "bench.h"

static aur_status run_forward(struct bench_job *job)
{
	return job->backend->ops->embedding_forward(job->backend, &job->op.embedding_forward);
}

static aur_status run_backward(struct bench_job *job)
{
	return job->backend->ops->embedding_backward(job->backend, &job->op.embedding_backward);
}

/* Rows of the token table that are touched: no more than there are tokens, no more than there are rows. */
static double rows_touched(const struct bench_shape *shape)
{
	const int64_t rows = bench_rows(shape);
	return (double)(rows < shape->vocabulary ? rows : shape->vocabulary) / (double)shape->vocabulary;
}

static void build_forward(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	struct aur_embedding_forward *op = &job->op.embedding_forward;
	*op = (struct aur_embedding_forward){
		.tokens = bench_take_tokens(memory, shape),
		.wte = bench_take(memory, shape->vocabulary, shape->width, 0.05f),
		.wpe = bench_take(memory, shape->positions, shape->width, 0.05f),
		.out = bench_take(memory, bench_rows(shape), shape->width, 1.0f),
	};
	job->run = run_forward;
	work->bytes = bench_bytes_of(&op->tokens) + rows_touched(shape) * bench_bytes_of(&op->wte) +
				  bench_bytes_of(&op->wpe) + bench_bytes_of(&op->out);
}

static void build_backward(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	struct aur_embedding_backward *op = &job->op.embedding_backward;
	*op = (struct aur_embedding_backward){
		.tokens = bench_take_tokens(memory, shape),
		.d_out = bench_take(memory, bench_rows(shape), shape->width, 1e-3f),
		.d_wte = bench_take_f32(memory, shape->vocabulary, shape->width, 1e-3f),
		.d_wpe = bench_take_f32(memory, shape->positions, shape->width, 1e-3f),
	};
	job->run = run_backward;
	work->bytes = bench_bytes_of(&op->tokens) + bench_bytes_of(&op->d_out) +
				  2 * (rows_touched(shape) * bench_bytes_of(&op->d_wte) + bench_bytes_of(&op->d_wpe));
}

void bench_add_embedding(struct bench_suite *suite, const struct bench_model *model)
{
	for (int i = 0; i < model->n_extents; i++)
		for (int backward = 0; backward < 2; backward++) {
			const struct bench_extent extent = model->extents[i];
			const struct bench_case filled = {
				.op = backward ? "embedding_backward" : "embedding_forward",
				.set = model->set,
				.bound = BENCH_MEMORY,
				.any_precision = 1,
				.shape = {.batch = extent.batch,
					.positions = extent.positions,
					.width = model->width,
					.vocabulary = model->vocabulary},
				.build = backward ? build_backward : build_forward,
			};
			bench_add(suite, &filled, "B=%lld T=%lld C=%lld V=%lld", (long long)extent.batch,
				(long long)extent.positions, (long long)model->width, (long long)model->vocabulary);
		}
}
