#include "commands/commands.h"
#include "describe.h"
#include "io/hdf5.h"
#include "io/tokens.h"
#include "loaded_model.h"
#include "options.h"
#include "print.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static aur_status describe(const char *path, json_t *object)
{
	struct stat found;
	char kind[32];
	if (stat(path, &found) == 0 && S_ISDIR(found.st_mode))
		return aur_describe_run(path, object);
	AUR_TRY(aur_hdf5_kind(path, kind));
	return strcmp(kind, "aurelius-tokens") == 0 ? aur_describe_dataset(path, object)
												: aur_describe_checkpoint(path, object);
}

static aur_status print_json(const json_t *object)
{
	char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	if (!text)
		return aur_fail(AUR_MEMORY, "no memory for the JSON of an inspection");
	aur_print("%s\n", text);
	free(text);
	return AUR_OK;
}

static aur_status verify_dataset(const char *path)
{
	struct aur_tokens *tokens = NULL;
	AUR_TRY(aur_tokens_open(path, &tokens));
	const aur_status status = aur_tokens_verify(tokens);
	aur_tokens_close(&tokens);
	return status;
}

/* Reads all there is against its checksums; a run is its newest good checkpoint, which describing it has verified. */
static aur_status verify(const char *path, json_t *object)
{
	const char *kind = json_string_value(json_object_get(object, "kind"));
	if (kind && strcmp(kind, "dataset") == 0)
		AUR_TRY(verify_dataset(path));
	else if (kind && strcmp(kind, "run") != 0)
		AUR_TRY(aur_checkpoint_verify(path));
	json_object_set_new(object, "verified", json_true());
	return AUR_OK;
}

static aur_status run(const char *path, int verified, int json)
{
	json_t *object = json_object();
	aur_status status = object ? describe(path, object) : aur_fail(AUR_MEMORY, "no memory for an inspection");
	if (status == AUR_OK && verified)
		status = verify(path, object);
	if (status == AUR_OK && json)
		status = print_json(object);
	else if (status == AUR_OK)
		aur_describe_print(object);
	json_decref(object);
	return status == AUR_OK ? aur_print_end() : status;
}

aur_status aur_command_inspect(const struct aur_command_context *context, int argc, char **argv)
{
	int json = 0, verified = 0;
	const struct aur_option table[] = {
		{"verify", AUR_OPTION_FLAG, &verified, NULL, "read all of it against its checksums", 0},
		{"json", AUR_OPTION_FLAG, &json, NULL, "print one JSON object", 0},
	};
	struct aur_options options = {.usage = "inspect FILE|RUN [--verify] [--json]",
		.about = "Says what a dataset, a checkpoint, an exported model or a run folder holds.",
		.options = table,
		.n_options = sizeof table / sizeof *table,
		.argument = "a FILE or a RUN",
		.least_arguments = 1,
		.most_arguments = 1};
	aur_status status;
	AUR_TRY_CLEANUP(aur_options_parse(&options, argc, argv));
	if (options.help)
		goto cleanup;
	AUR_TRY_CLEANUP(aur_check_one_rank(context, argv[0]));
	AUR_TRY_CLEANUP(run(options.arguments[0], verified, json));
cleanup:
	aur_options_clear(&options);
	return status;
}
