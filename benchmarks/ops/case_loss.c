#include "bench.h"

/* The output head with its loss, and the bigram's table of logits. Of the head the products are most of the time: what
 * is left above theirs is the cross-entropy. */

static aur_status run_head(struct bench_job *job)
{
	return job->backend->ops->head_loss(job->backend, &job->op.head_loss);
}

static aur_status run_table(struct bench_job *job)
{
	return job->backend->ops->table_loss(job->backend, &job->op.table_loss);
}

static void add_head_gradients(
	const struct bench_shape *shape, struct bench_memory *memory, struct aur_head_loss *op, struct bench_work *work)
{
	const int64_t rows = bench_rows(shape), width = shape->width, vocabulary = shape->vocabulary;
	op->d_x = bench_take(memory, rows, width, 1e-3f);
	op->d_w = bench_take_f32(memory, vocabulary, width, 1e-3f);
	work->bytes += bench_bytes_of(&op->d_x) + 2 * bench_bytes_of(&op->d_w);
	work->flops *= 3;
	work->products[1] = (struct bench_product){0, 0, rows, width, vocabulary};
	work->products[2] = (struct bench_product){1, 0, vocabulary, width, rows};
	work->n_products = 3;
}

static void build_head(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	const int64_t rows = bench_rows(shape), width = shape->width, vocabulary = shape->vocabulary;
	struct aur_head_loss *op = &job->op.head_loss;
	*op = (struct aur_head_loss){
		.x = bench_take(memory, rows, width, 1.0f),
		.w = bench_take(memory, vocabulary, width, 0.05f),
		.targets = bench_take_tokens(memory, shape),
		.loss = bench_take_constant(memory, AUR_F64, shape->batch, 0.0),
		.gradient_scale = 1.0f / (float)rows,
	};
	job->run = run_head;
	*work = (struct bench_work){
		.bytes = bench_bytes_of(&op->x) + bench_bytes_of(&op->w) + bench_bytes_of(&op->targets),
		.flops = 2.0 * (double)(rows * width * vocabulary),
		.products = {{0, 1, rows, vocabulary, width}},
		.n_products = 1,
	};
	if (shape->gradients)
		add_head_gradients(shape, memory, op, work);
}

/* Rows of the table that a call touches: tokens that occur. */
static int64_t distinct_tokens(const struct aur_tensor *tokens)
{
	const int32_t *token = tokens->data;
	const int64_t n = aur_tensor_count(tokens);
	int64_t distinct = 0;
	for (int64_t i = 0; i < n; i++) {
		int64_t first = 0;
		while (token[first] != token[i])
			first++;
		distinct += first == i;
	}
	return distinct;
}

static void build_table(
	const struct bench_shape *shape, struct bench_memory *memory, struct bench_job *job, struct bench_work *work)
{
	struct aur_table_loss *op = &job->op.table_loss;
	*op = (struct aur_table_loss){
		.tokens = bench_take_tokens(memory, shape),
		.targets = bench_take_tokens(memory, shape),
		.table = bench_take_f32(memory, shape->vocabulary, shape->vocabulary, 1.0f),
		.loss = bench_take_constant(memory, AUR_F64, shape->batch, 0.0),
		.d_table = bench_take_f32(memory, shape->vocabulary, shape->vocabulary, 1e-3f),
		.gradient_scale = 1.0f / (float)bench_rows(shape),
	};
	job->run = run_table;
	const double row = (double)(shape->vocabulary * (int64_t)sizeof(float));
	work->bytes = 2 * bench_bytes_of(&op->tokens);
	if (op->tokens.data)
		work->bytes += 3 * row * (double)distinct_tokens(&op->tokens);
}

static void add_head(struct bench_suite *suite, const struct bench_model *model, int gradients)
{
	const struct bench_extent extent = model->extents[0];
	const struct bench_case filled = {
		.op = "head_loss",
		.set = model->set,
		.bound = BENCH_PRODUCT,
		.any_precision = 1,
		.shape = {.batch = extent.batch,
			.positions = extent.positions,
			.width = model->width,
			.vocabulary = model->vocabulary,
			.gradients = gradients},
		.build = build_head,
	};
	bench_add(suite, &filled, "%s %lldx%lldx%lld", gradients ? "with gradients" : "loss alone",
		(long long)(extent.batch * extent.positions), (long long)model->vocabulary, (long long)model->width);
}

/* A table of 50,257 by 50,257 logits would be 10 GB: the bigram is a model of small vocabularies. */
enum { MOST_OF_TABLE = 1000, WORDS = 9959 };

static void add_table(struct bench_suite *suite, const struct bench_model *model, int64_t vocabulary)
{
	const struct bench_extent extent = model->extents[0];
	const struct bench_case filled = {
		.op = "table_loss",
		.set = model->set,
		.bound = BENCH_MEMORY,
		.shape = {.batch = extent.batch, .positions = extent.positions, .vocabulary = vocabulary},
		.build = build_table,
	};
	bench_add(suite, &filled, "with gradients B=%lld T=%lld V=%lld", (long long)extent.batch,
		(long long)extent.positions, (long long)vocabulary);
}

void bench_add_loss(struct bench_suite *suite, const struct bench_model *model)
{
	add_head(suite, model, 0);
	add_head(suite, model, 1);
	/* Beside the large model the words of Meditations: cross-entropy from memory, without products. */
	add_table(suite, model, model->vocabulary < MOST_OF_TABLE ? model->vocabulary : WORDS);
}
