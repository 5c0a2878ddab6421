#include "ceilings.h"
#include "comm/slices.h"
#include "commands/commands.h"
#include "configure.h"
#include "core/process.h"
#include "describe.h"
#include "loaded_model.h"
#include "machine.h"
#include "options.h"
#include "report.h"
#include "train/dataset.h"
#include "train/memory.h"
#include "train/model_file.h"
#include "train/precision.h"
#include "train/trainer.h"
#include "trial.h"

#include <stdio.h>

struct plan_arguments {
	const char *config, *data;
	int64_t ranks, ranks_per_node, vocab_size;
	double link_gbs;
	int json;
};

/* What MPI takes of a process on several ranks, measured with Open MPI 4.1 through shared memory. */
static const int64_t mpi_bytes = 11 << 20;

struct ceilings {
	double product, copy; /* of one rank: FLOPs and bytes a second */
};

struct plan {
	const struct plan_arguments *arguments;
	struct aur_config config;
	struct aur_model_config model_config;
	struct aur_model *model;
	struct aur_backend *backend;
	struct aur_machine machine;
	int64_t ranks_here, program_bytes, chunk_bytes;
	enum aur_dtype compute;
	struct ceilings ceilings;
	int threads;
	json_t *report;
};

/* ---- what is planned ---- */

static aur_status check_arguments(const struct plan_arguments *arguments)
{
	if (arguments->ranks < 1 || arguments->ranks > AUR_MAX_RANKS)
		return aur_fail(
			AUR_USAGE, "--ranks: %lld is out of range, use 1 to %d", (long long)arguments->ranks, (int)AUR_MAX_RANKS);
	if (arguments->ranks_per_node < 0 || arguments->ranks_per_node > arguments->ranks)
		return aur_fail(AUR_USAGE, "--ranks-per-node: %lld is out of range, use 1 to --ranks %lld",
			(long long)arguments->ranks_per_node, (long long)arguments->ranks);
	if (arguments->link_gbs < 0)
		return aur_fail(AUR_USAGE, "--link-gbs: %g is out of range, use a number above 0", arguments->link_gbs);
	if (arguments->vocab_size < 0 || arguments->vocab_size > INT32_MAX)
		return aur_fail(AUR_USAGE, "--vocab-size: %lld is out of range", (long long)arguments->vocab_size);
	return AUR_OK;
}

/* From --vocab-size, or the dataset that --data or data.train names: then what reading it keeps, too. */
static aur_status find_vocabulary(struct plan *plan, int64_t *size)
{
	struct aur_dataset *dataset = NULL;
	*size = plan->arguments->vocab_size;
	if (*size > 0)
		return AUR_OK;
	if (!plan->config.data.train[0])
		return aur_fail(AUR_USAGE, "plan: the vocabulary is not known: give --data FILE.h5 or --vocab-size N");
	AUR_TRY(
		aur_dataset_open(plan->config.data.train, plan->config.data.val, (uint64_t)plan->config.train.seed, &dataset));
	*size = aur_dataset_vocab(dataset)->size;
	plan->chunk_bytes = aur_memory_of_chunks(dataset);
	aur_dataset_close(&dataset);
	return AUR_OK;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* All ranks on this machine as far as it has devices for them, or cores, unless it is said. */
static void share_machine(struct plan *plan)
{
	const int cores = aur_ceiling_threads(0), devices = plan->backend->devices;
	plan->ranks_here = plan->arguments->ranks_per_node;
	if (plan->ranks_here == 0)
		plan->ranks_here = smaller(plan->arguments->ranks, devices > 0 ? devices : cores);
	const int64_t share = cores / plan->ranks_here > 0 ? cores / plan->ranks_here : 1;
	plan->threads = aur_ceiling_threads((int)(plan->config.system.threads > 0 ? plan->config.system.threads : share));
}

/* All ranks of this machine share its memory, and its cores are divided among them; a device is a rank's own. */
static aur_status measure(struct plan *plan)
{
	struct ceilings *ceilings = &plan->ceilings;
	AUR_TRY(aur_ceiling_product(plan->backend, plan->compute, &ceilings->product));
	aur_ceiling_threads(0);
	const aur_status status = aur_ceiling_copy(plan->backend, &ceilings->copy);
	aur_ceiling_threads(plan->threads);
	if (plan->backend->host_memory)
		ceilings->copy /= (double)plan->ranks_here;
	return status;
}

static aur_status open_plan(struct plan *plan, const struct aur_options *options)
{
	int64_t vocabulary = 0;
	aur_config_defaults(&plan->config);
	AUR_TRY(aur_config_read(plan->arguments->config, &plan->config));
	AUR_TRY(aur_configure(&plan->config, plan->arguments->data, options->overrides, options->n_overrides));
	AUR_TRY(aur_config_finish(&plan->config));
	AUR_TRY(find_vocabulary(plan, &vocabulary));
	aur_model_config_from(&plan->config, vocabulary, &plan->model_config);
	AUR_TRY(aur_model_create(&plan->model_config, &plan->model));
	AUR_TRY(aur_backend_open(aur_precision_backend(&plan->config), &plan->backend));
	share_machine(plan);
	aur_precision_tell(&plan->config, plan->backend);
	plan->compute = aur_precision_of(&plan->config, plan->backend);
	aur_precision_say(&plan->config, plan->backend);
	AUR_TRY(measure(plan));
	/* By now the libraries hold the buffers that they take when they are first used. */
	plan->program_bytes = aur_process_resident() + (plan->arguments->ranks > 1 ? mpi_bytes : 0);
	return AUR_OK;
}

static void describe_model(struct plan *plan)
{
	json_t *section = aur_report_section(plan->report, "training");
	aur_describe_text(section, "model", plan->model_config.type == AUR_TYPE_BIGRAM ? "bigram" : "gpt");
	aur_describe_integer(section, "parameters", aur_model_parameters(plan->model)->elements);
	aur_describe_integer(section, "vocabulary", plan->model_config.vocab_size);
	aur_describe_integer(section, "tokens_a_step", plan->config.train.batch_size * plan->config.model.block_size);
	aur_describe_integer(section, "ranks", plan->arguments->ranks);
	aur_describe_integer(section, "ranks_on_this_machine", plan->ranks_here);
	aur_describe_integer(section, "threads_a_rank", plan->threads);
	aur_describe_text(section, "backend", plan->backend->variant);
	aur_describe_text(section, "precision", aur_precision_name(&plan->config, plan->backend));
}

/* ---- memory ---- */

/* What a rank holds at most: rank 0, which saves. */
static struct aur_memory_rank rank_of(const struct plan *plan)
{
	return (struct aur_memory_rank){
		.config = &plan->config,
		.model = plan->model,
		.backend = plan->backend,
		.ranks = (int)plan->arguments->ranks,
		.program_bytes = plan->program_bytes,
		.chunk_bytes = plan->chunk_bytes,
	};
}

static void part_key(const char *name, char *key, size_t bytes)
{
	snprintf(key, bytes, "%s_mb", name);
	for (; *key; key++)
		if (*key == ' ')
			*key = '_';
}

static void add_megabytes(json_t *section, const char *key, int64_t bytes)
{
	aur_report_rounded(section, key, (double)bytes * 1e-6, 6);
}

/* Of the host's memory: all of a rank, or what it has there beside its device. */
static void add_host_memory(const struct plan *plan, json_t *section, const struct aur_memory *besides)
{
	add_megabytes(section, "program_and_libraries_mb", plan->program_bytes);
	add_megabytes(section, "batches_ahead_mb", besides->batches);
	if (besides->chunks > 0)
		add_megabytes(section, "inflated_tokens_mb", besides->chunks);
	add_megabytes(section, "saving_a_checkpoint_mb", besides->saving);
	if (besides->staging > 0)
		add_megabytes(section, "buckets_mb", besides->staging);
}

static aur_status plan_memory(struct plan *plan)
{
	struct aur_memory_need need;
	char key[64];
	const struct aur_memory_rank rank = rank_of(plan);
	AUR_TRY(aur_memory_need_of(&rank, plan->config.train.micro_batch_size, &need));
	json_t *section = aur_report_section(plan->report, "memory_of_a_rank");
	for (int i = 0; i < need.plan.n_parts; i++) {
		part_key(need.plan.parts[i].name, key, sizeof key);
		add_megabytes(section, key, (int64_t)need.plan.parts[i].bytes);
	}
	add_megabytes(section, "trainer_mb", (int64_t)need.plan.used);
	if (plan->backend->host_memory) {
		add_host_memory(plan, section, &need.besides);
		add_megabytes(section, "peak_mb", need.bytes);
		return AUR_OK;
	}
	section = aur_report_section(plan->report, "host_memory_of_a_rank");
	add_host_memory(plan, section, &need.besides);
	add_megabytes(section, "peak_mb", plan->program_bytes + aur_memory_sum(&need.besides));
	return AUR_OK;
}

/* Of the memory that a rank's parts lie in, what one of this machine's ranks can have: a device of its own unless they
 * share one. */
static aur_status memory_for_rank(const struct plan *plan, int64_t *bytes)
{
	const int64_t devices = plan->backend->devices;
	*bytes = plan->machine.free_bytes / plan->ranks_here;
	if (plan->backend->host_memory)
		return AUR_OK;
	AUR_TRY(plan->backend->ops->room(plan->backend, bytes));
	*bytes /= (plan->ranks_here + devices - 1) / devices;
	return AUR_OK;
}

static aur_status plan_micro_batch(struct plan *plan)
{
	const struct aur_memory_rank rank = rank_of(plan);
	int64_t room, most;
	int fits;
	AUR_TRY(memory_for_rank(plan, &room));
	AUR_TRY(aur_memory_largest(&rank, room, &most, &fits));
	json_t *section = aur_report_section(plan->report, "this_machine");
	if (!plan->backend->host_memory) {
		aur_describe_text(section, "gpu", plan->backend->device);
		add_megabytes(section, "gpu_memory_of_a_rank_mb", room);
	}
	add_megabytes(section, "free_memory_mb", plan->machine.free_bytes);
	aur_describe_integer(section, "micro_batch_size", plan->config.train.micro_batch_size);
	if (most > 0)
		aur_describe_integer(section, "largest_micro_batch_size", most);
	else
		json_object_set_new(section, "largest_micro_batch_size", json_null());
	if (!fits)
		aur_report_add_line(section, "warning", "%lld rank%s of this micro-batch do not fit into the free memory",
			(long long)plan->ranks_here, plan->ranks_here > 1 ? "s" : "");
	return AUR_OK;
}

/* ---- time ---- */

static int64_t leaves_of_rank(const struct plan *plan)
{
	if (plan->config.train.reduction == AUR_REDUCTION_FAST)
		return 1;
	return aur_config_leaves(&plan->config) / plan->arguments->ranks;
}

/* Bytes of memory that a step moves outside the micro-batches: leaves are zeroed and added up by the tree, parts of the
 * slice are added, squared, AdamW reads and writes three arrays and reads a fourth, and weights are rounded for the
 * products where these are not fp32. */
static double bytes_outside(const struct plan *plan)
{
	const double count = (double)aur_model_parameters(plan->model)->count, ranks = (double)plan->arguments->ranks;
	const double slice = count / ranks, leaves = (double)leaves_of_rank(plan);
	const double exchanged = ranks > 1 ? ranks + 1 : 0;
	const double rounded = plan->compute == AUR_F32 ? 0 : (double)(sizeof(float) + aur_dtype_bytes(plan->compute));
	return sizeof(float) * (leaves * count + 3 * (leaves - 1) * count + slice * (exchanged + 1 + 7)) + rounded * count;
}

/* What one rank sends in a step, and receives as much: its part of every other rank's slice, and its slice to all.
 * Exact and fast reduction move a ring's traffic both. */
static double bytes_sent(const struct plan *plan)
{
	const double count = (double)aur_model_parameters(plan->model)->count, ranks = (double)plan->arguments->ranks;
	return 2.0 * sizeof(float) * count * (ranks - 1) / ranks;
}

static double network_s(const struct plan *plan)
{
	return plan->arguments->link_gbs > 0 ? bytes_sent(plan) / (plan->arguments->link_gbs * 1e9) : 0;
}

static void plan_network(struct plan *plan)
{
	json_t *section = aur_report_section(plan->report, "network_of_a_rank");
	aur_report_rounded(section, "exact_mb", bytes_sent(plan) * 1e-6, 6);
	aur_report_rounded(section, "fast_mb", bytes_sent(plan) * 1e-6, 6);
	if (plan->arguments->link_gbs > 0) {
		aur_report_rounded(section, "link_gb_per_s", plan->arguments->link_gbs, 4);
		aur_report_rounded(section, "transfer_ms", network_s(plan) * 1e3, 4);
	}
}

/* Micro-batches that are computed beside each other. */
static int lanes_of(const struct plan *plan)
{
	return aur_lanes_choose(&plan->config, plan->model, plan->backend, leaves_of_rank(plan));
}

/* Micro-batches by trial; at the ceilings where memory is short for one. */
static aur_status micro_batch_time(const struct plan *plan, double at_ceiling, json_t *section, double *seconds)
{
	struct aur_trial trial;
	int64_t room;
	AUR_TRY(memory_for_rank(plan, &room));
	const int64_t micro = plan->config.train.micro_batch_size;
	const struct aur_trial_options options = {
		.config = &plan->model_config,
		.backend = plan->backend->name,
		.compute = plan->compute,
		.tf32 = plan->backend->tf32,
		.batch = micro,
		.positions = plan->config.model.block_size,
		.free_bytes = plan->backend->host_memory ? plan->machine.free_bytes : room,
		.flops_per_s = plan->ceilings.product,
		.lanes = lanes_of(plan),
	};
	const aur_status status = aur_trial_run(&options, &trial);
	if (status == AUR_MEMORY) {
		aur_describe_text(
			section, "measured", "nothing: memory is short for a trial, the time is that at the ceilings");
		aur_error_clear();
		*seconds = at_ceiling;
		return AUR_OK;
	}
	AUR_TRY(status);
	char text[128];
	snprintf(text, sizeof text, "%lld sequence%s, %lld layer%s", (long long)trial.batch, trial.batch > 1 ? "s" : "",
		(long long)trial.layers, trial.layers > 1 ? "s" : "");
	aur_describe_text(section, "measured", text);
	*seconds = trial.seconds * (double)micro / (double)trial.batch / (double)options.lanes;
	return AUR_OK;
}

static aur_status plan_time(struct plan *plan)
{
	const struct ceilings ceilings = plan->ceilings;
	const struct aur_config *config = &plan->config;
	const double tokens = (double)(config->train.batch_size * config->model.block_size);
	const double flops = aur_model_flops_per_token(plan->model, config->model.block_size) * tokens;
	const double micros =
		(double)(config->train.batch_size / config->train.micro_batch_size) / (double)plan->arguments->ranks;
	const double products = flops / (double)plan->arguments->ranks / ceilings.product;
	const double outside = bytes_outside(plan) / ceilings.copy;
	double micro;
	json_t *section = aur_report_section(plan->report, "time_of_a_step");
	aur_report_rounded(section, "computation_gflop", flops * 1e-9, 5);
	aur_report_rounded(section, "product_ceiling_of_a_rank_gflops", ceilings.product * 1e-9, 4);
	aur_report_rounded(section, "copy_ceiling_of_a_rank_gb_per_s", ceilings.copy * 1e-9, 4);
	AUR_TRY(micro_batch_time(plan, products / micros, section, &micro));
	const double step = micros * micro + outside + network_s(plan);
	aur_describe_integer(section, "lanes", lanes_of(plan));
	aur_report_rounded(section, "products_at_the_ceiling_ms", products * 1e3, 4);
	aur_report_rounded(section, "micro_batches_ms", micros * micro * 1e3, 4);
	aur_report_rounded(section, "reduction_and_optimizer_ms", outside * 1e3, 4);
	aur_report_rounded(section, "network_ms", network_s(plan) * 1e3, 4);
	aur_report_rounded(section, "step_ms", step * 1e3, 4);
	aur_report_rounded(section, "tokens_per_s", tokens / step, 4);
	aur_report_rounded(section, "of_ceiling", products / step, 3);
	if (config->train.steps > 0)
		aur_report_rounded(section, "hours_for_all_steps", (double)config->train.steps * step / 3600, 4);
	return AUR_OK;
}

/* ---- the command ---- */

static aur_status make_plan(struct plan *plan, const struct aur_options *options)
{
	AUR_TRY(open_plan(plan, options));
	aur_machine_read(&plan->machine);
	describe_model(plan);
	AUR_TRY(plan_memory(plan));
	AUR_TRY(plan_micro_batch(plan));
	AUR_TRY(plan_time(plan));
	plan_network(plan);
	return aur_report_print(plan->report, plan->arguments->json);
}

static aur_status run(const struct plan_arguments *arguments, const struct aur_options *options)
{
	AUR_TRY(check_arguments(arguments));
	struct plan plan = {.arguments = arguments, .report = json_object()};
	const aur_status status = plan.report ? make_plan(&plan, options) : aur_fail(AUR_MEMORY, "no memory for a plan");
	json_decref(plan.report);
	aur_backend_close(&plan.backend);
	aur_model_destroy(&plan.model);
	return status;
}

aur_status aur_command_plan(const struct aur_command_context *context, int argc, char **argv)
{
	struct plan_arguments arguments = {0};
	const struct aur_option table[] = {
		{"config", AUR_OPTION_TEXT, &arguments.config, "FILE", "configuration", 1},
		{"ranks", AUR_OPTION_INTEGER, &arguments.ranks, "N", "ranks of the training", 1},
		{"ranks-per-node", AUR_OPTION_INTEGER, &arguments.ranks_per_node, "N",
			"ranks that share a machine like this one (default: all, up to its cores)", 0},
		{"link-gbs", AUR_OPTION_REAL, &arguments.link_gbs, "X",
			"what one rank can send, and receive at the same time, in GB/s; without it the network costs no time", 0},
		{"data", AUR_OPTION_TEXT, &arguments.data, "FILES", "dataset whose vocabulary counts; short for data.train", 0},
		{"vocab-size", AUR_OPTION_INTEGER, &arguments.vocab_size, "N", "the vocabulary's size, instead of a dataset",
			0},
		{"json", AUR_OPTION_FLAG, &arguments.json, NULL, "print one JSON object", 0},
	};
	struct aur_options options = {
		.usage = "plan --config FILE --ranks N [--data FILES | --vocab-size N] [options] [--section.key=value ...]",
		.about =
			"Says what a training would take before it runs: memory of a rank by part, time of a step (from parts of\n"
			"the model and this machine's ceilings, measured now), and bytes over the network.",
		.options = table,
		.n_options = sizeof table / sizeof *table,
		.argument = "nothing",
		.most_arguments = 0,
		.takes_overrides = 1,
		.notes = "All machines are taken to be like this one.",
	};
	aur_status status;
	AUR_TRY_CLEANUP(aur_options_parse(&options, argc, argv));
	if (options.help)
		goto cleanup;
	AUR_TRY_CLEANUP(aur_check_one_rank(context, argv[0]));
	status = run(&arguments, &options);
cleanup:
	aur_options_clear(&options);
	return status;
}
