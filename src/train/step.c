#include "train/trainer.h"

#include "core/clock.h"
#include "micro.h"
#include "results.h"
#include "update.h"

#include <stdlib.h>

/* A reduction that goes on while the backward pass completes the gradients: in buckets, so that exchanges are few. */
struct reduction {
	struct aur_trainer *trainer;
	const float *sum;
	int64_t sent; /* elements whose exchange was started */
};

/* Buckets begin at the same elements on all ranks: `done` is the model's. */
static aur_status reduce_completed(void *context, int64_t done)
{
	struct reduction *reduction = context;
	struct aur_trainer *trainer = reduction->trainer;
	struct aur_comm *comm = trainer->comm;
	const int64_t elements = (int64_t)(comm->bucket_bytes / sizeof *reduction->sum),
				  bucket = elements > 0 ? elements : 1;
	const int last = done == trainer->slices.count;
	while (done - reduction->sent >= bucket || (last && reduction->sent < done)) {
		const int64_t to = done - reduction->sent < bucket ? done : reduction->sent + bucket;
		AUR_TRY(comm->ops->reduce_stretch_start(
			comm, &trainer->slices, reduction->sum, trainer->gradient, reduction->sent, to));
		reduction->sent = to;
	}
	return AUR_OK;
}

/* A buffer for the next leaf, ready for its first micro-batch. */
static aur_status begin_leaf(const struct aur_trainer *trainer, struct aur_lane *lane, float **gradients)
{
	AUR_TRY(aur_leaf_tree_begin(&lane->tree, gradients));
	return aur_model_begin_gradients(trainer->model, lane->backend, *gradients);
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
	AUR_TRY_CLEANUP(begin_leaf(trainer, lane, &gradients));
	AUR_TRY_CLEANUP(aur_micro_run(trainer, lane, &(struct aur_micro){.gradients = gradients}));
	status = lane->backend->ops->synchronise(lane->backend);
cleanup:
	trainer->next_tokens = trainer->next_targets = NULL;
	free(zeros);
	return status;
}

/* With the first micro-batch of a step queued a device has work, so that the host can take what the step before gave:
 * it has to, before it waits for the device anywhere else, because here it learns of other ranks' failures meanwhile.
 */
static aur_status run_micro(struct aur_trainer *trainer, struct aur_lane *lane, const struct aur_micro *micro)
{
	AUR_TRY(aur_micro_run(trainer, lane, micro));
	return micro->index == 0 ? aur_results_take(trainer, trainer->step + 1, 0) : AUR_OK;
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
		AUR_TRY(begin_leaf(trainer, lane, &gradients));
		for (int64_t i = 0; i < trainer->micros_per_leaf; i++)
			AUR_TRY(run_micro(trainer, lane, &(struct aur_micro){.index = index++, .gradients = gradients}));
		AUR_TRY(aur_leaf_tree_end(&lane->tree, lane->backend));
	}
	return aur_leaf_tree_take(&lane->tree, lane->sums, &lane->n_sums);
}

/* The upper part of this rank's tree. */
static aur_status add_lanes(struct aur_trainer *trainer, float **sum)
{
	struct aur_tree_add add = {.out = trainer->lanes[0].sums[0], .count = trainer->slices.count};
	for (int i = 0; i < trainer->n_lanes; i++)
		for (int part = 0; part < trainer->lanes[i].n_sums; part++)
			add.parts[add.n_parts++] = trainer->lanes[i].sums[part];
	*sum = add.out;
	return trainer->backend->ops->tree_add(trainer->backend, &add);
}

/* All micro-batches but the last, whose gradients travel while they are made: an exchange may begin when all ranks have
 * agreed upon what each did alone. */
static aur_status run_all_but_last(struct aur_trainer *trainer, float **sum)
{
	struct aur_lane *lane = &trainer->lanes[0];
	lane->tree.waiting = 0;
	AUR_TRY(begin_leaf(trainer, lane, sum));
	for (int64_t i = 0; i + 1 < trainer->micros_per_leaf; i++)
		AUR_TRY(run_micro(trainer, lane, &(struct aur_micro){.index = i, .gradients = *sum}));
	return AUR_OK;
}

static aur_status run_lanes(struct aur_trainer *trainer, float **sum)
{
	if (trainer->overlaps)
		return run_all_but_last(trainer, sum);
	if (trainer->n_lanes > 1) {
		AUR_TRY(aur_crew_run(trainer->crew, run_leaves, trainer));
		return add_lanes(trainer, sum);
	}
	AUR_TRY(run_leaves(trainer, 0));
	*sum = trainer->lanes[0].sums[0];
	return AUR_OK;
}

/* Where the host has the data, or moves it, it waits for the micro-batches: what fails in them is this rank's alone and
 * is agreed upon. Otherwise it is found when the result is taken. */
static aur_status wait_for_lanes(struct aur_trainer *trainer)
{
	const struct aur_comm *comm = trainer->comm;
	const int moves_data = comm->size > 1 && !comm->ops->reduce_stretch_start;
	if (trainer->overlaps || !(trainer->backend->host_memory || moves_data))
		return AUR_OK;
	AUR_TRY(trainer->comm->ops->settle(trainer->comm));
	return trainer->backend->ops->synchronise(trainer->backend);
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
	AUR_TRY(wait_for_lanes(trainer));
	if (!trainer->overlaps)
		aur_workspace_times(first, &times->forward_s, &times->backward_s);
	return AUR_OK;
}

/* The local part, and what it came to on all ranks. A failure of this rank alone is brought to the agreement when the
 * exchanges of the step before are over: the others wait for them, and would not come. */
static aur_status agree_on_local_part(struct aur_trainer *trainer, struct aur_loader *loader, float **sum,
	struct aur_agreement *agreement, struct aur_trainer_times *times, double *reached_s)
{
	agreement->status = local_part(trainer, loader, sum, times);
	if (agreement->status != AUR_OK && trainer->lost == AUR_OK) {
		const aur_status taken = aur_results_take(trainer, trainer->step + 1, 0);
		agreement->status = taken != AUR_OK ? taken : agreement->status;
	}
	*reached_s = aur_clock_s();
	return trainer->lost != AUR_OK ? trainer->lost : trainer->comm->ops->agree(trainer->comm, agreement);
}

/* The last micro-batch and the exchange of what all of them gave. */
static aur_status run_last(struct aur_trainer *trainer, float *sum, struct aur_trainer_times *times)
{
	struct aur_lane *lane = &trainer->lanes[0];
	struct reduction reduction = {.trainer = trainer, .sum = sum};
	const struct aur_micro last = {
		.index = trainer->micros_per_leaf - 1,
		.gradients = sum,
		.completed = reduce_completed,
		.context = &reduction,
	};
	AUR_TRY(aur_micro_run(trainer, lane, &last));
	aur_workspace_times(lane->workspace, &times->forward_s, &times->backward_s);
	AUR_TRY(aur_results_begin(trainer));
	return trainer->comm->ops->finish(trainer->comm);
}

/* This rank's slice of the gradient. */
static aur_status reduce(struct aur_trainer *trainer, float *sum, float **gradient, struct aur_trainer_times *times)
{
	struct aur_comm *comm = trainer->comm;
	*gradient = comm->size == 1 ? sum : trainer->gradient;
	if (trainer->overlaps)
		return run_last(trainer, sum, times);
	AUR_TRY(aur_results_begin(trainer));
	if (trainer->config->train.reduction == AUR_REDUCTION_EXACT)
		return aur_exact_reduce(comm, trainer->backend, &trainer->slices, sum, trainer->parts, *gradient);
	if (comm->size == 1)
		return AUR_OK;
	AUR_TRY(comm->ops->reduce_scatter_start(comm, &trainer->slices, sum, *gradient));
	return comm->ops->finish(comm);
}

/* Losses travel one number a sequence: results.c adds them in order. */
static aur_status collect_losses(struct aur_trainer *trainer)
{
	struct aur_comm *comm = trainer->comm;
	AUR_TRY(comm->ops->all_gather_start(comm, &trainer->loss_slices, trainer->losses, sizeof *trainer->losses));
	AUR_TRY(comm->ops->finish(comm));
	return aur_results_queue_losses(trainer);
}

static aur_status exchange(struct aur_trainer *trainer, float *sum, float **gradient, struct aur_trainer_times *times)
{
	aur_mark_begin(trainer->backend, "reduction");
	aur_status status = reduce(trainer, sum, gradient, times);
	if (status == AUR_OK)
		status = collect_losses(trainer);
	aur_mark_end(trainer->backend);
	return status;
}

static aur_status update(struct aur_trainer *trainer, float *gradient)
{
	aur_mark_begin(trainer->backend, "update");
	const aur_status status = aur_trainer_update(trainer, gradient);
	aur_mark_end(trainer->backend);
	return status;
}

/* What is found wrong on this rank alone waits for the next agreement. */
static aur_status take_results(struct aur_trainer *trainer, int newest_too)
{
	const aur_status status = aur_results_take(trainer, trainer->step + newest_too, 1);
	if (trainer->lost == AUR_OK && status != AUR_OK)
		trainer->pending = status;
	return trainer->lost;
}

aur_status aur_trainer_judge(const struct aur_trainer *trainer)
{
	if (trainer->diverged_at == 0)
		return AUR_OK;
	aur_fail(AUR_DIVERGED,
		"step %lld: training diverged: the gradient was not finite in %d steps in a row, which were left out "
		"(lower train.learning_rate or set train.grad_clip; the checkpoints are kept)",
		(long long)trainer->diverged_at, AUR_SKIPS_ALLOWED);
	if (trainer->comm->rank != 0)
		aur_error_clear();
	return AUR_DIVERGED;
}

aur_status aur_trainer_step(struct aur_trainer *trainer, struct aur_loader *loader,
	const struct aur_step_request *request, struct aur_step_results *results)
{
	float *sum = NULL, *gradient = NULL;
	struct aur_trainer_times times = {0};
	struct aur_agreement agreement = {.stop = request->stop};
	double reached = 0;
	trainer->results = *results = (struct aur_step_results){0};
	if (!aur_results_awaited(trainer))
		trainer->taken_s = aur_clock_s();
	AUR_TRY(agree_on_local_part(trainer, loader, &sum, &agreement, &times, &reached));
	AUR_TRY(exchange(trainer, sum, &gradient, &times));
	const double reduced = aur_clock_s();
	AUR_TRY(update(trainer, gradient));
	/* Of the host: a device has only been asked so far, and does these parts meanwhile or later. */
	times.reduce_wait_s = reduced - reached;
	times.optimizer_s = aur_clock_s() - reduced;
	AUR_TRY(aur_results_queue(trainer, &times));
	trainer->step++;
	AUR_TRY(take_results(trainer, request->at_once || agreement.stop || !aur_results_come_later(trainer)));
	/* All ranks leave after it: nothing is on its way then. */
	if (trainer->diverged_at != 0)
		AUR_TRY(take_results(trainer, 1));
	*results = trainer->results;
	results->stop = agreement.stop;
	return AUR_OK;
}
