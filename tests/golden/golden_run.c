#include "golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Memory of the backend for one training run. */
struct trainer {
	const struct golden *golden;
	struct aur_backend *backend;
	struct aur_workspace *workspace;
	int64_t count; /* parameters, padding included */
	enum aur_dtype compute;
	float *weights, *gradients, *m, *v;
	void *rounded;
	double *sums, *loss;
	int32_t *tokens, *targets;
	struct aur_step_state *state;
};

static void *allocate(struct aur_backend *backend, size_t bytes)
{
	void *memory = NULL;
	assert_int_equal(backend->ops->allocate(backend, bytes, &memory), AUR_OK);
	assert_int_equal(backend->ops->zero(backend, memory, bytes), AUR_OK);
	return memory;
}

static void upload(const struct trainer *trainer, void *to, const void *from, size_t bytes)
{
	assert_int_equal(trainer->backend->ops->upload(trainer->backend, to, from, bytes), AUR_OK);
}

static void download(const struct trainer *trainer, void *to, const void *from, size_t bytes)
{
	assert_int_equal(trainer->backend->ops->download(trainer->backend, to, from, bytes), AUR_OK);
	assert_int_equal(trainer->backend->ops->synchronise(trainer->backend), AUR_OK);
}

static int64_t blocks_of(const struct trainer *trainer)
{
	return (trainer->count + AUR_NORM_BLOCK - 1) / AUR_NORM_BLOCK;
}

static void start(
	const struct golden *golden, struct aur_backend *backend, enum aur_dtype compute, struct trainer *trainer)
{
	const size_t tokens = (size_t)(golden->batch * golden->positions) * sizeof(int32_t);
	*trainer = (struct trainer){
		.golden = golden, .backend = backend, .compute = compute, .count = aur_model_parameters(golden->model)->count};
	const size_t bytes = (size_t)trainer->count * sizeof(float);
	assert_int_equal(aur_workspace_create(golden->model, backend, golden->batch, golden->positions, 1, compute,
						 &trainer->workspace, NULL),
		AUR_OK);
	trainer->weights = allocate(backend, bytes);
	trainer->rounded = allocate(backend, (size_t)trainer->count * aur_dtype_bytes(compute));
	trainer->gradients = allocate(backend, bytes);
	trainer->m = allocate(backend, bytes);
	trainer->v = allocate(backend, bytes);
	trainer->sums = allocate(backend, (size_t)blocks_of(trainer) * sizeof(double));
	trainer->loss = allocate(backend, (size_t)golden->batch * sizeof(double));
	trainer->tokens = allocate(backend, tokens);
	trainer->targets = allocate(backend, tokens);
	trainer->state = allocate(backend, sizeof *trainer->state);
	upload(trainer, trainer->weights, golden->weights, bytes);
}

static void stop(struct trainer *trainer)
{
	struct aur_backend *backend = trainer->backend;
	void *const all[] = {trainer->weights, trainer->rounded, trainer->gradients, trainer->m, trainer->v, trainer->sums,
		trainer->loss, trainer->tokens, trainer->targets, trainer->state};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		backend->ops->release(backend, all[i]);
	aur_workspace_destroy(&trainer->workspace);
}

/* The copies that products read, where they do not read the weights themselves. */
static void round_weights(const struct trainer *trainer)
{
	const struct aur_cast cast = {.x = aur_view1(trainer->weights, trainer->count),
		.y = aur_view1_of(trainer->rounded, trainer->compute, trainer->count)};
	if (trainer->compute != AUR_F32)
		assert_int_equal(trainer->backend->ops->cast(trainer->backend, &cast), AUR_OK);
}

/* Forward and backward of one batch, into zeroed gradients. */
static void run_batch(struct trainer *trainer, int64_t index)
{
	const struct golden *golden = trainer->golden;
	const int64_t tokens = golden->batch * golden->positions;
	upload(trainer, trainer->tokens, golden->tokens + index * tokens, (size_t)tokens * sizeof(int32_t));
	upload(trainer, trainer->targets, golden->targets + index * tokens, (size_t)tokens * sizeof(int32_t));
	assert_int_equal(
		trainer->backend->ops->zero(trainer->backend, trainer->gradients, (size_t)trainer->count * sizeof(float)),
		AUR_OK);
	round_weights(trainer);
	const struct aur_micro_batch batch = {
		.tokens = trainer->tokens,
		.targets = trainer->targets,
		.batch = golden->batch,
		.positions = golden->positions,
		.weights = trainer->weights,
		.compute_weights = trainer->rounded,
		.loss = trainer->loss,
		.gradients = trainer->gradients,
		.gradient_scale = 1.0f / (float)tokens,
	};
	assert_int_equal(aur_model_run(trainer->workspace, &batch), AUR_OK);
}

static double mean_loss(const struct trainer *trainer)
{
	double losses[64];
	const int64_t n = trainer->golden->batch;
	assert_true(n <= 64);
	download(trainer, losses, trainer->loss, (size_t)n * sizeof(double));
	double sum = 0;
	for (int64_t i = 0; i < n; i++)
		sum += losses[i];
	return sum / (double)(n * trainer->golden->positions);
}

/* What lies between two tensors belongs to the one before it. */
static int64_t segments_of(const struct trainer *trainer, int decay_all, struct aur_adamw_segment *segments)
{
	const struct aur_parameters *parameters = aur_model_parameters(trainer->golden->model);
	const float decay = (float)trainer->golden->weight_decay;
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *item = &parameters->items[i];
		const int64_t end = i + 1 < parameters->n_items ? item[1].offset : parameters->count;
		segments[i] =
			(struct aur_adamw_segment){item->offset, end - item->offset, decay_all || item->matrix ? decay : 0.0f};
	}
	return parameters->n_items;
}

static void update(struct trainer *trainer, int64_t step, int decay_all)
{
	const struct golden *golden = trainer->golden;
	const struct aur_backend_ops *ops = trainer->backend->ops;
	struct aur_tensor sums = {
		.data = trainer->sums, .dtype = AUR_F64, .dims = 1, .shape = {blocks_of(trainer)}, .stride = {1}};
	struct aur_adamw_segment segments[256];
	assert_true(aur_model_parameters(golden->model)->n_items <= 256);
	const struct aur_adamw op = {
		.weights = aur_view1(trainer->weights, trainer->count),
		.gradients = aur_view1(trainer->gradients, trainer->count),
		.m = aur_view1(trainer->m, trainer->count),
		.v = aur_view1(trainer->v, trainer->count),
		.segments = segments,
		.n_segments = segments_of(trainer, decay_all, segments),
		.beta1 = (float)golden->beta1,
		.beta2 = (float)golden->beta2,
		.epsilon = (float)golden->epsilon,
		.state = trainer->state,
	};
	const struct aur_step_state state = {
		.learning_rate = (float)golden->learning_rate[step],
		.updates = step,
	};
	upload(trainer, trainer->state, &state, sizeof state);
	const struct aur_sum_of_squares squares = {.x = op.gradients, .sums = sums};
	const struct aur_clip clip = {
		.sums = sums,
		.max_norm = (float)golden->max_norm,
		.beta1 = (double)op.beta1,
		.beta2 = (double)op.beta2,
		.state = trainer->state,
	};
	assert_int_equal(ops->sum_of_squares(trainer->backend, &squares), AUR_OK);
	assert_int_equal(ops->clip(trainer->backend, &clip), AUR_OK);
	assert_int_equal(ops->adamw(trainer->backend, &op), AUR_OK);
}

static void run_curve(const struct golden *golden, struct aur_backend *backend, enum aur_dtype compute, int decay_all,
	struct golden_curve *curve)
{
	struct trainer trainer;
	start(golden, backend, compute, &trainer);
	for (int64_t step = 0; step < GOLDEN_STEPS; step++) {
		struct aur_step_state state;
		run_batch(&trainer, step % golden->batches);
		curve->loss[step] = mean_loss(&trainer);
		update(&trainer, step, decay_all);
		download(&trainer, &state, trainer.state, sizeof state);
		curve->norm[step] = state.norm;
	}
	stop(&trainer);
}

void golden_run(
	const struct golden *golden, struct aur_backend *backend, enum aur_dtype compute, struct golden_result *result)
{
	struct trainer trainer;
	start(golden, backend, compute, &trainer);
	const size_t bytes = (size_t)trainer.count * sizeof(float);
	*result =
		(struct golden_result){.loss = calloc((size_t)golden->batch, sizeof(double)), .gradients = calloc(1, bytes)};
	run_batch(&trainer, 0);
	download(&trainer, result->loss, trainer.loss, (size_t)golden->batch * sizeof(double));
	download(&trainer, result->gradients, trainer.gradients, bytes);
	stop(&trainer);
	for (int decay = 0; decay < GOLDEN_DECAYS; decay++)
		run_curve(golden, backend, compute, decay, &result->curves[decay]);
}

void golden_result_clear(struct golden_result *result)
{
	free(result->loss);
	free(result->gradients);
}
