#include "commands/commands.h"
#include "describe.h"
#include "io/hdf5.h"
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

static aur_status run(const char *path, int json)
{
	json_t *object = json_object();
	aur_status status = object ? describe(path, object) : aur_fail(AUR_MEMORY, "no memory for an inspection");
	if (status == AUR_OK && json)
		status = print_json(object);
	else if (status == AUR_OK)
		aur_describe_print(object);
	json_decref(object);
	return status == AUR_OK ? aur_print_end() : status;
}

aur_status aur_command_inspect(const struct aur_command_context *context, int argc, char **argv)
{
	int json = 0;
	const struct aur_option table[] = {
		{"json", AUR_OPTION_FLAG, &json, NULL, "print one JSON object", 0},
	};
	struct aur_options options = {.usage = "inspect FILE|RUN [--json]",
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
	AUR_TRY_CLEANUP(run(options.arguments[0], json));
cleanup:
	aur_options_clear(&options);
	return status;
}
