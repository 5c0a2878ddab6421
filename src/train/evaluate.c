#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct aur_evaluator {
	struct aur_backend *backend; /* borrowed */
	int32_t *host_tokens;        /* owned [2, batch, positions]: tokens, then targets */
	int32_t *tokens;             /* the same in the backend's memory, owned */
	double *loss;                /* backend memory, owned [batch] */
	double *windows;             /* owned, host [max_windows] */
	int64_t batch, positions, max_windows;
};

aur_status aur_evaluator_create(
	struct aur_backend *backend, int64_t batch, int64_t positions, int64_t windows, struct aur_evaluator **evaluator)
{
	*evaluator = calloc(1, sizeof **evaluator);
	if (!*evaluator)
		return aur_fail(AUR_MEMORY, "evaluation: no memory");
	struct aur_evaluator *made = *evaluator;
	*made = (struct aur_evaluator){.backend = backend, .batch = batch, .positions = positions, .max_windows = windows};
	const size_t bytes = 2 * (size_t)(batch * positions) * sizeof *made->tokens;
	void *tokens = NULL, *loss = NULL;
	aur_status status = AUR_OK;
	made->host_tokens = malloc(bytes);
	made->windows = calloc((size_t)windows + 1, sizeof *made->windows);
	if (!made->host_tokens || !made->windows) {
		status = aur_fail(AUR_MEMORY, "evaluation: no memory for %lld windows", (long long)windows);
		goto cleanup;
	}
	AUR_TRY_CLEANUP(backend->ops->allocate(backend, bytes, &tokens));
	made->tokens = tokens;
	AUR_TRY_CLEANUP(backend->ops->allocate(backend, (size_t)batch * sizeof *made->loss, &loss));
	made->loss = loss;
	return AUR_OK;
cleanup:
	aur_evaluator_destroy(evaluator);
	return status;
}

void aur_evaluator_destroy(struct aur_evaluator **evaluator)
{
	if (!evaluator || !*evaluator)
		return;
	struct aur_evaluator *gone = *evaluator;
	free(gone->host_tokens);
	free(gone->windows);
	if (gone->tokens)
		gone->backend->ops->release(gone->backend, gone->tokens);
	if (gone->loss)
		gone->backend->ops->release(gone->backend, gone->loss);
	free(gone);
	*evaluator = NULL;
}

/* The i-th of `windows` windows spread evenly over the `all` there are. */
static int64_t spread(int64_t i, int64_t windows, int64_t all)
{
	return (int64_t)((__extension__(unsigned __int128)(uint64_t) i) * (uint64_t)all / (uint64_t)windows);
}

/* One micro-batch: windows [begin, begin + count) of those chosen. Which windows share a micro-batch is a matter of
 * their number alone, never of ranks. */
static aur_status run_group(struct aur_evaluator *evaluator, const struct aur_evaluate *evaluate, int64_t begin,
	int64_t count, int64_t windows, int64_t all)
{
	const int64_t tokens = count * evaluate->positions;
	for (int64_t i = 0; i < count; i++)
		AUR_TRY(aur_dataset_window(evaluate->dataset, evaluate->split, evaluate->positions,
			spread(begin + i, windows, all), evaluator->host_tokens + i * evaluate->positions,
			evaluator->host_tokens + tokens + i * evaluate->positions));
	struct aur_backend *backend = evaluate->backend;
	AUR_TRY(backend->ops->upload(
		backend, evaluator->tokens, evaluator->host_tokens, 2 * (size_t)tokens * sizeof *evaluator->tokens));
	const struct aur_micro_batch micro = {
		.tokens = evaluator->tokens,
		.targets = evaluator->tokens + tokens,
		.batch = count,
		.positions = evaluate->positions,
		.weights = evaluate->weights,
		.compute_weights = evaluate->compute_weights,
		.loss = evaluator->loss,
	};
	AUR_TRY(aur_model_run(evaluate->workspace, &micro));
	return backend->ops->download(backend, evaluator->windows + begin, evaluator->loss, (size_t)count * sizeof(double));
}

/* Which windows each rank computes: whole groups, or all of them on rank 0. */
static void share_windows(const struct aur_evaluate *evaluate, int64_t windows, struct aur_slices *slices)
{
	aur_slices_make(slices, windows, evaluate->batch, evaluate->comm->size);
	if (!evaluate->rank_zero_only)
		return;
	for (int r = 1; r <= slices->size; r++)
		slices->begin[r] = windows;
	slices->longest = windows;
}

static aur_status run_share(
	struct aur_evaluator *evaluator, const struct aur_evaluate *evaluate, const struct aur_slices *slices, int64_t all)
{
	const int64_t first = slices->begin[evaluate->comm->rank], end = slices->begin[evaluate->comm->rank + 1];
	for (int64_t begin = first; begin < end; begin += evaluate->batch) {
		const int64_t count = end - begin < evaluate->batch ? end - begin : evaluate->batch;
		AUR_TRY(run_group(evaluator, evaluate, begin, count, slices->count, all));
		if (evaluate->progress && evaluate->comm->rank == 0)
			evaluate->progress(evaluate->progress_context, begin + count - first, end - first);
	}
	return AUR_OK;
}

aur_status aur_evaluation_check_val(const struct aur_dataset *dataset, int64_t positions)
{
	const int64_t tokens = aur_dataset_tokens(dataset, AUR_VAL);
	if (tokens == 0 || aur_dataset_windows(dataset, AUR_VAL, positions) > 0)
		return AUR_OK;
	return aur_fail(AUR_INPUT,
		"the validation part has %lld tokens, a window of model.block_size %lld needs one more than that (lower "
		"model.block_size, or prepare with a larger --val-fraction)",
		(long long)tokens, (long long)positions);
}

static void summarise(const double *window_loss, int64_t windows, int64_t positions, struct aur_evaluation *result)
{
	double sum = 0, squares = 0;
	for (int64_t i = 0; i < windows; i++)
		sum += window_loss[i];
	const double mean = sum / (double)windows;
	for (int64_t i = 0; i < windows; i++)
		squares += (window_loss[i] - mean) * (window_loss[i] - mean);
	const double n = (double)windows, scale = 1.0 / (double)positions;
	result->loss = mean * scale;
	result->standard_error = windows > 1 ? sqrt(squares / (n - 1) / n) * scale : NAN;
	result->windows = windows;
	result->tokens = windows * positions;
}

static aur_status check_windows(
	const struct aur_evaluator *evaluator, const struct aur_evaluate *evaluate, int64_t all, int64_t windows)
{
	const char *name = evaluate->split == AUR_TRAIN ? "training" : "validation";
	if (all < 1)
		return aur_fail(AUR_INPUT,
			"the %s part has %lld tokens, a window of model.block_size %lld needs one more than that", name,
			(long long)aur_dataset_tokens(evaluate->dataset, evaluate->split), (long long)evaluate->positions);
	if (windows > evaluator->max_windows || evaluate->batch > evaluator->batch ||
		evaluate->positions > evaluator->positions)
		return aur_fail(AUR_SHAPE, "evaluation: %lld windows, more than planned", (long long)windows);
	return AUR_OK;
}

aur_status aur_evaluate_run(
	struct aur_evaluator *evaluator, const struct aur_evaluate *evaluate, struct aur_evaluation *result)
{
	struct aur_comm *comm = evaluate->comm;
	const int64_t all = aur_dataset_windows(evaluate->dataset, evaluate->split, evaluate->positions);
	const int64_t windows = evaluate->windows > 0 && evaluate->windows < all ? evaluate->windows : all;
	AUR_TRY(aur_comm_agree(comm, check_windows(evaluator, evaluate, all, windows)));
	struct aur_slices slices;
	share_windows(evaluate, windows, &slices);
	AUR_TRY(aur_comm_agree(comm, run_share(evaluator, evaluate, &slices, all)));
	AUR_TRY(comm->ops->all_gather_start(comm, &slices, evaluator->windows, sizeof *evaluator->windows));
	AUR_TRY(comm->ops->finish(comm));
	summarise(evaluator->windows, windows, evaluate->positions, result);
	return AUR_OK;
}
