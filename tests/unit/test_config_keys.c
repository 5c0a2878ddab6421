#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* The project's own folder, from which configs/ and docs/ are read: AURELIUS_SOURCE_DIR, or where this file was
 * compiled. */
static void source_folder(char folder[PATH_BYTES])
{
	static const char here[] = "/tests/unit/test_config_keys.c";
	const char *given = getenv("AURELIUS_SOURCE_DIR");
	const char *file = __FILE__;
	const size_t length = strlen(file), tail = sizeof here - 1;
	folder[0] = '\0';
	if (given)
		snprintf(folder, PATH_BYTES, "%s", given);
	else if (length > tail && strcmp(file + length - tail, here) == 0)
		snprintf(folder, PATH_BYTES, "%.*s", (int)(length - tail), file);
	if (folder[0] && access(folder, R_OK) == 0)
		return;
	print_message("SKIP: the project's folder is not known; set AURELIUS_SOURCE_DIR to it\n");
	exit(77);
}

static aur_status parse(const char *yaml, struct aur_config *config)
{
	aur_config_defaults(config);
	return aur_config_parse("x.yaml", yaml, strlen(yaml), config);
}

static void set(struct aur_config *config, const char *assignment)
{
	if (aur_config_override(config, assignment) != AUR_OK)
		fail_msg("%s: %s", assignment, aur_error_message());
}

/* A configuration that aur_config_finish takes. */
static struct aur_config complete(void)
{
	struct aur_config config;
	aur_config_defaults(&config);
	config.train.steps = 1000;
	return config;
}

/* Every default must itself be a legal value: defaults are set through the same code as a user's. */
static void defaults_are_what_the_table_says(void **state)
{
	(void)state;
	struct aur_config config, again;
	aur_config_defaults(&config);
	memset(&again, 0, sizeof again);
	for (int64_t i = 0; i < aur_config_keys(); i++) {
		const struct aur_config_key key = aur_config_key_at(i);
		char assignment[256];
		snprintf(assignment, sizeof assignment, "%s.%s=%s", key.section, key.name, key.fallback);
		set(&again, assignment);
		assert_true(strlen(key.meaning) > 10);
		assert_true(strlen(key.values) > 0);
	}
	assert_memory_equal(&config, &again, sizeof config);
	assert_int_equal(config.model.kind, AUR_MODEL_GPT);
	assert_int_equal(config.model.activation, AUR_NAME_GELU_TANH);
	assert_int_equal(config.train.seed, 1337);
	assert_true(config.train.epsilon == 1e-8);
	assert_int_equal(config.train.schedule, AUR_SCHEDULE_COSINE);
}

/* A choice is stored as its place in the table's words, which must be the enum's order. */
static void choices_are_stored_as_their_enums(void **state)
{
	(void)state;
	struct aur_config config = complete();
	set(&config, "model.kind=bigram");
	set(&config, "model.norm_position=post");
	set(&config, "model.activation=gelu");
	set(&config, "model.attention_scale=n_embd");
	set(&config, "model.init=pytorch");
	set(&config, "data.order=sequential");
	set(&config, "train.schedule=wsd");
	set(&config, "train.decay=all");
	set(&config, "train.reduction=fast");
	set(&config, "train.eval_ranks=zero");
	set(&config, "train.on_save_error=continue");
	set(&config, "system.backend=cuda");
	set(&config, "system.precision=bf16");
	set(&config, "system.recompute=block");
	assert_int_equal(config.model.kind, AUR_MODEL_BIGRAM);
	assert_int_equal(config.model.norm_position, AUR_NORM_POST);
	assert_int_equal(config.model.activation, AUR_NAME_GELU);
	assert_int_equal(config.model.attention_scale, AUR_SCALE_EMBD);
	assert_int_equal(config.model.init, AUR_INIT_PYTORCH);
	assert_int_equal(config.data.order, AUR_ORDER_SEQUENTIAL);
	assert_int_equal(config.train.schedule, AUR_SCHEDULE_WSD);
	assert_int_equal(config.train.decay, AUR_DECAY_ALL);
	assert_int_equal(config.train.reduction, AUR_REDUCTION_FAST);
	assert_int_equal(config.train.eval_ranks, AUR_EVAL_ZERO);
	assert_int_equal(config.train.on_save_error, AUR_SAVE_CONTINUE);
	assert_int_equal(config.system.backend, AUR_BACKEND_CUDA);
	assert_int_equal(config.system.precision, AUR_PRECISION_BF16);
	assert_int_equal(config.system.recompute, AUR_RECOMPUTE_BLOCK);
}

static void assert_round_trip(const struct aur_config *config)
{
	struct aur_config again;
	char *yaml = NULL;
	assert_int_equal(aur_config_write(config, &yaml), AUR_OK);
	if (parse(yaml, &again) != AUR_OK)
		fail_msg("%s\nin\n%s", aur_error_message(), yaml);
	assert_memory_equal(config, &again, sizeof again);
	free(yaml);
}

/* Sets the key to each of the values its type and range take, and sends each through a file. Returns how many. */
static int try_values(const struct aur_config_key *key, const char *const *values, size_t n)
{
	int taken = 0;
	for (size_t i = 0; i < n; i++) {
		char assignment[AUR_TEXT_VALUE];
		struct aur_config config;
		aur_config_defaults(&config);
		snprintf(assignment, sizeof assignment, "%s.%s=%s", key->section, key->name, values[i]);
		if (aur_config_override(&config, assignment) != AUR_OK)
			continue;
		assert_round_trip(&config);
		taken++;
	}
	return taken;
}

static void every_key_survives_writing_and_reading_to_the_bit(void **state)
{
	(void)state;
	static const char *const values[] = {"0.1", "0.3333333333333333", "0.30000000000000004", "2.2250738585072014e-308",
		"4.9406564584124654e-324", "0.99999999999999989", "1.7976931348623157e308", "1", "3", "4095",
		"9007199254740993", "9223372036854775807", "true", "false", "bigram", "relu", "gelu", "post", "n_embd",
		"pytorch", "sequential", "random", "wsd", "linear", "constant", "all", "fast", "zero", "continue", "cuda",
		"bf16", "block", "layernorm", "  spaces  ", "# no: comment", "\"quoted\" 'and' \\", "line\nend\n", "\t", "-",
		"null", "~", "*a", "&a", "!b", "{[,]}", "\x01\x1b\x7f", "\xc2\x85\xe2\x80\xa8", "\xef\xbb\xbf", "\xef\xbf\xbf",
		"gr\xc3\xbc\xc3\x9f \xf0\x9f\x99\x82", "%", "---"};
	for (int64_t i = 0; i < aur_config_keys(); i++) {
		const struct aur_config_key key = aur_config_key_at(i);
		if (try_values(&key, values, sizeof values / sizeof values[0]) == 0)
			fail_msg("%s.%s takes none of the values", key.section, key.name);
	}
}

struct differences {
	int count, may;
	char text[512];
};

static void note_difference(void *context, const char *key, const char *was, const char *is, int may_change)
{
	struct differences *seen = context;
	const size_t used = strlen(seen->text);
	seen->count++;
	seen->may += may_change;
	snprintf(seen->text + used, sizeof seen->text - used, "%s: %s -> %s (%d)\n", key, was, is, may_change);
}

static void a_comparison_reports_each_key_that_differs(void **state)
{
	(void)state;
	struct aur_config was = complete(), is = complete();
	struct differences seen = {0};
	aur_config_compare(&was, &is, note_difference, &seen);
	assert_int_equal(seen.count, 0);
	set(&is, "model.n_layer=7");
	set(&is, "train.learning_rate=1e-3");
	set(&is, "train.seed=1");
	set(&is, "system.threads=2");
	aur_config_compare(&was, &is, note_difference, &seen);
	assert_string_equal(seen.text, "model.n_layer: 6 -> 7 (0)\ntrain.learning_rate: 0.0003 -> 0.001 (1)\n"
								   "train.seed: 1337 -> 1 (0)\nsystem.threads: 0 -> 2 (1)\n");
}

/* What decides the bits of a run's model, data and sums must not change under it. */
static void a_resume_may_change_only_what_does_not_break_the_run(void **state)
{
	(void)state;
	static const char *const fixed[] = {
		"data.order", "train.seed", "train.batch_size", "train.micro_batch_size", "train.exact_ranks"};
	for (int64_t i = 0; i < aur_config_keys(); i++) {
		const struct aur_config_key key = aur_config_key_at(i);
		char name[128];
		snprintf(name, sizeof name, "%s.%s", key.section, key.name);
		int may = strcmp(key.section, "model") != 0 || strstr(key.name, "dropout") != NULL;
		for (size_t j = 0; j < sizeof fixed / sizeof fixed[0]; j++)
			may = may && strcmp(name, fixed[j]) != 0;
		if (key.may_change != may)
			fail_msg("%s: may_change is %d", name, key.may_change);
	}
}

static int check_preset(const char *folder, const char *name)
{
	char path[PATH_BYTES + 512];
	struct aur_config config;
	const size_t length = strlen(name);
	if (length < 6 || strcmp(name + length - 5, ".yaml") != 0)
		return 0;
	snprintf(path, sizeof path, "%s/%s", folder, name);
	aur_config_defaults(&config);
	if (aur_config_read(path, &config) != AUR_OK || aur_config_finish(&config) != AUR_OK)
		fail_msg("%s: %s", name, aur_error_message());
	assert_round_trip(&config);
	/* A preset without --data must not point at files of the machine it was written on. */
	assert_string_equal(config.data.train, "");
	return 1;
}

static void every_preset_is_a_complete_configuration(void **state)
{
	(void)state;
	char source[PATH_BYTES], folder[PATH_BYTES + 16];
	source_folder(source);
	snprintf(folder, sizeof folder, "%s/configs", source);
	DIR *presets = opendir(folder);
	assert_non_null(presets);
	int count = 0;
	for (const struct dirent *entry = readdir(presets); entry; entry = readdir(presets))
		count += check_preset(folder, entry->d_name);
	closedir(presets);
	assert_true(count >= 12);
}

static char *read_whole(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (!file)
		return NULL;
	char *text = calloc(1, 1 << 18);
	if (text)
		text[fread(text, 1, (1 << 18) - 1, file)] = '\0';
	fclose(file);
	return text;
}

/* docs/configuration.md is generated; AURELIUS_UPDATE_DOCS=1 writes it anew. */
static void the_reference_is_not_stale(void **state)
{
	(void)state;
	char source[PATH_BYTES], path[PATH_BYTES + 32];
	char *markdown = NULL;
	source_folder(source);
	snprintf(path, sizeof path, "%s/docs/configuration.md", source);
	assert_int_equal(aur_config_reference(&markdown), AUR_OK);
	if (getenv("AURELIUS_UPDATE_DOCS")) {
		FILE *file = fopen(path, "wb");
		assert_non_null(file);
		fputs(markdown, file);
		assert_int_equal(fclose(file), 0);
	}
	char *written = read_whole(path);
	const int same = written && strcmp(written, markdown) == 0;
	free(written);
	free(markdown);
	if (!same)
		fail_msg("docs/configuration.md is stale: run this test with AURELIUS_UPDATE_DOCS=1");
}

/* Damaged text must give a configuration or one line, and never leave half of a file behind. */
static void damaged_text_never_does_harm(void **state)
{
	(void)state;
	struct aur_config config = complete(), before;
	char *yaml = NULL, text[8192];
	uint32_t random = 1;
	assert_int_equal(aur_config_write(&config, &yaml), AUR_OK);
	const size_t bytes = strlen(yaml);
	assert_true(bytes < sizeof text);
	aur_config_defaults(&before);
	for (int round = 0; round < 2000; round++) {
		memcpy(text, yaml, bytes);
		for (int damage = 0; damage < 1 + round % 4; damage++) {
			random = random * 1664525u + 1013904223u;
			text[(random >> 8) % bytes] = (char)"\n :-[]{}*&!\"'#\t0z\xff\0"[random % 19];
		}
		aur_config_defaults(&config);
		aur_error_clear();
		if (aur_config_parse("x.yaml", text, bytes - (random >> 24) % 9, &config) == AUR_OK)
			continue;
		assert_true(strlen(aur_error_message()) > 8);
		assert_memory_equal(&config, &before, sizeof config);
	}
	free(yaml);
}

/* Its own learning rates and block sizes, for both of its models. */
static void the_grid_of_the_original_project_is_there(void **state)
{
	(void)state;
	char folder[PATH_BYTES], path[PATH_BYTES + 64];
	struct aur_config_grid grid;
	source_folder(folder);
	snprintf(path, sizeof path, "%s/configs/sweep-original.yaml", folder);
	assert_int_equal(aur_config_read_grid(path, &grid), AUR_OK);
	assert_int_equal(grid.n, 3);
	assert_string_equal(grid.overrides[0], "model.kind=bigram,gpt");
	assert_string_equal(grid.overrides[1], "train.learning_rate=1e-2,1e-3,1e-4,1e-5,1e-6,1e-7,1e-8");
	assert_string_equal(grid.overrides[2], "model.block_size=4,6,8,10,12");
	aur_config_grid_clear(&grid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_what_the_table_says),
		cmocka_unit_test(choices_are_stored_as_their_enums),
		cmocka_unit_test(every_key_survives_writing_and_reading_to_the_bit),
		cmocka_unit_test(a_comparison_reports_each_key_that_differs),
		cmocka_unit_test(a_resume_may_change_only_what_does_not_break_the_run),
		cmocka_unit_test(every_preset_is_a_complete_configuration),
		cmocka_unit_test(the_grid_of_the_original_project_is_there),
		cmocka_unit_test(the_reference_is_not_stale),
		cmocka_unit_test(damaged_text_never_does_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
