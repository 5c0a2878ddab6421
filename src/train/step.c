#include "train/trainer.h"

#include "core/clock.h"
#include "train/schedule.h"

#include <math.h>
#include <stdlib.h>

/* After this many steps in a row without a finite gradient the run has diverged. */
enum { SKIPS_ALLOWED = 10 };

/* One micro-batch: `index` counts this rank's. */
static aur_status run_micro(struct aur_trainer *trainer, struct aur_lane *lane, int64_t index, float *gradients)
{
	const struct aur_config *config = trainer->config;
	struct aur_backend *backend = lane->backend;
	const int64_t micro = config->train.micro_batch_size, positions = config->model.block_size;
	const int64_t first = aur_trainer_first_sequence(trainer) + index * micro;
	const size_t bytes = (size_t)(micro * positions) * sizeof *lane->tokens;
	const struct aur_step_state state = {
		.seed = (uint64_t)config->train.seed,
		.first_sample = (uint64_t)(trainer->step * config->train.batch_size + first),
	};
	AUR_TRY(backend->ops->upload(backend, lane->state, &state, sizeof state));
	AUR_TRY(backend->ops->upload(backend, lane->tokens, trainer->next_tokens + index * micro * positions, bytes));
	AUR_TRY(backend->ops->upload(backend, lane->targets, trainer->next_targets + index * micro * positions, bytes));
	const struct aur_micro_batch batch = {
		.tokens = lane->tokens,
		.targets = lane->targets,
		.batch = micro,
		.positions = positions,
		.weights = trainer->weights,
		.compute_weights = trainer->compute_weights,
		.state = lane->state,
		.loss = trainer->losses + first,
		.gradients = gradients,
		.gradient_scale = (float)(1.0 / (double)(config->train.batch_size * positions)),
	};
	return aur_model_run(lane->workspace, &batch);
}

aur_status aur_trainer_rehearse(struct aur_trainer *trainer)
{
	const struct aur_config *config = trainer->config;
	struct aur_lane *lane = &trainer->lanes[0];
	const size_t tokens = (size_t)(config->train.micro_batch_size * config->model.block_size);
	int32_t *zeros = calloc(tokens, sizeof *zeros);
	float *gradients;
	if (!zeros)
		return aur_fail(AUR_MEMORY, "trainer: no memory for a micro-batch of zeros");
	trainer->next_tokens = trainer->next_targets = zeros;
	lane->tree.waiting = 0;
	aur_status status;
	AUR_TRY_CLEANUP(aur_leaf_tree_begin(&lane->tree, lane->backend, &gradients));
	AUR_TRY_CLEANUP(run_micro(trainer, lane, 0, gradients));
	status = lane->backend->ops->synchronise(lane->backend);
cleanup:
	trainer->next_tokens = trainer->next_targets = NULL;
	free(zeros);
	return status;
}

/* The leaves of one lane, added up. */
static aur_status run_leaves(void *context, int number)
{
	struct aur_trainer *trainer = context;
	struct aur_lane *lane = &trainer->lanes[number];
	const int64_t leaves = trainer->leaves_here / trainer->n_lanes;
	int64_t index = number * leaves * trainer->micros_per_leaf;
	lane->tree.waiting = 0;
	for (int64_t leaf = 0; leaf < leaves; leaf++) {
		float *gradients;
		AUR_TRY(aur_leaf_tree_begin(&lane->tree, lane->backend, &gradients));
		for (int64_t i = 0; i < trainer->micros_per_leaf; i++)
			AUR_TRY(run_micro(trainer, lane, index++, gradients));
		AUR_TRY(aur_leaf_tree_end(&lane->tree, lane->backend));
	}
	return aur_leaf_tree_take(&lane->tree, &lane->sum);
}

/* The upper part of this rank's tree. */
static aur_status add_lanes(struct aur_trainer *trainer, float **sum)
{
	struct aur_tree_add add = {
		.n_parts = trainer->n_lanes, .out = trainer->lanes[0].sum, .count = trainer->slices.count};
	for (int i = 0; i < trainer->n_lanes; i++)
		add.parts[i] = trainer->lanes[i].sum;
	*sum = add.out;
	return trainer->backend->ops->tree_add(trainer->backend, &add);
}

static aur_status run_lanes(struct aur_trainer *trainer, float **sum)
{
	if (trainer->n_lanes > 1) {
		AUR_TRY(aur_crew_run(trainer->crew, run_leaves, trainer));
		return add_lanes(trainer, sum);
	}
	AUR_TRY(run_leaves(trainer, 0));
	*sum = trainer->lanes[0].sum;
	return AUR_OK;
}

/* Everything of a step that one rank does alone: what fails here is agreed upon before the first exchange. */
static aur_status local_part(
	struct aur_trainer *trainer, struct aur_loader *loader, float **sum, struct aur_trainer_times *times)
{
	const double start = aur_clock_s();
	struct aur_workspace *first = trainer->lanes[0].workspace;
	AUR_TRY(trainer->pending);
	/* What an evaluation spent since the last step is not this step's. */
	aur_workspace_times(first, &times->forward_s, &times->backward_s);
	AUR_TRY(aur_loader_next(loader, &trainer->next_tokens, &trainer->next_targets));
	times->data_s = aur_clock_s() - start;
	AUR_TRY(run_lanes(trainer, sum));
	AUR_TRY(trainer->comm->ops->settle(trainer->comm));
	AUR_TRY(trainer->backend->ops->synchronise(trainer->backend));
	aur_workspace_times(first, &times->forward_s, &times->backward_s);
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
	AUR_TRY(backend->ops->upload(backend, trainer->state, &state, sizeof state));
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
