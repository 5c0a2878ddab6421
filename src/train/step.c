#include "train/trainer.h"

#include "core/clock.h"
#include "train/schedule.h"

#include <math.h>

/* After this many steps in a row without a finite gradient the run has diverged. */
enum { SKIPS_ALLOWED = 10 };

static aur_status upload_state(struct aur_trainer *trainer, const struct aur_step_state *state)
{
	return trainer->backend->ops->upload(trainer->backend, trainer->state, state, sizeof *state);
}

/* One micro-batch: `index` counts this rank's. */
static aur_status run_micro(
	struct aur_trainer *trainer, const int32_t *tokens, const int32_t *targets, int64_t index, float *gradients)
{
	const struct aur_config *config = trainer->config;
	struct aur_backend *backend = trainer->backend;
	const int64_t micro = config->train.micro_batch_size, positions = config->model.block_size;
	const int64_t first = aur_trainer_first_sequence(trainer) + index * micro;
	const size_t bytes = (size_t)(micro * positions) * sizeof *tokens;
	const struct aur_step_state state = {
		.seed = (uint64_t)config->train.seed,
		.first_sample = (uint64_t)(trainer->step * config->train.batch_size + first),
	};
	AUR_TRY(upload_state(trainer, &state));
	AUR_TRY(backend->ops->upload(backend, trainer->tokens, tokens + index * micro * positions, bytes));
	AUR_TRY(backend->ops->upload(backend, trainer->targets, targets + index * micro * positions, bytes));
	const struct aur_micro_batch batch = {
		.tokens = trainer->tokens,
		.targets = trainer->targets,
		.batch = micro,
		.positions = positions,
		.weights = trainer->weights,
		.compute_weights = trainer->compute_weights,
		.state = trainer->state,
		.loss = trainer->losses + first,
		.gradients = gradients,
		.gradient_scale = (float)(1.0 / (double)(config->train.batch_size * positions)),
	};
	return aur_model_run(trainer->workspace, &batch);
}

static aur_status run_leaves(struct aur_trainer *trainer, const int32_t *tokens, const int32_t *targets)
{
	int64_t index = 0;
	for (int64_t leaf = 0; leaf < trainer->leaves_here; leaf++) {
		float *gradients;
		AUR_TRY(aur_leaf_tree_begin(&trainer->tree, trainer->backend, &gradients));
		for (int64_t i = 0; i < trainer->micros_per_leaf; i++)
			AUR_TRY(run_micro(trainer, tokens, targets, index++, gradients));
		AUR_TRY(aur_leaf_tree_end(&trainer->tree, trainer->backend));
	}
	return AUR_OK;
}

/* Everything of a step that one rank does alone: what fails here is agreed upon before the first exchange. */
static aur_status local_part(
	struct aur_trainer *trainer, struct aur_loader *loader, float **sum, struct aur_trainer_times *times)
{
	const int32_t *tokens, *targets;
	const double start = aur_clock_s();
	AUR_TRY(trainer->pending);
	trainer->tree.waiting = 0;
	/* What an evaluation spent since the last step is not this step's. */
	aur_workspace_times(trainer->workspace, &times->forward_s, &times->backward_s);
	AUR_TRY(aur_loader_next(loader, &tokens, &targets));
	times->data_s = aur_clock_s() - start;
	AUR_TRY(run_leaves(trainer, tokens, targets));
	AUR_TRY(aur_leaf_tree_take(&trainer->tree, sum));
	AUR_TRY(trainer->comm->ops->settle(trainer->comm));
	AUR_TRY(trainer->backend->ops->synchronise(trainer->backend));
	aur_workspace_times(trainer->workspace, &times->forward_s, &times->backward_s);
	return AUR_OK;
}

/* This rank's slice of the gradient. */
static aur_status reduce(struct aur_trainer *trainer, float *sum, float **gradient)
{
	struct aur_comm *comm = trainer->comm;
	*gradient = comm->size == 1 ? sum : trainer->gradient;
	if (trainer->config->train.reduction == AUR_REDUCTION_EXACT)
		return aur_exact_reduce(comm, trainer->backend, &trainer->slices, sum, trainer->parts, *gradient);
	if (comm->size == 1)
		return AUR_OK;
	AUR_TRY(comm->ops->reduce_scatter_start(comm, &trainer->slices, sum, *gradient));
	return comm->ops->finish(comm);
}

/* The norm over all slices: each rank sums its blocks, all ranks add all blocks in order. */
static aur_status clip(struct aur_trainer *trainer, float *gradient)
{
	struct aur_backend *backend = trainer->backend;
	struct aur_comm *comm = trainer->comm;
	const int64_t length = aur_slice_length(&trainer->slices, comm->rank);
	const struct aur_tensor sums = {
		.data = trainer->sums, .dtype = AUR_F64, .dims = 1, .shape = {trainer->sum_slices.count}, .stride = {1}};
	if (length > 0) {
		struct aur_tensor mine = sums;
		mine.data = trainer->sums + trainer->sum_slices.begin[comm->rank];
		mine.shape[0] = aur_slice_length(&trainer->sum_slices, comm->rank);
		const struct aur_sum_of_squares squares = {.x = aur_view1(gradient, length), .sums = mine};
		AUR_TRY(backend->ops->sum_of_squares(backend, &squares));
	}
	AUR_TRY(comm->ops->all_gather_start(comm, &trainer->sum_slices, trainer->sums, sizeof *trainer->sums));
	AUR_TRY(comm->ops->finish(comm));
	const struct aur_clip clip = {
		.sums = sums, .max_norm = (float)trainer->config->train.grad_clip, .state = trainer->state};
	return backend->ops->clip(backend, &clip);
}

static aur_status update(struct aur_trainer *trainer, float *gradient)
{
	const struct aur_config *config = trainer->config;
	const int64_t begin = trainer->slices.begin[trainer->comm->rank];
	const int64_t length = aur_slice_length(&trainer->slices, trainer->comm->rank);
	if (length == 0)
		return AUR_OK;
	const struct aur_adamw adamw = {
		.weights = aur_view1(trainer->weights + begin, length),
		.gradients = aur_view1(gradient, length),
		.m = aur_view1(trainer->m, length),
		.v = aur_view1(trainer->v, length),
		.segments = trainer->segments,
		.n_segments = trainer->n_segments,
		.beta1 = (float)config->train.beta1,
		.beta2 = (float)config->train.beta2,
		.epsilon = (float)config->train.epsilon,
		.state = trainer->state,
	};
	return trainer->backend->ops->adamw(trainer->backend, &adamw);
}

static struct aur_step_state next_update(const struct aur_trainer *trainer)
{
	const struct aur_config *config = trainer->config;
	const double t = (double)(trainer->updates + 1);
	return (struct aur_step_state){
		.seed = (uint64_t)config->train.seed,
		.learning_rate = (float)aur_schedule_rate(config, trainer->step),
		.correction1 = (float)(1.0 - pow(config->train.beta1, t)),
		.correction2 = (float)(1.0 - pow(config->train.beta2, t)),
	};
}

/* Losses travel one number a sequence and are added in order, so that the sum does not know the ranks. */
static aur_status collect_loss(struct aur_trainer *trainer, double *loss)
{
	struct aur_backend *backend = trainer->backend;
	struct aur_comm *comm = trainer->comm;
	const struct aur_config *config = trainer->config;
	AUR_TRY(comm->ops->all_gather_start(comm, &trainer->loss_slices, trainer->losses, sizeof *trainer->losses));
	AUR_TRY(comm->ops->finish(comm));
	AUR_TRY(comm->ops->settle(comm));
	AUR_TRY(backend->ops->download(
		backend, trainer->host_losses, trainer->losses, (size_t)config->train.batch_size * sizeof *trainer->losses));
	double sum = 0;
	for (int64_t i = 0; i < config->train.batch_size; i++)
		sum += trainer->host_losses[i];
	*loss = sum / (double)(config->train.batch_size * config->model.block_size);
	return AUR_OK;
}

static aur_status optimize(struct aur_trainer *trainer, float *gradient, struct aur_step_result *result)
{
	struct aur_backend *backend = trainer->backend;
	struct aur_comm *comm = trainer->comm;
	struct aur_step_state state = next_update(trainer);
	AUR_TRY(upload_state(trainer, &state));
	AUR_TRY(clip(trainer, gradient));
	AUR_TRY(update(trainer, gradient));
	AUR_TRY(comm->ops->all_gather_start(comm, &trainer->slices, trainer->weights, sizeof *trainer->weights));
	AUR_TRY(comm->ops->finish(comm));
	AUR_TRY(aur_trainer_round_weights(trainer));
	AUR_TRY(comm->ops->settle(comm));
	AUR_TRY(backend->ops->download(backend, &state, trainer->state, sizeof state));
	result->grad_norm = state.norm;
	result->learning_rate = state.learning_rate;
	result->skipped = state.skip;
	return AUR_OK;
}

/* All ranks saw the same norm, so they count alike and leave together. */
static aur_status count_step(struct aur_trainer *trainer, const struct aur_step_result *result)
{
	trainer->step++;
	if (!result->skipped) {
		trainer->updates++;
		trainer->skipped_in_a_row = 0;
		return AUR_OK;
	}
	trainer->skipped++;
	if (++trainer->skipped_in_a_row < SKIPS_ALLOWED)
		return AUR_OK;
	aur_fail(AUR_DIVERGED,
		"step %lld: training diverged: the gradient was not finite in %d steps in a row, which were left out "
		"(lower train.learning_rate or set train.grad_clip; the checkpoints are kept)",
		(long long)trainer->step, SKIPS_ALLOWED);
	if (trainer->comm->rank != 0)
		aur_error_clear();
	return AUR_DIVERGED;
}

aur_status aur_trainer_step(
	struct aur_trainer *trainer, struct aur_loader *loader, int stop, struct aur_step_result *result)
{
	struct aur_comm *comm = trainer->comm;
	float *sum = NULL, *gradient = NULL;
	*result = (struct aur_step_result){0};
	const double start = aur_clock_s();
	struct aur_agreement agreement = {.stop = stop};
	agreement.status = local_part(trainer, loader, &sum, &result->times);
	const double reached = aur_clock_s();
	AUR_TRY(comm->ops->agree(comm, &agreement));
	result->stop = agreement.stop;
	AUR_TRY(reduce(trainer, sum, &gradient));
	AUR_TRY(collect_loss(trainer, &result->loss));
	const double reduced = aur_clock_s();
	AUR_TRY(optimize(trainer, gradient, result));
	const double end = aur_clock_s();
	result->times.reduce_wait_s = reduced - reached;
	result->times.optimizer_s = end - reduced;
	result->times.step_s = end - start;
	return count_step(trainer, result);
}
