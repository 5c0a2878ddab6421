#include "trial.h"

#include "core/arena.h"
#include "core/clock.h"
#include "core/crew.h"
#include "core/threads.h"
#include "train/lanes.h"
#include "train/precision.h"

#include <math.h>
#include <stdlib.h>

enum { LEAST_RUNS = 3 };
static const double flops_least = 3e10;  /* of one run that is not cut down */
static const double run_s = 0.02;        /* at the ceiling of a faster machine */
static const double seconds_limit = 0.5; /* of all runs of one model */

/* One model that is run, and its memory. */
struct bench {
	struct aur_model *model;
	struct aur_backend *backend;
	struct aur_workspace *workspace;
	enum aur_dtype compute;
	int64_t batch, positions;
	void *memory, *compute_weights;
	float *weights, *gradients;
	int32_t *tokens;
	double *losses;
	struct aur_step_state *state;
};

static void carve(struct bench *bench, struct aur_arena *arena)
{
	const size_t count = (size_t)aur_model_parameters(bench->model)->count;
	bench->weights = aur_arena_take(arena, "weights", count * sizeof *bench->weights);
	if (bench->compute != AUR_F32)
		bench->compute_weights = aur_arena_take(arena, "rounded weights", count * aur_dtype_bytes(bench->compute));
	bench->gradients = aur_arena_take(arena, "gradients", count * sizeof *bench->gradients);
	bench->tokens = aur_arena_take(arena, "batch", (size_t)(bench->batch * bench->positions) * sizeof *bench->tokens);
	bench->losses = aur_arena_take(arena, "batch", (size_t)bench->batch * sizeof *bench->losses);
	bench->state = aur_arena_take(arena, "batch", sizeof *bench->state);
}

static aur_status take_memory(struct bench *bench, int64_t free_bytes)
{
	struct aur_arena arena = {0}, activations = {0};
	carve(bench, &arena);
	AUR_TRY(aur_workspace_plan(
		bench->model, bench->backend, bench->batch, bench->positions, 1, bench->compute, &activations));
	const size_t bytes = arena.used;
	if ((double)bytes + (double)activations.used > (double)free_bytes)
		return aur_fail(AUR_MEMORY, "a trial needs %.1f GB, %.1f GB are free",
			((double)bytes + (double)activations.used) * 1e-9, (double)free_bytes * 1e-9);
	AUR_TRY(bench->backend->ops->allocate(bench->backend, bytes, &bench->memory));
	aur_arena_bind(&arena, bench->memory, bytes);
	carve(bench, &arena);
	AUR_TRY(aur_arena_check(&arena));
	AUR_TRY(bench->backend->ops->zero(bench->backend, bench->memory, bytes));
	return aur_workspace_create(
		bench->model, bench->backend, bench->batch, bench->positions, 1, bench->compute, &bench->workspace, NULL);
}

/* Small weights of both signs, nowhere zero, and tokens from all over the vocabulary: the time of the operations must
 * not profit from special values. */
static aur_status fill(struct bench *bench, int64_t vocabulary)
{
	const size_t count = (size_t)aur_model_parameters(bench->model)->count;
	const size_t tokens = (size_t)(bench->batch * bench->positions);
	float *weights = malloc(count * sizeof *weights);
	int32_t *ids = malloc(tokens * sizeof *ids);
	aur_status status = AUR_OK;
	if (!weights || !ids) {
		status = aur_fail(AUR_MEMORY, "a trial: no memory for %zu weights", count);
		goto cleanup;
	}
	uint32_t random = 1;
	for (size_t i = 0; i < count; i++) {
		random = random * 1664525u + 1013904223u;
		weights[i] = ((float)(random >> 8) * 0x1p-24f - 0.499f) * 0.04f;
	}
	for (size_t i = 0; i < tokens; i++) {
		random = random * 1664525u + 1013904223u;
		ids[i] = (int32_t)((int64_t)(random >> 8) % vocabulary);
	}
	AUR_TRY_CLEANUP(bench->backend->ops->upload(bench->backend, bench->weights, weights, count * sizeof *weights));
	AUR_TRY_CLEANUP(
		aur_precision_round(bench->backend, bench->compute, bench->weights, bench->compute_weights, (int64_t)count));
	status = bench->backend->ops->upload(bench->backend, bench->tokens, ids, tokens * sizeof *ids);
cleanup:
	free(weights);
	free(ids);
	return status;
}

static aur_status run_once(struct bench *bench, double *seconds)
{
	const struct aur_micro_batch batch = {
		.tokens = bench->tokens,
		.targets = bench->tokens,
		.batch = bench->batch,
		.positions = bench->positions,
		.weights = bench->weights,
		.compute_weights = bench->compute_weights,
		.state = bench->state,
		.loss = bench->losses,
		.gradients = bench->gradients,
		.first = 1,
		.gradient_scale = 1e-3f,
	};
	const double start = aur_clock_s();
	AUR_TRY(aur_model_begin_gradients(bench->model, bench->backend, bench->gradients));
	AUR_TRY(aur_model_run(bench->workspace, &batch));
	AUR_TRY(bench->backend->ops->synchronise(bench->backend));
	*seconds = aur_clock_s() - start;
	return AUR_OK;
}

static int ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The median: a training has no best step either. The first run, which touches the memory, counts only where it is long
 * enough to stand alone. */
static aur_status median_time(struct bench *bench, double *seconds)
{
	enum { MOST_RUNS = 99 };
	double times[MOST_RUNS];
	int n = 0;
	AUR_TRY(run_once(bench, seconds));
	if (*seconds > 4 * seconds_limit)
		return AUR_OK;
	const double start = aur_clock_s();
	while (n < MOST_RUNS && (n < LEAST_RUNS || aur_clock_s() - start < seconds_limit))
		AUR_TRY(run_once(bench, &times[n++]));
	qsort(times, (size_t)n, sizeof *times, ascending);
	*seconds = times[n / 2];
	return AUR_OK;
}

static aur_status time_model(const struct aur_trial_options *options, double *seconds)
{
	struct bench bench = {.compute = options->compute, .batch = options->batch, .positions = options->positions};
	aur_status status;
	AUR_TRY_CLEANUP(aur_model_create(options->config, &bench.model));
	AUR_TRY_CLEANUP(aur_backend_open(options->backend, &bench.backend));
	bench.backend->tf32 = options->tf32;
	AUR_TRY_CLEANUP(take_memory(&bench, options->free_bytes));
	AUR_TRY_CLEANUP(fill(&bench, options->config->vocab_size));
	status = median_time(&bench, seconds);
cleanup:
	aur_workspace_destroy(&bench.workspace);
	if (bench.memory)
		bench.backend->ops->release(bench.backend, bench.memory);
	aur_backend_close(&bench.backend);
	aur_model_destroy(&bench.model);
	return status;
}

/* Lanes beside each other, each with its own time. */
struct side_by_side {
	struct aur_trial_options options; /* of one lane */
	double seconds[AUR_MOST_LANES];
};

static aur_status time_lane(void *context, int lane)
{
	struct side_by_side *all = context;
	return time_model(&all->options, &all->seconds[lane]);
}

/* The slowest lane is waited for. */
static aur_status time_lanes(const struct aur_trial_options *options, double *seconds)
{
	struct side_by_side all = {.options = *options};
	struct aur_crew *crew = NULL;
	if (options->lanes == 1)
		return time_model(options, seconds);
	all.options.free_bytes /= options->lanes;
	AUR_TRY(aur_crew_create(options->lanes, aur_threads_now() / options->lanes, &crew));
	const aur_status status = aur_crew_run(crew, time_lane, &all);
	aur_crew_destroy(&crew);
	*seconds = 0;
	for (int i = 0; i < options->lanes; i++)
		*seconds = fmax(*seconds, all.seconds[i]);
	return status;
}

static aur_status flops_of(
	const struct aur_model_config *config, int64_t layers, int64_t tokens, int64_t positions, double *flops)
{
	struct aur_model_config some = *config;
	struct aur_model *model = NULL;
	some.n_layer = layers;
	AUR_TRY(aur_model_create(&some, &model));
	*flops = aur_model_flops_per_token(model, positions) * (double)tokens;
	aur_model_destroy(&model);
	return AUR_OK;
}

/* Fewer sequences first, down to one; then fewer layers, down to two. */
static aur_status choose_size(const struct aur_trial_options *options, struct aur_trial *trial)
{
	const struct aur_model_config *config = options->config;
	const int64_t positions = options->positions;
	const double flops_limit = fmax(flops_least, options->flops_per_s * run_s);
	double flops;
	AUR_TRY(flops_of(config, trial->layers, trial->batch * positions, positions, &flops));
	while (flops > flops_limit && (trial->batch > 1 || trial->layers > 2)) {
		if (trial->batch > 1)
			trial->batch /= 2;
		else
			trial->layers = trial->layers / 2 > 2 ? trial->layers / 2 : 2;
		AUR_TRY(flops_of(config, trial->layers, trial->batch * positions, positions, &flops));
	}
	return AUR_OK;
}

aur_status aur_trial_run(const struct aur_trial_options *options, struct aur_trial *trial)
{
	const struct aur_model_config *config = options->config;
	const int is_gpt = config->type == AUR_TYPE_GPT;
	const int64_t all = is_gpt ? config->n_layer : 1;
	struct aur_model_config some = *config;
	struct aur_trial_options part = *options;
	*trial = (struct aur_trial){.batch = options->batch, .layers = all};
	AUR_TRY(choose_size(options, trial));
	some.n_layer = is_gpt ? trial->layers : config->n_layer;
	part.config = &some;
	part.batch = trial->batch;
	AUR_TRY(time_lanes(&part, &trial->seconds));
	if (trial->layers == all)
		return AUR_OK;
	double one;
	some.n_layer = 1;
	AUR_TRY(time_lanes(&part, &one));
	const double layer = fmax(0.0, trial->seconds - one) / (double)(trial->layers - 1);
	trial->seconds += layer * (double)(all - trial->layers);
	return AUR_OK;
}
