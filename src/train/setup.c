#include "run.h"

#include "core/build_info.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/process.h"
#include "io/file.h"
#include "train/memory.h"
#include "train/model_file.h"
#include "train/precision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void setup_threads(struct aur_run *run)
{
	struct aur_threads *threads = &run->threads;
	threads->requested = (int)run->config.system.threads;
	threads->ranks_on_node = run->comm->ranks_on_node;
	aur_threads_setup(threads);
	if (threads->confined)
		aur_warn("%d threads share %d cores: the launcher confines this rank (mpirun --bind-to none or srun "
				 "--cpus-per-task lifts it), or system.threads asks for too many",
			threads->threads, threads->cores);
	else if (threads->widened)
		aur_info("the launcher bound this rank to %d of %d cores; it now uses %d threads on all of them (mpirun "
				 "--bind-to none or srun --cpu-bind=none avoids this)",
			threads->confined_to, threads->cores, threads->threads);
}

/* Samples, steps times the largest batch, are counted in 63 bits. */
static const double steps_limit = 1e12;

/* The length of the training in steps, from whichever key gives it. */
static aur_status resolve_steps(struct aur_run *run)
{
	struct aur_config *config = &run->config;
	const int64_t windows = run->order.windows;
	const double batch = (double)config->train.batch_size;
	double steps = (double)config->train.steps;
	if (config->train.epochs > 0)
		steps = ceil(config->train.epochs * (double)(windows > 0 ? windows : 1) / batch);
	else if (config->train.tokens > 0)
		steps = ceil((double)config->train.tokens / (batch * (double)config->model.block_size));
	if (steps > steps_limit)
		return aur_fail(AUR_USAGE, "train.steps, epochs or tokens: %g steps are more than the %g a run can have", steps,
			steps_limit);
	config->train.steps = (int64_t)steps;
	if (config->train.warmup_steps > config->train.steps)
		return aur_fail(AUR_USAGE, "train.warmup_steps: %lld is more than the %lld steps of the run; use 0 to %lld",
			(long long)config->train.warmup_steps, (long long)config->train.steps, (long long)config->train.steps);
	if (config->train.decay_steps == 0)
		config->train.decay_steps = config->train.steps;
	return AUR_OK;
}

/* How many windows an evaluation takes of each split; 0 validation tokens turn evaluation off. */
static aur_status plan_evaluation(struct aur_run *run)
{
	const int64_t positions = run->config.model.block_size, asked = run->config.train.eval_windows;
	const int64_t val = aur_dataset_windows(run->eval_dataset, AUR_VAL, positions);
	if (aur_dataset_tokens(run->eval_dataset, AUR_VAL) == 0) {
		aur_warn("the dataset has no validation part: nothing is evaluated and no best.h5 is kept");
		return AUR_OK;
	}
	AUR_TRY(aur_evaluation_check_val(run->eval_dataset, positions));
	run->eval_windows = asked > 0 && asked < val ? asked : val;
	return aur_evaluator_create(
		run->backend, run->config.train.micro_batch_size, positions, run->eval_windows, &run->evaluator);
}

/* How often a run goes through each source is what its weights should be judged by. */
static void say_mixture(const struct aur_run *run)
{
	double sum = 0;
	for (int64_t i = 0; i < aur_dataset_sources(run->dataset); i++)
		sum += (double)aur_dataset_source(run->dataset, i).weight;
	for (int64_t i = 0; aur_dataset_is_mixture(run->dataset) && i < aur_dataset_sources(run->dataset); i++) {
		const struct aur_dataset_source source = aur_dataset_source(run->dataset, i);
		const double share = (double)source.weight / sum, windows = (double)run->order.sources[i].windows;
		aur_info("%5.1f%% of the samples from %s: %lld file%s, %.0f windows, %.2f passes over it in this run",
			100 * share, source.name, (long long)source.files, source.files > 1 ? "s" : "", windows,
			share * (double)run->config.train.steps * (double)run->config.train.batch_size / windows);
	}
}

static aur_status open_data(struct aur_run *run)
{
	const struct aur_config *config = &run->config;
	if (!config->data.train[0])
		return aur_fail(AUR_USAGE, "data.train: no dataset is given (--data FILE.h5; aurelius prepare makes one; "
								   "--data synthetic needs none)");
	const uint64_t seed = (uint64_t)config->train.seed;
	AUR_TRY(aur_dataset_open(config->data.train, config->data.val, seed, &run->dataset));
	AUR_TRY(aur_dataset_open(config->data.train, config->data.val, seed, &run->eval_dataset));
	AUR_TRY(aur_order_create(run->dataset, config->data.order, seed, config->model.block_size, &run->order));
	AUR_TRY(resolve_steps(run));
	say_mixture(run);
	return AUR_OK;
}

/* What all ranks must hold alike. */
struct fingerprint {
	char program[128], variant[AUR_VARIANT], config[32], data[32], stop_at[32];
};

static uint64_t text_hash(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
	return hash;
}

static aur_status take_fingerprint(const struct aur_run *run, struct fingerprint *print)
{
	char *yaml = NULL;
	memset(print, 0, sizeof *print);
	AUR_TRY(aur_config_write(&run->config, &yaml));
	snprintf(print->program, sizeof print->program, "%s %s", AUR_VERSION, AUR_COMMIT);
	aur_precision_variant(&run->config, run->backend, print->variant);
	snprintf(print->config, sizeof print->config, "%016llx", (unsigned long long)text_hash(yaml));
	snprintf(print->data, sizeof print->data, "%016llx", (unsigned long long)aur_dataset_hash(run->dataset));
	snprintf(print->stop_at, sizeof print->stop_at, "%lld", (long long)run->options->stop_at);
	free(yaml);
	return AUR_OK;
}

static aur_status compare(const char *what, const char *mine, const char *first)
{
	if (strcmp(mine, first) == 0)
		return AUR_OK;
	return aur_fail(AUR_INPUT, "%s is %s here and %s on rank 0 (all ranks must hold the same)", what, mine, first);
}

static aur_status compare_all(const struct fingerprint *mine, const struct fingerprint *first)
{
	AUR_TRY(compare("the program", mine->program, first->program));
	AUR_TRY(compare("the processor's code path", mine->variant, first->variant));
	AUR_TRY(compare("the configuration's hash", mine->config, first->config));
	AUR_TRY(compare("--stop-at", mine->stop_at, first->stop_at));
	return compare("the dataset's hash", mine->data, first->data);
}

static aur_status compare_ranks(struct aur_run *run)
{
	struct fingerprint mine, first;
	AUR_TRY(aur_comm_agree(run->comm, take_fingerprint(run, &mine)));
	first = mine;
	AUR_TRY(run->comm->ops->broadcast(run->comm, &first, sizeof first, 0));
	return aur_comm_agree(run->comm, compare_all(&mine, &first));
}

static struct aur_memory_rank memory_of(const struct aur_run *run)
{
	return (struct aur_memory_rank){
		.config = &run->config,
		.model = run->model,
		.backend = run->backend,
		.ranks = run->comm->size,
		.program_bytes = run->program_bytes,
		.chunk_bytes = aur_memory_of_chunks(run->dataset),
	};
}

/* Memory is explained after it was refused where the system does refuse it. */
static aur_status create_trainer(struct aur_run *run)
{
	const struct aur_memory_rank rank = memory_of(run);
	const aur_status status = aur_trainer_create(&run->config, run->model, run->backend, run->exchange, &run->trainer);
	if (status == AUR_MEMORY)
		return aur_memory_explain(&rank, run->comm->ranks_on_node);
	if (status == AUR_OK && run->backend->attention[0] && run->config.model.kind == AUR_MODEL_GPT)
		aur_info("attention: %s", run->backend->attention);
	return status;
}

static aur_status create_model(struct aur_run *run)
{
	struct aur_model_config config;
	aur_model_config_from(&run->config, aur_dataset_vocab(run->dataset)->size, &config);
	AUR_TRY(aur_model_create(&config, &run->model));
	const struct aur_parameters *parameters = aur_model_parameters(run->model);
	aur_info("model: %s, %lld parameters, vocabulary %lld, windows of %lld tokens",
		config.type == AUR_TYPE_BIGRAM ? "bigram" : "gpt", (long long)parameters->elements,
		(long long)config.vocab_size, (long long)config.block_size);
	aur_precision_say(&run->config, run->backend);
	/* Before it is taken, where the system would not refuse it. */
	const struct aur_memory_rank rank = memory_of(run);
	return aur_memory_check(&rank, run->comm->ranks_on_node);
}

/* Each rank decided for itself what computes attention; bits depend on it. */
static aur_status compare_attention(struct aur_run *run)
{
	struct {
		char variant[AUR_VARIANT], attention[sizeof run->backend->attention];
	} mine = {0}, first;
	aur_precision_variant(&run->config, run->backend, mine.variant);
	snprintf(mine.attention, sizeof mine.attention, "%s", run->backend->attention);
	first = mine;
	AUR_TRY(run->comm->ops->broadcast(run->comm, &first, sizeof first, 0));
	aur_status status = AUR_OK;
	if (run->config.train.reduction == AUR_REDUCTION_EXACT && strcmp(mine.variant, first.variant) != 0)
		status = aur_fail(AUR_DEVICE,
			"attention is computed by %s here and by %s on rank 0 (all ranks must compute alike: set "
			"AURELIUS_ATTENTION=own for all)",
			mine.attention, first.attention);
	return aur_comm_agree(run->comm, status);
}

static double megabytes(int64_t bytes)
{
	return (double)bytes * 1e-6;
}

/* Every part is known by now but the program's own, which was measured when its libraries had been used once. */
static void say_memory(const struct aur_run *run)
{
	const struct aur_memory_rank rank = memory_of(run);
	struct aur_memory memory;
	char chunks[64] = "";
	aur_memory_besides(&rank, &memory);
	if (memory.chunks > 0)
		snprintf(chunks, sizeof chunks, ", inflated tokens %.1f MB", megabytes(memory.chunks));
	const int64_t all = (int64_t)run->trainer->plan.used + run->program_bytes + aur_memory_sum(&memory);
	aur_info(
		"memory in all %.1f MB: with the program and its libraries %.1f MB, batches ahead %.1f MB%s, saving %.1f MB%s",
		megabytes(all), megabytes(run->program_bytes), megabytes(memory.batches), chunks, megabytes(memory.saving),
		memory.staging > 0 ? ", buckets of the fast reduction" : "");
}

static aur_status open_sampling(struct aur_run *run)
{
	if (run->config.train.sample_interval < 1 || run->comm->rank != 0)
		return AUR_OK;
	struct aur_ids prompt = {0};
	const char *text = run->config.train.sample_prompt;
	AUR_TRY(aur_tokenizer_create(aur_dataset_vocab(run->dataset), &run->tokenizer));
	AUR_TRY(aur_tokenizer_encode(run->tokenizer, text, strlen(text), &prompt));
	run->sample_prompt = prompt.ids;
	run->sample_prompt_count = prompt.count;
	if (prompt.count == 0) {
		free(prompt.ids);
		run->sample_prompt = calloc(1, sizeof *run->sample_prompt);
		run->sample_prompt_count = 1;
		if (!run->sample_prompt)
			return aur_fail(AUR_MEMORY, "samples: no memory");
	}
	AUR_TRY(aur_backend_open(aur_precision_backend(&run->config), &run->sample_backend));
	return aur_decoder_create(run->model, run->sample_backend, run->trainer->weights, &run->decoder);
}

/* Every rank takes the device of its place on its node. */
static aur_status open_backend(struct aur_run *run)
{
	aur_backend_use_device(run->comm->rank_on_node);
	AUR_TRY(aur_backend_open(aur_precision_backend(&run->config), &run->backend));
	aur_precision_tell(&run->config, run->backend);
	return AUR_OK;
}

/* Each phase ends in an agreement, so that all ranks leave together. */
aur_status aur_run_open(struct aur_run *run)
{
	struct aur_comm *comm = run->comm;
	run->lock.descriptor = -1;
	run->val_loss = run->best_val_loss = NAN;
	run->val_step = run->saved_step = -1;
	setup_threads(run);
	/* Before the folder is made: a backend that is not there is a wrong option. */
	AUR_TRY(aur_comm_agree(comm, open_backend(run)));
	aur_status status = AUR_OK;
	if (comm->rank == 0)
		status = aur_run_lock_take(run->options->run, &run->lock);
	AUR_TRY(aur_comm_agree(comm, status));
	AUR_TRY(aur_comm_open_device(comm, run->backend, run->config.system.share_gpu, &run->exchange));
	AUR_TRY(aur_comm_agree(comm, open_data(run)));
	AUR_TRY(compare_ranks(run));
	AUR_TRY(aur_run_measure_ceiling(run));
	run->program_bytes = aur_process_resident();
	AUR_TRY(aur_comm_agree(comm, create_model(run)));
	AUR_TRY(aur_trainer_share(&run->config, run->model, run->backend, run->exchange));
	AUR_TRY(aur_comm_agree(comm, create_trainer(run)));
	AUR_TRY(compare_attention(run));
	say_memory(run);
	AUR_TRY(aur_comm_agree(comm, plan_evaluation(run)));
	return aur_comm_agree(comm, open_sampling(run));
}

void aur_run_close(struct aur_run *run)
{
	aur_loader_destroy(&run->loader);
	aur_decoder_destroy(&run->decoder);
	aur_backend_close(&run->sample_backend);
	aur_tokenizer_destroy(&run->tokenizer);
	free(run->sample_prompt);
	aur_evaluator_destroy(&run->evaluator);
	/* Before the memory that it holds. */
	aur_comm_close_device(run->comm, &run->exchange);
	aur_trainer_destroy(&run->trainer);
	aur_model_destroy(&run->model);
	aur_backend_close(&run->backend);
	aur_order_clear(&run->order);
	aur_dataset_close(&run->eval_dataset);
	aur_dataset_close(&run->dataset);
	aur_metrics_close(&run->metrics);
	aur_history_clear(&run->history);
	if (run->comm->rank == 0)
		aur_run_lock_release(&run->lock);
}
