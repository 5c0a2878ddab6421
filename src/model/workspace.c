#include "internal.h"

#include "core/clock.h"

#include <stdlib.h>

static const struct aur_arena_part *largest_part(const struct aur_arena *arena)
{
	const struct aur_arena_part *largest = &arena->parts[0];
	for (int i = 1; i < arena->n_parts; i++)
		if (arena->parts[i].bytes > largest->bytes)
			largest = &arena->parts[i];
	return largest;
}

static aur_status fail_for_memory(const char *what, const struct aur_arena *arena)
{
	const struct aur_arena_part *part = largest_part(arena);
	const double mib = 1024.0 * 1024.0;
	return aur_fail(AUR_MEMORY,
		"%s: no memory for %.1f MiB, of which %s takes %.1f MiB; a smaller model takes less, in training a smaller "
		"train.micro_batch_size too",
		what, (double)arena->used / mib, part->name, (double)part->bytes / mib);
}

aur_status aur_model_take_memory(
	struct aur_backend *backend, const char *what, aur_carve carve, void *owner, void **memory, struct aur_arena *used)
{
	struct aur_arena arena = {0};
	*memory = NULL;
	carve(owner, &arena);
	const size_t bytes = arena.used;
	if (bytes > 0) {
		const aur_status status = backend->ops->allocate(backend, bytes, memory);
		if (status == AUR_MEMORY)
			return fail_for_memory(what, &arena);
		AUR_TRY(status);
		aur_arena_bind(&arena, *memory, bytes);
		carve(owner, &arena);
	}
	if (used)
		*used = arena;
	return aur_arena_check(&arena);
}

static void carve_workspace(void *owner, struct aur_arena *arena)
{
	struct aur_workspace *workspace = owner;
	workspace->model->ops->carve(workspace, arena);
}

static aur_status reserve_scratch(const struct aur_workspace *workspace, int count_only, size_t *bytes)
{
	const struct aur_model *model = workspace->model;
	struct aur_backend_limits limits = {
		.batch = workspace->batch,
		.positions = workspace->positions,
		.vocabulary = model->config.vocab_size,
		.parameters = model->parameters.count,
		.activations = workspace->compute,
		.training = workspace->training,
		.count_only = count_only,
	};
	model->ops->limits(model, &limits);
	return workspace->backend->ops->reserve(workspace->backend, &limits, bytes);
}

static aur_status check_request(const struct aur_model *model, int64_t batch, int64_t positions, enum aur_dtype compute)
{
	if (compute != AUR_F32 && compute != AUR_BF16)
		return aur_fail(AUR_SHAPE, "workspace: activations cannot be %s, use fp32 or bf16", aur_dtype_name(compute));
	if (batch < 1 || positions < 1 || positions > model->config.block_size)
		return aur_fail(AUR_SHAPE, "workspace: %lld sequences of %lld tokens where model.block_size is %lld",
			(long long)batch, (long long)positions, (long long)model->config.block_size);
	return AUR_OK;
}

/* A bigram's table is used where it lies: nothing of it is ever rounded. */
static struct aur_workspace describe(const struct aur_model *model, struct aur_backend *backend, int64_t batch,
	int64_t positions, int training, enum aur_dtype compute)
{
	return (struct aur_workspace){
		.model = model,
		.backend = backend,
		.batch = batch,
		.positions = positions,
		.training = training,
		.compute = model->config.type == AUR_TYPE_BIGRAM ? AUR_F32 : compute,
	};
}

/* The scratch memory is the backend's own: it is only counted here. */
static void say_used(struct aur_arena *plan, const struct aur_arena *used, size_t scratch)
{
	*plan = *used;
	plan->base = NULL;
	plan->size = 0;
	aur_arena_take(plan, "scratch", scratch);
}

aur_status aur_workspace_create(const struct aur_model *model, struct aur_backend *backend, int64_t batch,
	int64_t positions, int training, enum aur_dtype compute, struct aur_workspace **workspace, struct aur_arena *plan)
{
	*workspace = NULL;
	AUR_TRY(check_request(model, batch, positions, compute));
	struct aur_workspace *created = calloc(1, sizeof *created);
	if (!created)
		return aur_fail(AUR_MEMORY, "workspace: no memory for its description");
	*created = describe(model, backend, batch, positions, training, compute);

	struct aur_arena used = {0};
	size_t scratch = 0;
	aur_status status = AUR_OK;
	AUR_TRY_CLEANUP(model->ops->prepare(created));
	AUR_TRY_CLEANUP(aur_model_take_memory(backend, "activations", carve_workspace, created, &created->memory, &used));
	AUR_TRY_CLEANUP(reserve_scratch(created, 0, &scratch));
	if (plan)
		say_used(plan, &used, scratch);
	*workspace = created;
	return AUR_OK;
cleanup:
	aur_workspace_destroy(&created);
	return status;
}

aur_status aur_workspace_plan(const struct aur_model *model, struct aur_backend *backend, int64_t batch,
	int64_t positions, int training, enum aur_dtype compute, struct aur_arena *plan)
{
	struct aur_workspace described = describe(model, backend, batch, positions, training, compute);
	struct aur_arena used = {0};
	size_t scratch = 0;
	aur_status status;
	AUR_TRY(check_request(model, batch, positions, compute));
	AUR_TRY_CLEANUP(model->ops->prepare(&described));
	carve_workspace(&described, &used);
	AUR_TRY_CLEANUP(reserve_scratch(&described, 1, &scratch));
	say_used(plan, &used, scratch);
cleanup:
	model->ops->discard(&described);
	return status;
}

void aur_workspace_destroy(struct aur_workspace **workspace)
{
	if (!workspace || !*workspace)
		return;
	struct aur_workspace *old = *workspace;
	if (old->memory)
		old->backend->ops->release(old->backend, old->memory);
	old->model->ops->discard(old);
	free(old);
	*workspace = NULL;
}

static aur_status check_batch(const struct aur_workspace *workspace, const struct aur_micro_batch *batch)
{
	if (batch->batch < 1 || batch->batch > workspace->batch || batch->positions < 1 ||
		batch->positions > workspace->positions)
		return aur_fail(AUR_SHAPE, "micro-batch: %lld sequences of %lld tokens in a workspace for %lld of %lld",
			(long long)batch->batch, (long long)batch->positions, (long long)workspace->batch,
			(long long)workspace->positions);
	if (batch->gradients && !workspace->training)
		return aur_fail(AUR_SHAPE, "micro-batch: gradients asked of a workspace made for evaluation");
	if (workspace->compute != AUR_F32 && !batch->compute_weights)
		return aur_fail(
			AUR_SHAPE, "micro-batch: no %s weights for a workspace of that type", aur_dtype_name(workspace->compute));
	return AUR_OK;
}

typedef aur_status (*pass_function)(struct aur_workspace *workspace, const struct aur_micro_batch *batch);

/* Its host time is added to *seconds, and profilers see it by name. */
static aur_status run_pass(struct aur_workspace *workspace, const struct aur_micro_batch *batch, pass_function pass,
	const char *name, double *seconds)
{
	const double start = aur_clock_s();
	aur_mark_begin(workspace->backend, name);
	const aur_status status = pass(workspace, batch);
	aur_mark_end(workspace->backend);
	*seconds += aur_clock_s() - start;
	return status;
}

aur_status aur_model_run(struct aur_workspace *workspace, const struct aur_micro_batch *batch)
{
	const struct aur_model_ops *ops = workspace->model->ops;
	AUR_TRY(check_batch(workspace, batch));
	AUR_TRY(run_pass(workspace, batch, ops->forward, "forward", &workspace->forward_s));
	if (!batch->gradients)
		return AUR_OK;
	return run_pass(workspace, batch, ops->backward, "backward", &workspace->backward_s);
}

void aur_workspace_times(struct aur_workspace *workspace, double *forward_s, double *backward_s)
{
	*forward_s = workspace->forward_s;
	*backward_s = workspace->backward_s;
	workspace->forward_s = 0;
	workspace->backward_s = 0;
}
