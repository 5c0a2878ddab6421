#include "commands/commands.h"
#include "core/build_info.h"
#include "core/clock.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "loaded_model.h"
#include "options.h"
#include "print.h"
#include "text/bpe.h"
#include "tokenizer_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static aur_status check_format(const char *format)
{
	if (strcmp(format, "h5") == 0 || strcmp(format, "tokenizer") == 0)
		return AUR_OK;
	return aur_fail(AUR_USAGE, "--to: '%s' is no format this version writes: h5 and tokenizer are", format);
}

/* Exporting a checkpoint onto itself would take its optimizer state away. */
static aur_status check_not_itself(const char *from, const char *to)
{
	struct stat a, b;
	if (to[0] == '\0')
		return aur_fail(AUR_USAGE, "--out: the name is empty");
	if (stat(from, &a) == 0 && stat(to, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return aur_fail(AUR_USAGE, "--out: %s is the model itself: give another name", to);
	if (stat(to, &b) == 0 && !S_ISREG(b.st_mode))
		return aur_fail(AUR_USAGE, "--out: %s is a folder or no regular file: give the name of a file", to);
	return AUR_OK;
}

static int64_t largest_tensor(const struct aur_parameters *parameters)
{
	int64_t largest = 1;
	for (int64_t i = 0; i < parameters->n_items; i++)
		if (parameters->items[i].count > largest)
			largest = parameters->items[i].count;
	return largest;
}

/* One tensor in memory at a time. */
static aur_status copy_tensors(struct aur_model_file *file, struct aur_checkpoint_writer *writer)
{
	const struct aur_parameters *parameters = aur_model_parameters(file->model);
	const size_t bytes = (size_t)largest_tensor(parameters) * sizeof(float);
	float *data = malloc(bytes);
	if (!data)
		return aur_fail(AUR_MEMORY, "%s: no memory for its largest tensor, %zu bytes", file->path, bytes);
	aur_status status = AUR_OK;
	for (int64_t i = 0; i < parameters->n_items && status == AUR_OK; i++) {
		struct aur_tensor_record record;
		aur_tensor_record_of(&parameters->items[i], &record);
		status = aur_checkpoint_read(file->checkpoint, AUR_PART_PARAMS, &record, 0, parameters->items[i].count, data);
		if (status == AUR_OK)
			status = aur_checkpoint_write(writer, AUR_PART_PARAMS, &record, data);
	}
	free(data);
	return status;
}

static aur_status write_model(struct aur_model_file *file, const char *out)
{
	const struct aur_history none = {0};
	struct aur_checkpoint_writer *writer = NULL;
	/* A copy whose owned strings stay the checkpoint's. How a training computed is of no use to a model. */
	struct aur_checkpoint_meta meta = *aur_checkpoint_meta_of(file->checkpoint);
	meta.choices = NULL;
	snprintf(meta.kind, sizeof meta.kind, "model");
	snprintf(meta.program, sizeof meta.program, "%s %s", AUR_VERSION, AUR_COMMIT);
	aur_clock_text(meta.created, sizeof meta.created);
	AUR_TRY(aur_checkpoint_begin(out, &meta, aur_checkpoint_vocab(file->checkpoint), &none, &writer));
	const aur_status status = copy_tensors(file, writer);
	if (status == AUR_OK)
		return aur_checkpoint_finish(&writer);
	aur_checkpoint_abandon(&writer);
	return status;
}

static aur_status run(const char *model, int best, const char *out)
{
	struct aur_model_file file = {0};
	int64_t bytes = 0;
	aur_status status;
	AUR_TRY_CLEANUP(aur_model_file_open(model, best, &file));
	AUR_TRY_CLEANUP(check_not_itself(file.path, out));
	AUR_TRY_CLEANUP(write_model(&file, out));
	AUR_TRY_CLEANUP(aur_file_check_input(out, &bytes));
	aur_print("%s: %" PRId64 " parameters of step %" PRId64 " from %s, %.1f MB\n", out,
		aur_model_parameters(file.model)->elements, aur_checkpoint_meta_of(file.checkpoint)->step, file.path,
		(double)bytes / 1e6);
	status = aur_print_end();
cleanup:
	aur_model_file_close(&file);
	return status;
}

/* ---- the tokenizer alone ---- */

static aur_status write_tokenizer(const char *file, const char *out)
{
	struct aur_tokenizer *tokenizer = NULL;
	char *json = NULL;
	aur_status status;
	AUR_TRY_CLEANUP(aur_tokenizer_of_file(file, &tokenizer));
	AUR_TRY_CLEANUP(check_not_itself(file, out));
	status = aur_bpe_write_json(aur_tokenizer_vocab(tokenizer), &json);
	if (status != AUR_OK)
		AUR_TRY_CLEANUP(aur_add_context(status, "%s", file));
	AUR_TRY_CLEANUP(aur_file_write_atomic(out, json, strlen(json)));
	aur_print("%s: tokenizer of %" PRId64 " tokens from %s\n", out, aur_tokenizer_vocab(tokenizer)->size, file);
	status = aur_print_end();
cleanup:
	free(json);
	aur_tokenizer_destroy(&tokenizer);
	return status;
}

/* ---- the command ---- */

aur_status aur_command_export(const struct aur_command_context *context, int argc, char **argv)
{
	const char *format = NULL, *out = NULL;
	int best = 0;
	const struct aur_option table[] = {
		{"to", AUR_OPTION_TEXT, &format, "h5|tokenizer",
			"h5: one HDF5 file that is a MODEL again; tokenizer: its byte-level BPE as a tokenizer.json", 1},
		{"out", AUR_OPTION_TEXT, &out, "PATH", "the file to write", 1},
		{"best", AUR_OPTION_FLAG, &best, NULL, "of a run: the best checkpoint instead of the newest", 0},
	};
	struct aur_options options = {.usage = "export MODEL|DATA --to h5|tokenizer --out PATH [--best]",
		.about = "Writes the weights, the configuration and the tokenizer of a model, without the optimizer's state.\n"
				 "MODEL is a checkpoint, an exported .h5 or a run. A tokenizer is also that of a dataset.",
		.options = table,
		.n_options = sizeof table / sizeof *table,
		.argument = "a MODEL",
		.least_arguments = 1,
		.most_arguments = 1};
	aur_status status;
	AUR_TRY_CLEANUP(aur_options_parse(&options, argc, argv));
	if (options.help)
		goto cleanup;
	AUR_TRY_CLEANUP(aur_check_one_rank(context, argv[0]));
	AUR_TRY_CLEANUP(check_format(format));
	if (strcmp(format, "tokenizer") == 0)
		status = write_tokenizer(options.arguments[0], out);
	else
		status = run(options.arguments[0], best, out);
cleanup:
	aur_options_clear(&options);
	return status;
}
