#include "train/trainer.h"

#include "core/log.h"
#include "core/threads.h"
#include "micro.h"
#include "results.h"
#include "train/precision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t micro_batches(const struct aur_config *config)
{
	return config->train.batch_size / config->train.micro_batch_size;
}

/* "1, 2, 4": the numbers of ranks that divide n, for a message. */
static void list_divisors(int64_t n, char *text, size_t bytes)
{
	size_t used = 0;
	text[0] = '\0';
	for (int64_t d = 1; d <= n && used + 24 < bytes; d++)
		if (n % d == 0)
			used += (size_t)snprintf(text + used, bytes - used, "%s%lld", used ? ", " : "", (long long)d);
}

static const char *plural(const char *numbers)
{
	return strcmp(numbers, "1") == 0 ? "" : "s";
}

aur_status aur_trainer_check_ranks(const struct aur_config *config, int ranks)
{
	const int exact = config->train.reduction == AUR_REDUCTION_EXACT;
	const int64_t parts = exact ? aur_config_leaves(config) : micro_batches(config);
	if (parts % ranks == 0)
		return AUR_OK;
	char numbers[256], more[256];
	list_divisors(parts, numbers, sizeof numbers);
	if (!exact)
		return aur_fail(AUR_USAGE,
			"%d ranks cannot share %lld micro-batches (train.batch_size %lld / train.micro_batch_size %lld) equally: "
			"use %s rank%s",
			ranks, (long long)parts, (long long)config->train.batch_size, (long long)config->train.micro_batch_size,
			numbers, plural(numbers));
	list_divisors(micro_batches(config), more, sizeof more);
	return aur_fail(AUR_USAGE,
		"%d ranks do not divide the %lld leaves of train.reduction: exact (batch_size %lld, micro_batch_size %lld, "
		"exact_ranks %lld): use %s rank%s, or train.reduction: fast with %s",
		ranks, (long long)parts, (long long)config->train.batch_size, (long long)config->train.micro_batch_size,
		(long long)config->train.exact_ranks, numbers, plural(numbers), more);
}

static void share_batch(struct aur_trainer *trainer)
{
	const struct aur_config *config = trainer->config;
	const int64_t ranks = trainer->comm->size, micros = micro_batches(config);
	const int64_t leaves = config->train.reduction == AUR_REDUCTION_EXACT ? aur_config_leaves(config) : ranks;
	trainer->leaves_here = leaves / ranks;
	trainer->micros_per_leaf = micros / leaves;
	trainer->local_batch = config->train.batch_size / ranks;
}

/* The decay of each tensor, as stretches of this rank's slice; the padding between tensors goes with the tensor before
 * it, where it stays zero. */
static aur_status make_segments(struct aur_trainer *trainer)
{
	const struct aur_parameters *parameters = aur_model_parameters(trainer->model);
	const struct aur_config *config = trainer->config;
	const int64_t begin = trainer->slices.begin[trainer->comm->rank];
	const int64_t end = trainer->slices.begin[trainer->comm->rank + 1];
	trainer->segments = calloc((size_t)parameters->n_items + 1, sizeof *trainer->segments);
	if (!trainer->segments)
		return aur_fail(AUR_MEMORY, "optimizer: no memory for its table");
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *parameter = &parameters->items[i];
		const int64_t next = i + 1 < parameters->n_items ? parameters->items[i + 1].offset : parameters->count;
		const int64_t from = parameter->offset > begin ? parameter->offset : begin;
		const int64_t to = next < end ? next : end;
		const int decayed = config->train.decay == AUR_DECAY_ALL || parameter->matrix;
		if (from < to)
			trainer->segments[trainer->n_segments++] =
				(struct aur_adamw_segment){from - begin, to - from, decayed ? (float)config->train.weight_decay : 0.0f};
	}
	return AUR_OK;
}

/* Where memory is taken: all of it in one arena, or in the communicator's what other ranks see. */
struct places {
	struct aur_arena *mine, *common, *own;
};

/* Parts of a slice lie in the others' memory where that can be read. */
static int reads_in_place(const struct aur_trainer *trainer)
{
	return trainer->comm->memory.own && trainer->comm->size <= AUR_TREE_PARTS;
}

/* Run twice: counting, then over the memory. */
static void carve(struct aur_trainer *trainer, const struct places *places)
{
	struct aur_arena *arena = places->mine;
	const int apart = places->own != places->mine;
	const struct aur_config *config = trainer->config;
	const size_t count = (size_t)trainer->slices.count, f = sizeof(float);
	const size_t slice = (size_t)aur_slice_length(&trainer->slices, trainer->comm->rank);
	const size_t micro = (size_t)(config->train.micro_batch_size * config->model.block_size);
	trainer->weights = aur_arena_take(places->common, "weights", count * f);
	if (trainer->compute != AUR_F32)
		trainer->compute_weights =
			aur_arena_take(places->common, "rounded weights", count * aur_dtype_bytes(trainer->compute));
	/* The first buffer is where a rank's sum ends. */
	for (int i = 0; i < trainer->n_lanes; i++)
		for (int k = 0; k < trainer->lanes[i].tree.n_buffers; k++)
			trainer->lanes[i].tree.buffers[k] =
				aur_arena_take(i == 0 && k == 0 ? places->own : arena, "gradient buffers", count * f);
	trainer->m = aur_arena_take(arena, "optimizer state", slice * f);
	trainer->v = aur_arena_take(arena, "optimizer state", slice * f);
	const int alone = trainer->comm->size == 1;
	trainer->gradient = alone ? NULL : aur_arena_take(arena, "exchange", slice * f);
	const int exact = config->train.reduction == AUR_REDUCTION_EXACT;
	const int has_parts = !alone && exact && !(apart && reads_in_place(trainer));
	trainer->parts =
		has_parts ? aur_arena_take(arena, "exchange", (size_t)aur_slices_parts(&trainer->slices) * f) : NULL;
	trainer->sums = aur_arena_take(places->common, "batch", (size_t)trainer->sum_slices.count * sizeof(double));
	trainer->losses = aur_arena_take(places->common, "batch", (size_t)config->train.batch_size * sizeof(double));
	for (int i = 0; i < trainer->n_lanes; i++) {
		struct aur_lane *lane = &trainer->lanes[i];
		lane->tokens = aur_arena_take(arena, "batch", micro * sizeof(int32_t));
		lane->targets = aur_arena_take(arena, "batch", micro * sizeof(int32_t));
		lane->state = aur_arena_take(arena, "batch", sizeof *lane->state);
		if (lane->recorder)
			lane->losses =
				aur_arena_take(arena, "batch", (size_t)config->train.micro_batch_size * sizeof *lane->losses);
	}
	trainer->state = aur_arena_take(arena, "batch", sizeof *trainer->state);
}

/* "memory: weights 396.7 MB, gradient buffers 1586.9 MB, ...": said before it is taken. */
static void say_plan(const char *what, const struct aur_arena *arena)
{
	char text[512];
	size_t used = 0;
	for (int i = 0; i < arena->n_parts && used < sizeof text; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %.1f MB", i ? ", " : "", arena->parts[i].name,
			(double)arena->parts[i].bytes * 1e-6);
	aur_info("%s %.1f MB: %s", what, (double)arena->used * 1e-6, text);
}

/* All of it as one arena: what the user is told, and what is taken where ranks share nothing. The others' sums, which a
 * rank then reads in place, count in its own memory too, as the parts that they stand for. */
static void count_all(struct aur_trainer *trainer, struct aur_arena *arena)
{
	carve(trainer, &(struct places){arena, arena, arena});
}

static aur_status carve_one(struct aur_trainer *trainer, size_t bytes)
{
	struct aur_arena arena = {0};
	aur_arena_bind(&arena, trainer->memory, bytes);
	count_all(trainer, &arena);
	return aur_arena_check(&arena);
}

static aur_status carve_shared(struct aur_trainer *trainer, size_t bytes)
{
	const struct aur_comm_memory *memory = &trainer->comm->memory;
	struct aur_arena mine = {0}, common = {0}, own = {0};
	aur_arena_bind(&mine, trainer->memory, bytes);
	aur_arena_bind(&common, memory->common, memory->common_bytes);
	aur_arena_bind(&own, memory->own, memory->own_bytes);
	carve(trainer, &(struct places){&mine, &common, &own});
	AUR_TRY(aur_arena_check(&common));
	AUR_TRY(aur_arena_check(&own));
	return aur_arena_check(&mine);
}

static aur_status take_memory(struct aur_trainer *trainer)
{
	struct aur_backend *backend = trainer->backend;
	const int shared = trainer->comm->memory.common != NULL;
	struct aur_arena mine = {0}, common = {0}, own = {0};
	count_all(trainer, &trainer->plan);
	carve(trainer, &(struct places){&mine, &common, &own});
	const size_t bytes = shared ? mine.used : trainer->plan.used;
	say_plan("memory a rank", &trainer->plan);
	aur_status status = backend->ops->allocate(backend, bytes, &trainer->memory);
	if (status != AUR_OK)
		return aur_add_context(status, "weights, gradients and optimizer state need %.1f MB", (double)bytes * 1e-6);
	AUR_TRY(shared ? carve_shared(trainer, bytes) : carve_one(trainer, bytes));
	AUR_TRY(aur_results_open(trainer));
	/* Weights and moments are set before the first step, gradients and parts whenever they are used: to touch them here
	 * would only take time. What ranks share is zeros. */
	char *first = shared ? (char *)trainer->lanes[0].tokens : (char *)trainer->sums;
	return backend->ops->zero(backend, first, (size_t)((char *)trainer->memory + bytes - first));
}

static void make_slices(struct aur_trainer *trainer)
{
	const int64_t count = aur_model_parameters(trainer->model)->count;
	const int ranks = trainer->comm->size;
	aur_slices_make(&trainer->slices, count, AUR_NORM_BLOCK, ranks);
	aur_slices_make(&trainer->sum_slices, (count + AUR_NORM_BLOCK - 1) / AUR_NORM_BLOCK, 1, ranks);
	aur_slices_make(&trainer->loss_slices, trainer->config->train.batch_size, trainer->local_batch, ranks);
}

static aur_status make_lanes(struct aur_trainer *trainer)
{
	trainer->n_lanes = aur_lanes_choose(trainer->config, trainer->model, trainer->backend, trainer->leaves_here);
	trainer->lanes = calloc((size_t)trainer->n_lanes, sizeof *trainer->lanes);
	if (!trainer->lanes)
		return aur_fail(AUR_MEMORY, "trainer: no memory for its lanes");
	for (int i = 0; i < trainer->n_lanes; i++) {
		trainer->lanes[i].tree.count = trainer->slices.count;
		trainer->lanes[i].tree.n_buffers = aur_leaf_tree_buffers(trainer->leaves_here / trainer->n_lanes);
		/* What the lanes' sums are added by reads the halves of each as well. */
		trainer->lanes[i].tree.halves = trainer->n_lanes > 1 && 2 * trainer->n_lanes <= AUR_TREE_PARTS;
		trainer->lanes[i].recorder = trainer->backend->graphs;
	}
	return AUR_OK;
}

/* The rank's share of the batch and of the arenas: all that its memory depends on. */
static aur_status share_work(struct aur_trainer *trainer)
{
	AUR_TRY(aur_trainer_check_ranks(trainer->config, trainer->comm->size));
	share_batch(trainer);
	make_slices(trainer);
	return make_lanes(trainer);
}

static void add_to_plan(struct aur_arena *plan, const struct aur_arena *more)
{
	for (int i = 0; i < more->n_parts && plan->n_parts < AUR_ARENA_PARTS; i++)
		plan->parts[plan->n_parts++] = more->parts[i];
	plan->used += more->used;
}

static aur_status create_workspace(struct aur_trainer *trainer, struct aur_lane *lane, struct aur_arena *plan)
{
	const struct aur_config *config = trainer->config;
	return aur_workspace_create(trainer->model, lane->backend, config->train.micro_batch_size, config->model.block_size,
		1, trainer->compute, &lane->workspace, plan);
}

/* In the lane's own thread: scratch memory is for as many OpenMP threads as that one has. Lane 0 is the caller's. */
static aur_status open_lane(void *context, int number)
{
	struct aur_trainer *trainer = context;
	struct aur_lane *lane = &trainer->lanes[number];
	if (number == 0)
		return AUR_OK;
	AUR_TRY(aur_backend_open(trainer->backend->name, &lane->backend));
	return create_workspace(trainer, lane, NULL);
}

static int threads_of_lane(const struct aur_trainer *trainer)
{
	return aur_threads_now() / trainer->n_lanes;
}

static aur_status create_lanes(struct aur_trainer *trainer, struct aur_arena *plan)
{
	trainer->lanes[0].backend = trainer->backend;
	AUR_TRY(create_workspace(trainer, &trainer->lanes[0], plan));
	if (trainer->n_lanes == 1)
		return AUR_OK;
	AUR_TRY(aur_crew_create(trainer->n_lanes, threads_of_lane(trainer), &trainer->crew));
	return aur_crew_run(trainer->crew, open_lane, trainer);
}

/* What the other lanes take for activations, in the parts that lane 0 has. */
static aur_status plan_lanes(const struct aur_trainer *trainer, struct aur_arena *plan)
{
	const struct aur_config *config = trainer->config;
	const int threads = aur_threads_now();
	struct aur_arena one = {0};
	if (trainer->n_lanes == 1)
		return AUR_OK;
	aur_threads_use(threads_of_lane(trainer));
	const aur_status status = aur_workspace_plan(trainer->model, trainer->backend, config->train.micro_batch_size,
		config->model.block_size, 1, trainer->compute, &one);
	aur_threads_use(threads);
	for (int i = 1; i < trainer->n_lanes; i++)
		for (int k = 0; k < one.n_parts; k++)
			aur_arena_take(plan, one.parts[k].name, one.parts[k].bytes);
	return status;
}

static aur_status create(struct aur_trainer *trainer)
{
	AUR_TRY(share_work(trainer));
	AUR_TRY(make_segments(trainer));
	trainer->overlaps = trainer->config->train.reduction == AUR_REDUCTION_FAST && trainer->comm->size > 1 &&
						trainer->comm->ops->reduce_stretch_start;
	AUR_TRY(take_memory(trainer));
	const size_t held = trainer->plan.used;
	struct aur_arena activations = {0};
	AUR_TRY(create_lanes(trainer, &activations));
	AUR_TRY(plan_lanes(trainer, &activations));
	say_plan(trainer->n_lanes > 1 ? "and for a micro-batch on each lane" : "and for a micro-batch", &activations);
	add_to_plan(&trainer->plan, &activations);
	/* Last: what is held may be released only when the communicator is closed. */
	if (trainer->comm->ops->hold)
		trainer->comm->ops->hold(trainer->comm, trainer->memory, held);
	return AUR_OK;
}

static struct aur_trainer describe(
	const struct aur_config *config, const struct aur_model *model, struct aur_backend *backend, struct aur_comm *comm)
{
	return (struct aur_trainer){
		.config = config,
		.model = model,
		.backend = backend,
		.comm = comm,
		.compute = aur_precision_of(config, backend),
	};
}

aur_status aur_trainer_plan(const struct aur_config *config, const struct aur_model *model, struct aur_backend *backend,
	int ranks, struct aur_arena *plan)
{
	struct aur_comm comm = {.size = ranks};
	struct aur_trainer *trainer = calloc(1, sizeof *trainer);
	*plan = (struct aur_arena){0};
	if (!trainer)
		return aur_fail(AUR_MEMORY, "plan: no memory");
	*trainer = describe(config, model, backend, &comm);
	struct aur_arena activations = {0};
	aur_status status;
	AUR_TRY_CLEANUP(share_work(trainer));
	while (aur_slice_length(&trainer->slices, comm.rank) < trainer->slices.longest)
		comm.rank++;
	count_all(trainer, plan);
	AUR_TRY_CLEANUP(aur_workspace_plan(
		model, backend, config->train.micro_batch_size, config->model.block_size, 1, trainer->compute, &activations));
	AUR_TRY_CLEANUP(plan_lanes(trainer, &activations));
	add_to_plan(plan, &activations);
cleanup:
	free(trainer->lanes);
	free(trainer);
	return status;
}

aur_status aur_trainer_share(
	const struct aur_config *config, const struct aur_model *model, struct aur_backend *backend, struct aur_comm *comm)
{
	if (!comm->ops->share)
		return AUR_OK;
	struct aur_arena mine = {0}, common = {0}, own = {0};
	struct aur_trainer *trainer = calloc(1, sizeof *trainer);
	aur_status status = trainer ? AUR_OK : aur_fail(AUR_MEMORY, "trainer: no memory");
	if (status == AUR_OK) {
		*trainer = describe(config, model, backend, comm);
		status = share_work(trainer);
	}
	if (status == AUR_OK)
		carve(trainer, &(struct places){&mine, &common, &own});
	if (trainer)
		free(trainer->lanes);
	free(trainer);
	AUR_TRY(aur_comm_agree(comm, status));
	return comm->ops->share(comm, common.used, own.used);
}

aur_status aur_trainer_create(const struct aur_config *config, const struct aur_model *model,
	struct aur_backend *backend, struct aur_comm *comm, struct aur_trainer **trainer)
{
	*trainer = calloc(1, sizeof **trainer);
	if (!*trainer)
		return aur_fail(AUR_MEMORY, "trainer: no memory");
	**trainer = describe(config, model, backend, comm);
	const aur_status status = create(*trainer);
	if (status != AUR_OK)
		aur_trainer_destroy(trainer);
	return status;
}

void aur_trainer_destroy(struct aur_trainer **trainer)
{
	if (!trainer || !*trainer)
		return;
	struct aur_trainer *gone = *trainer;
	aur_crew_destroy(&gone->crew);
	for (int i = 0; i < gone->n_lanes && gone->lanes; i++) {
		aur_micro_forget(&gone->lanes[i]);
		aur_workspace_destroy(&gone->lanes[i].workspace);
		if (i > 0)
			aur_backend_close(&gone->lanes[i].backend);
	}
	free(gone->lanes);
	if (gone->memory)
		gone->backend->ops->release(gone->backend, gone->memory);
	free(gone->segments);
	aur_results_close(gone);
	free(gone);
	*trainer = NULL;
}

/* Of the weights that ranks have in common each rank rounds its slice. */
static aur_status round_together(struct aur_trainer *trainer)
{
	const struct aur_slices *slices = &trainer->slices;
	struct aur_comm *comm = trainer->comm;
	const int64_t begin = slices->begin[comm->rank];
	const size_t bytes = aur_dtype_bytes(trainer->compute);
	char *rounded = trainer->compute_weights;
	AUR_TRY(aur_precision_round(trainer->backend, trainer->compute, trainer->weights + begin,
		rounded + (size_t)begin * bytes, aur_slice_length(slices, comm->rank)));
	AUR_TRY(comm->ops->all_gather_start(comm, slices, rounded, bytes));
	return comm->ops->finish(comm);
}

static aur_status round_weights(struct aur_trainer *trainer)
{
	if (trainer->compute != AUR_F32 && aur_comm_in_common(trainer->comm, trainer->compute_weights))
		return round_together(trainer);
	return aur_precision_round(
		trainer->backend, trainer->compute, trainer->weights, trainer->compute_weights, trainer->slices.count);
}

aur_status aur_trainer_set_weights(struct aur_trainer *trainer, float *weights)
{
	const size_t bytes = (size_t)trainer->slices.count * sizeof *weights;
	const size_t slice = (size_t)aur_slice_length(&trainer->slices, trainer->comm->rank) * sizeof *weights;
	struct aur_backend *backend = trainer->backend;
	AUR_TRY(trainer->comm->ops->broadcast(trainer->comm, weights, bytes, 0));
	if (weights != trainer->weights)
		AUR_TRY(backend->ops->upload(backend, trainer->weights, weights, bytes));
	AUR_TRY(round_weights(trainer));
	if (slice == 0)
		return AUR_OK;
	AUR_TRY(backend->ops->zero(backend, trainer->m, slice));
	return backend->ops->zero(backend, trainer->v, slice);
}

aur_status aur_trainer_send_updates(struct aur_trainer *trainer)
{
	const struct aur_step_state state = {.updates = trainer->updates};
	return trainer->backend->ops->upload(trainer->backend, trainer->state, &state, sizeof state);
}

int64_t aur_trainer_first_sequence(const struct aur_trainer *trainer)
{
	return trainer->comm->rank * trainer->local_batch;
}
