/* The YAML reader of configurations. */
#include "config/config.h"
#include "fuzz.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is taken can be written and read back. */
static aur_status write_and_read(const struct aur_config *config)
{
	struct aur_config again;
	char *yaml;
	AUR_TRY(aur_config_write(config, &yaml));
	aur_config_defaults(&again);
	const aur_status status = aur_config_parse("again.yaml", yaml, strlen(yaml), &again);
	free(yaml);
	return status == AUR_OK ? AUR_OK : fuzz_fail("what was written is not read: %s", aur_error_message());
}

/* The values of a grid are refused where the configuration is read, so what was taken has a grid too. */
static aur_status read_grid(const struct fuzz_input *input)
{
	struct aur_config_grid grid;
	aur_status status = aur_config_parse_grid("x.yaml", input->bytes, input->size, &grid);
	if (status != AUR_OK)
		status = fuzz_fail("the grid is refused: %s", aur_error_message());
	for (int i = 0; i < grid.n && status == AUR_OK; i++)
		if (!strchr(grid.overrides[i], '=') || !strchr(grid.overrides[i], '.'))
			status = fuzz_fail("%s is no override", grid.overrides[i]);
	aur_config_grid_clear(&grid);
	return status;
}

static aur_status parse(const struct fuzz_input *input)
{
	struct aur_config config;
	aur_config_defaults(&config);
	AUR_TRY(aur_config_parse("x.yaml", input->bytes, input->size, &config));
	AUR_TRY(read_grid(input));
	AUR_TRY(write_and_read(&config));
	return aur_config_finish(&config);
}

static const char *const words[] = {"model:\n", "train:\n", "data:\n", "sweep:\n", "  train.seed: [1, 2]\n",
	"  steps: 1\n", "  learning_rate: 1e-3\n", "*a", "&a ", "!!int ", "<<: ", "- ", "[", "]", "{", "}", "? ", ": ",
	"|\n", ">\n", "---\n", "...\n", "%YAML 1.1\n", "\xef\xbb\xbf", "\xff\xfe", "~", "true", "no", "\"\\x00\"", "'",
	"\t", "# ", NULL};

int main(void)
{
	glob_t configs;
	if (glob(AUR_SOURCE_FOLDER "/configs/*.yaml", 0, NULL, &configs) != 0) {
		fprintf(stderr, "there is no " AUR_SOURCE_FOLDER "/configs/*.yaml\n");
		return 1;
	}
	for (size_t i = 0; i < configs.gl_pathc; i++)
		fuzz_seed_file(configs.gl_pathv[i]);
	globfree(&configs);
	return fuzz_run(
		&(struct fuzz_target){.name = "config", .parse = parse, .refusal = AUR_USAGE, .words = words, .rounds = 30000});
}
