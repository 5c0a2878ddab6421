#include "commands/commands.h"
#include "eval_report.h"
#include "gnuplot.h"
#include "loaded_model.h"
#include "options.h"
#include "print.h"
#include "text/tokenizer.h"
#include "train/evaluate.h"
#include "train/precision.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a micro-batch: a constant, so that the bits of a loss depend on the model and the data alone. */
enum { MICRO_BATCH_ROWS = 4096 };

struct request {
	const char *model, *data, *split, *plot;
	int json, best;
};

/* What evaluation runs on, opened once for both splits. */
struct session {
	struct aur_loaded_model loaded;
	struct aur_dataset *dataset;
	struct aur_comm *comm;
	struct aur_workspace *workspace;
	struct aur_evaluator *evaluator;
	enum aur_dtype compute;
	void *compute_weights; /* owned, backend memory; NULL with AUR_F32 */
	int64_t positions, batch;
};

/* Synthetic tokens to train on have practically no end: only their validation part is a whole that can be evaluated. */
static int wants(const struct session *session, const struct request *request, enum aur_split split)
{
	if (!request->split)
		return split == AUR_VAL || !aur_dataset_is_synthetic(session->dataset);
	return strcmp(request->split, aur_split_name(split)) == 0;
}

/* ---- opening ---- */

static aur_status check_request(const struct request *request)
{
	if (request->split && strcmp(request->split, "train") != 0 && strcmp(request->split, "val") != 0)
		return aur_fail(AUR_USAGE, "--split: '%s' is not one of train, val", request->split);
	if (request->data && request->data[0] == '\0')
		return aur_fail(AUR_USAGE, "--data: the name is empty");
	return request->plot ? aur_gnuplot_check_path(request->plot) : AUR_OK;
}

/* The data the model was trained on may be elsewhere by now. */
static aur_status open_stored_data(struct session *session)
{
	const struct aur_config *config = &session->loaded.file.config;
	if (config->data.train[0] == '\0')
		return aur_fail(
			AUR_USAGE, "%s: no file of its training data is known: give --data FILES", session->loaded.file.path);
	const uint64_t seed = (uint64_t)config->train.seed;
	const aur_status status = aur_dataset_open(config->data.train, config->data.val, seed, &session->dataset);
	if (status != AUR_INPUT)
		return status;
	char reason[1024];
	snprintf(reason, sizeof reason, "%s", aur_error_message());
	return aur_fail(AUR_INPUT, "%s (the model was trained on it; with --data FILES it is evaluated on others)", reason);
}

static aur_status check_vocabulary(const struct session *session, const char *data)
{
	const struct aur_vocab *theirs = aur_dataset_vocab(session->dataset);
	const struct aur_vocab *ours = aur_checkpoint_vocab(session->loaded.file.checkpoint);
	if (aur_vocab_hash(theirs) == aur_vocab_hash(ours))
		return AUR_OK;
	return aur_fail(AUR_INPUT,
		"%s: its vocabulary (%s, %" PRId64 " tokens) is not that of %s (%s, %" PRId64
		" tokens): evaluate on data made with the model's tokenizer",
		data, theirs->kind, theirs->size, session->loaded.file.path, ours->kind, ours->size);
}

/* Where a split's tokens are. */
static const char *files_of(const struct session *session, const struct request *request, enum aur_split split)
{
	const struct aur_config *config = &session->loaded.file.config;
	if (request->data)
		return request->data;
	return split == AUR_VAL && config->data.val[0] ? config->data.val : config->data.train;
}

static aur_status check_split(const struct session *session, const char *data, enum aur_split split)
{
	if (split == AUR_TRAIN && aur_dataset_is_synthetic(session->dataset))
		return aur_fail(AUR_USAGE, "--split: train has no end where the data is %s: use val", data);
	if (aur_dataset_windows(session->dataset, split, session->positions) > 0)
		return AUR_OK;
	return aur_fail(AUR_INPUT,
		"%s: its %s part has %" PRId64 " tokens, one window of the model takes %" PRId64 " (block_size + 1)", data,
		split == AUR_TRAIN ? "training" : "validation", aur_dataset_tokens(session->dataset, split),
		session->positions + 1);
}

static aur_status open_data(struct session *session, const struct request *request)
{
	if (request->data)
		AUR_TRY(
			aur_dataset_open(request->data, "", (uint64_t)session->loaded.file.config.train.seed, &session->dataset));
	else
		AUR_TRY(open_stored_data(session));
	AUR_TRY(check_vocabulary(session, files_of(session, request, AUR_TRAIN)));
	for (int split = AUR_TRAIN; split <= AUR_VAL; split++)
		if (wants(session, request, (enum aur_split)split))
			AUR_TRY(check_split(session, files_of(session, request, (enum aur_split)split), (enum aur_split)split));
	return AUR_OK;
}

/* The precision of the training where this machine has it, so that the loss is that of the log. */
static aur_status round_weights(struct session *session)
{
	struct aur_backend *backend = session->loaded.backend;
	const int64_t count = aur_model_parameters(session->loaded.file.model)->count;
	session->compute = aur_precision_of(&session->loaded.file.config, backend);
	aur_precision_tell(&session->loaded.file.config, backend);
	aur_precision_say(&session->loaded.file.config, backend);
	if (session->compute == AUR_F32)
		return AUR_OK;
	AUR_TRY(
		backend->ops->allocate(backend, (size_t)count * aur_dtype_bytes(session->compute), &session->compute_weights));
	return aur_precision_round(backend, session->compute, session->loaded.weights, session->compute_weights, count);
}

static aur_status open_session(struct session *session, const struct request *request)
{
	AUR_TRY(aur_loaded_model_open(request->model, request->best, &session->loaded));
	const struct aur_model *model = session->loaded.file.model;
	session->positions = aur_model_config_of(model)->block_size;
	session->batch = session->positions < MICRO_BATCH_ROWS ? MICRO_BATCH_ROWS / session->positions : 1;
	AUR_TRY(open_data(session, request));
	int64_t windows = 1;
	for (int split = AUR_TRAIN; split <= AUR_VAL; split++) {
		const int64_t here = aur_dataset_windows(session->dataset, (enum aur_split)split, session->positions);
		if (wants(session, request, (enum aur_split)split) && here > windows)
			windows = here;
	}
	AUR_TRY(aur_comm_self_create(&session->comm));
	AUR_TRY(round_weights(session));
	AUR_TRY(aur_workspace_create(model, session->loaded.backend, session->batch, session->positions, 0,
		session->compute, &session->workspace, NULL));
	return aur_evaluator_create(
		session->loaded.backend, session->batch, session->positions, windows, &session->evaluator);
}

static void close_session(struct session *session)
{
	aur_evaluator_destroy(&session->evaluator);
	aur_workspace_destroy(&session->workspace);
	aur_comm_close(&session->comm);
	aur_dataset_close(&session->dataset);
	if (session->compute_weights)
		session->loaded.backend->ops->release(session->loaded.backend, session->compute_weights);
	aur_loaded_model_close(&session->loaded);
}

/* ---- characters of the evaluated text ---- */

static int64_t code_points(const char *bytes, size_t size)
{
	int64_t points = 0;
	for (size_t i = 0; i < size; i++)
		points += ((unsigned char)bytes[i] & 0xc0) != 0x80;
	return points;
}

/* Characters of each token inside a text, the space before a word included. */
static aur_status characters_of_tokens(const struct aur_vocab *vocab, int64_t **characters)
{
	struct aur_tokenizer *tokenizer = NULL;
	AUR_TRY(aur_tokenizer_create(vocab, &tokenizer));
	*characters = calloc((size_t)vocab->size, sizeof **characters);
	for (int64_t i = 0; *characters && i < vocab->size; i++) {
		size_t bytes = 0;
		const char *piece = aur_tokenizer_piece(tokenizer, (int32_t)i, 0, &bytes);
		(*characters)[i] = piece ? code_points(piece, bytes) : 0;
	}
	aur_tokenizer_destroy(&tokenizer);
	return *characters ? AUR_OK
					   : aur_fail(AUR_MEMORY, "no memory for the characters of %" PRId64 " tokens", vocab->size);
}

/* Characters that the targets of all windows stand for: what makes losses of different tokenizers comparable. */
static aur_status count_characters(struct session *session, enum aur_split split, int64_t *total)
{
	const int64_t positions = session->positions;
	int64_t *characters = NULL;
	int32_t *window = NULL;
	aur_status status;
	*total = 0;
	if (aur_dataset_is_synthetic(session->dataset))
		return AUR_OK;
	AUR_TRY_CLEANUP(characters_of_tokens(aur_dataset_vocab(session->dataset), &characters));
	window = malloc(2 * (size_t)positions * sizeof *window);
	if (!window) {
		status = aur_fail(AUR_MEMORY, "no memory for a window of %" PRId64 " tokens", positions);
		goto cleanup;
	}
	const int64_t windows = aur_dataset_windows(session->dataset, split, positions);
	for (int64_t i = 0; i < windows; i++) {
		AUR_TRY_CLEANUP(aur_dataset_window(session->dataset, split, positions, i, window, window + positions));
		for (int64_t t = 0; t < positions; t++)
			*total += characters[window[positions + t]];
	}
cleanup:
	free(window);
	free(characters);
	return status;
}

/* ---- evaluating ---- */

/* The line is drawn over and over, on a terminal alone. */
static void show_progress(void *context, int64_t done, int64_t all)
{
	const char *const *name = context;
	aur_print("\r%s: %3.0f%% of %" PRId64 " windows", *name, 100.0 * (double)done / (double)all, all);
	if (done == all)
		aur_print("\r\033[K");
	aur_print_flush();
}

static aur_status evaluate_split(
	struct session *session, enum aur_split split, int progress, struct aur_split_report *report)
{
	const char *name = aur_split_name(split);
	const struct aur_evaluate evaluate = {.workspace = session->workspace,
		.backend = session->loaded.backend,
		.comm = session->comm,
		.dataset = session->dataset,
		.split = split,
		.weights = session->loaded.weights,
		.compute_weights = session->compute_weights,
		.positions = session->positions,
		.batch = session->batch,
		.progress = progress ? show_progress : NULL,
		.progress_context = &name};
	AUR_TRY(aur_evaluate_run(session->evaluator, &evaluate, &report->evaluation));
	if (!isfinite(report->evaluation.loss))
		return aur_fail(AUR_INPUT, "%s: the model's loss is not finite: its training diverged or its file is damaged",
			session->loaded.file.path);
	report->present = 1;
	return count_characters(session, split, &report->characters);
}

static aur_status run(const struct request *request, int progress)
{
	struct session session = {0};
	struct aur_eval_report report = {0};
	aur_status status;
	AUR_TRY_CLEANUP(open_session(&session, request));
	report.model = session.loaded.file.path;
	report.step = aur_checkpoint_meta_of(session.loaded.file.checkpoint)->step;
	report.history = aur_checkpoint_history(session.loaded.file.checkpoint);
	for (int split = AUR_TRAIN; split <= AUR_VAL; split++)
		if (wants(&session, request, (enum aur_split)split))
			AUR_TRY_CLEANUP(evaluate_split(&session, (enum aur_split)split, progress, &report.splits[split]));
	if (request->plot)
		AUR_TRY_CLEANUP(aur_eval_report_plot(&report, request->plot));
	status = request->json ? aur_eval_report_json(&report) : aur_eval_report_print(&report, request->plot);
cleanup:
	close_session(&session);
	return status;
}

aur_status aur_command_eval(const struct aur_command_context *context, int argc, char **argv)
{
	struct request request = {0};
	const struct aur_option table[] = {
		{"data", AUR_OPTION_TEXT, &request.data, "FILES",
			"datasets, separated by commas, globs too (default: those it was trained on)", 0},
		{"split", AUR_OPTION_TEXT, &request.split, "train|val", "one of the two parts (default: both)", 0},
		{"plot", AUR_OPTION_TEXT, &request.plot, "FILE.svg|FILE.png", "draw the loss curve with the evaluated points",
			0},
		{"json", AUR_OPTION_FLAG, &request.json, NULL, "print one JSON object", 0},
		{"best", AUR_OPTION_FLAG, &request.best, NULL, "of a run: the best checkpoint instead of the newest", 0},
	};
	struct aur_options options = {.usage = "eval MODEL [--data FILES] [--split train|val] [options]",
		.about = "Measures the loss of a model over all windows of its training and validation data.\n"
				 "MODEL is a checkpoint, an exported .h5 or a run.",
		.options = table,
		.n_options = sizeof table / sizeof *table,
		.argument = "a MODEL",
		.least_arguments = 1,
		.most_arguments = 1};
	aur_status status;
	AUR_TRY_CLEANUP(aur_options_parse(&options, argc, argv));
	if (options.help)
		goto cleanup;
	request.model = options.arguments[0];
	AUR_TRY_CLEANUP(aur_check_one_rank(context, argv[0]));
	AUR_TRY_CLEANUP(check_request(&request));
	AUR_TRY_CLEANUP(run(&request, context->terminal && !request.json));
cleanup:
	aur_options_clear(&options);
	return status;
}
