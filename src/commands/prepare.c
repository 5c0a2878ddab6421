#include "prepare.h"

#include "commands/commands.h"
#include "core/threads.h"
#include "io/file.h"
#include "io/vocab_file.h"
#include "options.h"
#include "prepare_command.h"
#include "prepare_report.h"
#include "print.h"
#include "train/signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Tokens of so many bytes are kept in memory before any go to files: nothing of a small text does. */
enum { KEPT_BYTES = 64 << 20 };

/* ---- what is read ---- */

/* The dataset is put in place by renaming: that would replace a device or a pipe, and fails late on a folder. */
static aur_status check_replaceable(const char *path)
{
	struct stat info;
	if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
		return aur_fail(AUR_IO, "%s: cannot be replaced: it is not a regular file", path);
	return AUR_OK;
}

static aur_status check_targets(const struct aur_prepare_request *request)
{
	if (request->shard_tokens == 0)
		AUR_TRY(check_replaceable(request->out));
	return request->report ? check_replaceable(request->report) : AUR_OK;
}

static int reads_standard_input(const struct aur_options *options)
{
	int times = 0;
	for (int i = 0; i < options->n_arguments; i++)
		times += strcmp(options->arguments[i], "-") == 0;
	return times;
}

/* Standard input is read more than once, by all ranks: it goes to a file beside the target first. */
static aur_status spool(struct aur_prepare *prepare, const struct aur_options *options, char path[AUR_WORK_PATH])
{
	const int times = reads_standard_input(options);
	if (times == 0)
		return AUR_OK;
	if (times > 1)
		return aur_fail(AUR_USAGE, "- (standard input) is given %d times, it can be read once", times);
	if (snprintf(path, AUR_WORK_PATH, "%s.input", prepare->request->out) >= AUR_WORK_PATH)
		return aur_fail(AUR_USAGE, "--out: the name is too long");
	prepare->standard_input = path;
	return prepare->world->rank == 0 ? aur_corpus_spool(path, &prepare->spool) : AUR_OK;
}

/* Token numbers say nothing of what a new tokenizer should be. */
static aur_status check_numbers(const struct aur_prepare *prepare)
{
	if (prepare->tokenizer)
		return AUR_OK;
	for (int64_t i = 0; i < prepare->sources.count; i++)
		if (prepare->sources.all[i].kind == AUR_CORPUS_IDS)
			return aur_fail(AUR_USAGE,
				"%s: holds token numbers only: name the tokenizer that made them (--tokenizer gpt2 --vocab DIR, or "
				"--tokenizer FILE)",
				prepare->sources.all[i].path);
	return AUR_OK;
}

static aur_status find_sources(struct aur_prepare *prepare, const struct aur_options *options)
{
	const struct aur_prepare_request *request = prepare->request;
	const struct aur_corpus_request wanted = {.arguments = options->arguments,
		.n_arguments = options->n_arguments,
		.jsonl = strcmp(request->format, "jsonl") == 0,
		.skip_empty = aur_prepare_skips(prepare),
		.standard_input = prepare->standard_input};
	AUR_TRY(aur_corpus_find(&wanted, &prepare->sources));
	AUR_TRY(aur_corpus_check_apart(&prepare->sources, request->out));
	AUR_TRY(aur_corpus_check_apart(&prepare->sources, request->report));
	for (int64_t i = 0; i < prepare->sources.count; i++)
		prepare->all_bytes += prepare->sources.all[i].bytes;
	return check_numbers(prepare);
}

/* ---- the tokenizer ---- */

/* A new vocabulary is kept with the work: other ranks take it from there, and a later start need not make it again. */
static aur_status save_vocabulary(const struct aur_prepare *prepare)
{
	char path[AUR_WORK_PATH];
	if (prepare->world->size == 1 && prepare->all_bytes <= KEPT_BYTES)
		return AUR_OK;
	AUR_TRY(aur_work_need(prepare->work));
	AUR_TRY(aur_work_path(prepare->work, "figures", path));
	const struct aur_word_figures *figures = aur_tokenizer_figures(prepare->tokenizer);
	AUR_TRY(aur_file_write_atomic(path, figures, sizeof *figures));
	AUR_TRY(aur_work_path(prepare->work, "vocabulary.h5", path));
	return aur_vocab_save(path, aur_tokenizer_vocab(prepare->tokenizer));
}

static aur_status load_vocabulary(struct aur_prepare *prepare, const char *path, const char *figures_path)
{
	struct aur_vocab vocab = {0};
	struct aur_word_figures figures = {0};
	size_t got;
	AUR_TRY(aur_vocab_load(path, &vocab));
	const aur_status status = aur_tokenizer_create(&vocab, &prepare->tokenizer);
	aur_vocab_clear(&vocab);
	AUR_TRY(status);
	AUR_TRY(aur_file_read_part(figures_path, 0, &figures, sizeof figures, &got));
	if (got == sizeof figures)
		aur_tokenizer_set_figures(prepare->tokenizer, &figures);
	return AUR_OK;
}

/* What rank 0 finds kept decides for all. */
static aur_status make_tokenizer(struct aur_prepare *prepare)
{
	struct aur_comm *world = prepare->world;
	char path[AUR_WORK_PATH], figures[AUR_WORK_PATH];
	if (prepare->tokenizer)
		return AUR_OK;
	AUR_TRY(aur_work_path(prepare->work, "vocabulary.h5", path));
	AUR_TRY(aur_work_path(prepare->work, "figures", figures));
	int kept = aur_work_found(prepare->work) && aur_file_exists(path) && aur_file_exists(figures);
	AUR_TRY(world->ops->broadcast(world, &kept, sizeof kept, 0));
	if (!kept) {
		AUR_TRY(aur_prepare_train(prepare, &prepare->request->tokenizer.options, &prepare->tokenizer));
		AUR_TRY(aur_comm_agree(world, world->rank == 0 ? save_vocabulary(prepare) : AUR_OK));
	}
	return aur_comm_agree(world, prepare->tokenizer ? AUR_OK : load_vocabulary(prepare, path, figures));
}

/* ---- work ---- */

static aur_status open_work(struct aur_prepare *prepare)
{
	struct aur_comm *world = prepare->world;
	const char *out = prepare->request->out;
	char *command;
	aur_status status = aur_prepare_command(prepare, &command);
	AUR_TRY_CLEANUP(aur_comm_agree(world, status));
	AUR_TRY_CLEANUP(aur_prepare_command_agree(world, command));
	if (world->rank == 0) {
		status = aur_work_open(out, command, prepare->request->anew, &prepare->work);
		/* Other ranks look for what this one has done. */
		if (status == AUR_OK && world->size > 1)
			status = aur_work_need(prepare->work);
	} else {
		status = aur_work_follow(out, &prepare->work);
	}
	status = aur_comm_agree(world, status);
cleanup:
	free(command);
	return status;
}

static int64_t count_units(const struct aur_corpus *sources)
{
	int64_t units = 0;
	for (int64_t i = 0; i < sources->count; i++)
		units += 1 + sources->all[i].bytes / AUR_UNIT_BYTES;
	return units;
}

static aur_status start_threads(struct aur_prepare *prepare)
{
	struct aur_threads threads = {
		.requested = (int)prepare->request->threads, .ranks_on_node = prepare->world->ranks_on_node};
	aur_threads_setup(&threads);
	const int64_t units = count_units(&prepare->sources);
	return aur_crew_create(threads.threads < units ? threads.threads : (int)units, 1, &prepare->crew);
}

static aur_status chart(struct aur_prepare *prepare)
{
	const struct aur_prepare_request *request = prepare->request;
	if (!request->report)
		return AUR_OK;
	const aur_status status = aur_prepare_chart(prepare, request->report);
	if (status != AUR_OK)
		return aur_add_context(status, "%s is written, its chart is not", request->out);
	if (prepare->world->rank != 0)
		return AUR_OK;
	aur_print("wrote       %s\n", request->report);
	return aur_print_end();
}

static aur_status encode(struct aur_prepare *prepare)
{
	const int wide = aur_tokenizer_vocab(prepare->tokenizer)->size > UINT16_MAX + 1;
	prepare->end_of_text = aur_vocab_end_of_text(aur_tokenizer_vocab(prepare->tokenizer));
	const aur_status status =
		aur_unit_store_create(prepare->work, wide ? 4 : 2, prepare->world->size == 1 ? KEPT_BYTES : 0, &prepare->store);
	AUR_TRY(aur_comm_agree(prepare->world, status));
	return aur_prepare_encode(prepare);
}

/* Before any unit is done there is nothing worth keeping: a folder that was made now would only stand in the way of the
 * command that comes when the input is put right. */
static aur_status begin(struct aur_prepare *prepare)
{
	AUR_TRY(open_work(prepare));
	aur_status status = aur_prepare_check(prepare);
	if (status == AUR_OK)
		status = make_tokenizer(prepare);
	if (status == AUR_INPUT && prepare->world->rank == 0 && !aur_work_found(prepare->work)) {
		char message[AUR_MESSAGE];
		snprintf(message, sizeof message, "%s", aur_error_message());
		if (aur_work_remove(prepare->work) != AUR_OK)
			aur_error_clear();
		aur_fail(status, "%s", message);
	}
	return status;
}

static aur_status run(struct aur_prepare *prepare)
{
	AUR_TRY(begin(prepare));
	AUR_TRY(encode(prepare));
	AUR_TRY(aur_prepare_write(prepare));
	return chart(prepare);
}

static aur_status set_up(struct aur_prepare *prepare, const struct aur_options *options, char input[AUR_WORK_PATH])
{
	struct aur_comm *world = prepare->world;
	AUR_TRY(aur_comm_agree(world, check_targets(prepare->request)));
	AUR_TRY(aur_comm_agree(world, aur_tokenizer_choice_load(&prepare->request->tokenizer, &prepare->tokenizer)));
	AUR_TRY(aur_comm_agree(world, spool(prepare, options, input)));
	AUR_TRY(aur_comm_agree(world, find_sources(prepare, options)));
	return aur_comm_agree(world, start_threads(prepare));
}

static void clear(struct aur_prepare *prepare)
{
	aur_corpus_unspool(prepare->standard_input, &prepare->spool);
	aur_unit_store_destroy(&prepare->store);
	aur_work_close(&prepare->work);
	aur_tokenizer_destroy(&prepare->tokenizer);
	aur_crew_destroy(&prepare->crew);
	aur_corpus_clear(&prepare->sources);
}

static aur_status prepare_all(
	const struct aur_prepare_request *request, const struct aur_options *options, struct aur_comm *world, int terminal)
{
	char input[AUR_WORK_PATH];
	struct aur_prepare prepare = {.request = request,
		.world = world,
		.end_of_text = -1,
		.spool = -1,
		.line = {.terminal = terminal, .silent = world->rank != 0}};
	aur_signals_install();
	aur_status status = set_up(&prepare, options, input);
	if (status == AUR_OK)
		status = run(&prepare);
	if (status == AUR_STOPPED && world->rank == 0) {
		aur_print("stopped     %s\n", prepare.work && aur_work_exists(prepare.work)
										  ? "give the same command again to go on"
										  : "nothing had to be kept; give the same command again");
		aur_print_flush();
	}
	clear(&prepare);
	return status;
}

/* Tests call it without a world. */
static aur_status prepare_in(const struct aur_command_context *context, const struct aur_prepare_request *request,
	const struct aur_options *options)
{
	struct aur_comm *alone = NULL;
	if (context->world)
		return prepare_all(request, options, context->world, context->terminal);
	AUR_TRY(aur_comm_self_create(&alone));
	const aur_status status = prepare_all(request, options, alone, context->terminal);
	aur_comm_close(&alone);
	return status;
}

aur_status aur_command_prepare(const struct aur_command_context *context, int argc, char **argv)
{
	struct aur_prepare_request request = {.tokenizer = {.options = {.kind = "char", .clean = "none"}},
		.field = "text",
		.format = "text",
		.on_bad = "fail",
		.val_fraction = 0.2};
	struct aur_options options;
	aur_status status = aur_prepare_parse(argc, argv, &request, &options);
	if (context->world)
		status = aur_comm_agree(context->world, status);
	if (status == AUR_OK && !options.help)
		status = prepare_in(context, &request, &options);
	aur_options_clear(&options);
	return status;
}
