#include "bench.h"

/* Products of a weight [O,I], forward and backward, and of one row, as generation makes them. */

static aur_status run_forward(struct bench_job *job)
{
	return job->backend->ops->linear_forward(job->backend, &job->op.linear_forward);
}

static aur_status run_backward(struct bench_job *job)
{
	return job->backend->ops->linear_backward(job->backend, &job->op.linear_backward);
}

static void build_forward(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	const int64_t rows = bench_rows(shape);
	struct aur_linear_forward *op = &job->op.linear_forward;
	*op = (struct aur_linear_forward){
		.x = bench_take(memory, rows, shape->width, 1.0f),
		.w = bench_take(memory, shape->outputs, shape->width, 0.05f),
		.bias = shape->bias ? bench_take(memory, 1, shape->outputs, 0.05f) : (struct aur_tensor){0},
		.y = bench_take(memory, rows, shape->outputs, 1.0f),
	};
	job->run = run_forward;
	*work = (struct bench_work){
		.bytes = bench_bytes_of(&op->x) + bench_bytes_of(&op->w) + bench_bytes_of(&op->bias) + bench_bytes_of(&op->y),
		.flops = 2.0 * (double)(rows * shape->outputs * shape->width),
		.products = {{0, 1, rows, shape->outputs, shape->width}},
		.n_products = 1,
	};
}

static void build_backward(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	const int64_t rows = bench_rows(shape);
	struct aur_linear_backward *op = &job->op.linear_backward;
	*op = (struct aur_linear_backward){
		.d_y = bench_take(memory, rows, shape->outputs, 1e-3f),
		.x = bench_take(memory, rows, shape->width, 1.0f),
		.w = bench_take(memory, shape->outputs, shape->width, 0.05f),
		.d_x = bench_take(memory, rows, shape->width, 1.0f),
		.d_w = bench_take_f32(memory, shape->outputs, shape->width, 1e-3f),
		.d_bias = shape->bias ? bench_take_f32(memory, 1, shape->outputs, 1e-3f) : (struct aur_tensor){0},
	};
	job->run = run_backward;
	*work = (struct bench_work){
		.bytes = bench_bytes_of(&op->d_y) + bench_bytes_of(&op->x) + bench_bytes_of(&op->w) + bench_bytes_of(&op->d_x) +
				 2 * (bench_bytes_of(&op->d_w) + bench_bytes_of(&op->d_bias)),
		.flops = 4.0 * (double)(rows * shape->outputs * shape->width),
		.products = {{0, 0, rows, shape->width, shape->outputs}, {1, 0, shape->outputs, shape->width, rows}},
		.n_products = 2,
	};
}

/* The four weights of a block and, for one row, the output head. */
struct weight {
	const char *name;
	int64_t outputs, inputs;
};

enum { WEIGHTS = 5, HEAD = 4 };

static void list_weights(const struct bench_model *model, struct weight weights[WEIGHTS])
{
	weights[0] = (struct weight){"attn.qkv", 3 * model->width, model->width};
	weights[1] = (struct weight){"attn.proj", model->width, model->width};
	weights[2] = (struct weight){"mlp.fc", model->mlp_width, model->width};
	weights[3] = (struct weight){"mlp.proj", model->width, model->mlp_width};
	weights[HEAD] = (struct weight){"head", model->vocabulary, model->width};
}

static void add(
	struct bench_suite *suite, const struct bench_model *model, const struct weight *weight, int64_t rows, int backward)
{
	const struct bench_case filled = {
		.op = backward ? "linear_backward" : "linear_forward",
		.set = model->set,
		.bound = rows == 1 ? BENCH_MEMORY : BENCH_PRODUCT,
		.any_precision = 1,
		.shape = {.batch = 1,
			.positions = rows,
			.width = weight->inputs,
			.outputs = weight->outputs,
			.bias = model->bias && weight->outputs != model->vocabulary},
		.build = backward ? build_backward : build_forward,
	};
	bench_add(suite, &filled, "%s %lldx%lldx%lld", weight->name, (long long)rows, (long long)weight->outputs,
		(long long)weight->inputs);
}

void bench_add_linear(struct bench_suite *suite, const struct bench_model *model)
{
	const int64_t rows = model->extents[0].batch * model->extents[0].positions;
	struct weight weights[WEIGHTS];
	list_weights(model, weights);
	for (int i = 0; i < HEAD; i++)
		add(suite, model, &weights[i], rows, 0);
	for (int i = 0; i < HEAD; i++)
		add(suite, model, &weights[i], rows, 1);
	for (int i = 0; i < WEIGHTS; i++)
		add(suite, model, &weights[i], 1, 0);
}
