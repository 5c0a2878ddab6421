#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void assert_message_is(const char *of, const char *expected)
{
	if (strcmp(aur_error_message(), expected) != 0)
		fail_msg("%s\n  says   %s\n  not    %s", of, aur_error_message(), expected);
}

static void a_file_is_read_over_what_is_there(void **state)
{
	(void)state;
	struct aur_config config;
	assert_int_equal(parse("# a comment\nmodel:\n  n_layer: 3\n  bias: false\n  activation: 'relu'\ndata:\ntrain:\n"
						   "  steps: 1e5\n  tokens: 2.5e3\n  learning_rate: 1e-3\n  sample_prompt: \"a\\nb\"\n",
						 &config),
		AUR_OK);
	assert_int_equal(config.model.n_layer, 3);
	assert_int_equal(config.model.bias, 0);
	assert_int_equal(config.model.activation, AUR_NAME_RELU);
	assert_int_equal(config.model.n_head, 6);
	assert_int_equal(config.train.steps, 100000);
	assert_int_equal(config.train.tokens, 2500);
	assert_true(config.train.learning_rate == 1e-3);
	assert_string_equal(config.train.sample_prompt, "a\nb");
}

static void a_list_of_files_is_joined_with_commas(void **state)
{
	(void)state;
	struct aur_config config;
	assert_int_equal(parse("data:\n  train: [a.h5, 'b-*.h5']\n  val:\n    - c.h5\n", &config), AUR_OK);
	assert_string_equal(config.data.train, "a.h5,b-*.h5");
	assert_string_equal(config.data.val, "c.h5");
	assert_int_equal(parse("data:\n  train: a.h5,b.h5\n", &config), AUR_OK);
	assert_string_equal(config.data.train, "a.h5,b.h5");
}

static void a_grid_is_read_as_overrides(void **state)
{
	(void)state;
	static const char yaml[] = "sweep:\n  model.kind: [bigram, gpt]\n  train.learning_rate: [1e-2, 3e-4]\n"
							   "  train.seed:\n    - 7\nmodel:\n  n_layer: 3\n";
	struct aur_config_grid grid;
	struct aur_config config;
	assert_int_equal(aur_config_parse_grid("x.yaml", yaml, strlen(yaml), &grid), AUR_OK);
	assert_int_equal(grid.n, 3);
	assert_string_equal(grid.overrides[0], "model.kind=bigram,gpt");
	assert_string_equal(grid.overrides[1], "train.learning_rate=1e-2,3e-4");
	assert_string_equal(grid.overrides[2], "train.seed=7");
	aur_config_grid_clear(&grid);
	/* A training takes the rest of the file, and no value of the grid. */
	assert_int_equal(parse(yaml, &config), AUR_OK);
	assert_int_equal(config.model.n_layer, 3);
	assert_int_equal(config.model.kind, AUR_MODEL_GPT);
	assert_int_equal(config.train.seed, 1337);
	assert_int_equal(aur_config_parse_grid("x.yaml", "model:\n", 7, &grid), AUR_OK);
	assert_int_equal(grid.n, 0);
	aur_config_grid_clear(&grid);
}

/* Whoever reads the file: a mistake in the grid must not wait for the night of the sweep. */
static void wrong_grids_are_refused_with_their_line(void **state)
{
	(void)state;
	static const struct {
		const char *yaml, *message;
	} cases[] = {
		{"sweep:\n  train.learning_rat: [1, 2]\n",
			"x.yaml:2: unknown key train.learning_rat; did you mean train.learning_rate?"},
		{"sweep:\n  model.n_layer: [1,\n    two]\n", "x.yaml:3: sweep: model.n_layer: \"two\" is not an integer"},
		{"sweep:\n  train.batch_size: [4, 0]\n", "x.yaml:2: sweep: train.batch_size: 0 is out of range (1 to 1048576)"},
		{"sweep:\n  train.batch_size: 4\n",
			"x.yaml:2: sweep: train.batch_size: a list of values is expected, as in [1, 2]"},
		{"sweep:\n  train.batch_size: []\n",
			"x.yaml:2: sweep: train.batch_size: a list of values is expected, as in [1, 2]"},
		{"sweep:\n  train.batch_size: [[4]]\n",
			"x.yaml:2: sweep: train.batch_size: an item of the list is not one value"},
		{"sweep:\n  batch_size: [4]\n",
			"x.yaml:2: sweep: batch_size: a key stands here with its section, as in train.learning_rate"},
		{"sweep:\n  data.train: [a.h5, b.h5]\n", "x.yaml:2: sweep: data.train is a text, which a sweep does not vary"},
		{"sweep:\n  train.seed: [1]\n  train.seed: [2]\n",
			"x.yaml:3: sweep: train.seed is given twice, first on line 2"},
		{"sweep:\n  train.seed: [1]\nsweep:\n", "x.yaml:3: section sweep is given twice, first on line 1"},
		{"sweep: [1]\n", "x.yaml:1: sweep is a section: its keys follow on lines of their own, indented"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct aur_config config;
		struct aur_config_grid grid;
		if (parse(cases[i].yaml, &config) != AUR_USAGE)
			fail_msg("taken: %s", cases[i].yaml);
		assert_message_is(cases[i].yaml, cases[i].message);
		assert_int_equal(aur_config_parse_grid("x.yaml", cases[i].yaml, strlen(cases[i].yaml), &grid), AUR_USAGE);
		assert_message_is(cases[i].yaml, cases[i].message);
		aur_config_grid_clear(&grid);
	}
}

/* What a name holds must not be taken for a separator or a weight, and a run's own file must read back the same. */
static void lists_of_files_read_back_as_they_were(void **state)
{
	(void)state;
	static const struct {
		const char *yaml, *text;
	} cases[] = {
		{"[{path: wiki/*.h5, weight: 0.70}, {path: code.h5, weight: 3e-1}]", "wiki/*.h5@0.7,code.h5@0.3"},
		{"['a,b.h5', 'c@2', 'd@x', 'e\\', 'f\\g']", "a\\,b.h5,c\\@2,d@x,e\\\\,f\\g"},
		{"[{path: 'a,b@1', weight: 2.5}]", "a\\,b\\@1@2.5"},
		{"a.h5@1, b.h5@10", "a.h5@1,b.h5@10"},
		{"a.h5, b.h5", "a.h5, b.h5"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[256], *yaml;
		struct aur_config config, again;
		snprintf(text, sizeof text, "data:\n  train: %s\n", cases[i].yaml);
		assert_int_equal(parse(text, &config), AUR_OK);
		assert_string_equal(config.data.train, cases[i].text);
		assert_int_equal(aur_config_write(&config, &yaml), AUR_OK);
		assert_int_equal(parse(yaml, &again), AUR_OK);
		assert_string_equal(again.data.train, cases[i].text);
		snprintf(text, sizeof text, "data.train=%s", cases[i].text);
		assert_int_equal(aur_config_override(&again, text), AUR_OK);
		assert_string_equal(again.data.train, cases[i].text);
		free(yaml);
	}
}

/* People read the run's own file: a mixture stands there as it would be written by hand. */
static void a_mixture_is_written_as_a_list(void **state)
{
	(void)state;
	char *yaml;
	struct aur_config config;
	assert_int_equal(parse("data:\n  train: a/*.h5@0.7,b.h5@0.3\n", &config), AUR_OK);
	assert_int_equal(aur_config_write(&config, &yaml), AUR_OK);
	assert_non_null(
		strstr(yaml, "  train:\n  - path: \"a/*.h5\"\n    weight: 0.7\n  - path: \"b.h5\"\n    weight: 0.3\n"));
	free(yaml);
}

struct wrong {
	const char *text, *message;
};

static const struct wrong wrong_files[] = {
	{"", "x.yaml: there is nothing in it; sections model, data, train, system are expected"},
	{"# nothing\n", "x.yaml: there is nothing in it; sections model, data, train, system are expected"},
	{"hello\n", "x.yaml:1: sections are expected (model:, data:, train:, system:)"},
	{"- a\n", "x.yaml:1: sections are expected (model:, data:, train:, system:)"},
	{"model:\n  n_layer: 1\n n_head: 2\n", "x.yaml:3: not YAML: did not find expected key"},
	{"model:\n\tn_layer: 1\n",
		"x.yaml:2: not YAML: found character that cannot start any token (indent with spaces, not tabs)"},
	{"model:\n  kind: \xff\n", "x.yaml:2: not a YAML text: invalid leading UTF-8 octet"},
	{"model: {n_layer: 1}\n---\nmodel: {n_layer: 2}\n",
		"x.yaml:2: a second document (---); one file is one configuration"},
	{"train:\n  learningrate: 1\n", "x.yaml:2: unknown key train.learningrate; did you mean train.learning_rate?"},
	{"\nmodel:\n  learning_rate: 1\n", "x.yaml:3: unknown key model.learning_rate; did you mean train.learning_rate?"},
	{"train:\n  max_iters: 1\n", "x.yaml:2: unknown key train.max_iters; did you mean train.steps?"},
	{"train:\n  zzzzzz: 1\n", "x.yaml:2: unknown key train.zzzzzz; docs/configuration.md lists the keys"},
	{"trian:\n  steps: 1\n", "x.yaml:1: unknown section trian; did you mean train?"},
	{"batch_size: 8\n",
		"x.yaml:1: unknown section batch_size; did you mean the key train.batch_size? Keys stand indented "
		"under their section"},
	{"train.batch_size: 8\n",
		"x.yaml:1: train.batch_size: in a file the section and the key stand on lines of their own, "
		"\"train:\" and, indented, \"batch_size: ...\""},
	{"model:\n  n_kv_head: 2\n", "x.yaml:2: model.n_kv_head: reserved for a later version, this one does not know it"},
	{"model:\n  position: rotary\n",
		"x.yaml:2: model.position: reserved for a later version, this one does not know it"},
	{"parallel:\n  tensor: 2\n", "x.yaml:1: section parallel: reserved for a later version, this one does not know it"},
	{"train:\n  resume: auto\n",
		"x.yaml:2: train.resume: not a key but an option of the command, write: aurelius train --resume ..."},
	{"max_minutes: 5\n", "x.yaml:1: max_minutes: not a key but an option of the command, write: aurelius train "
						 "--max-minutes ..."},
	{"train:\n  data: a.h5\n",
		"x.yaml:2: train.data: not a key; name the dataset by data.train or by the option --data"},
	{"model:\n  n_layer: 1\n  n_layer: 2\n", "x.yaml:3: model.n_layer is given twice, first on line 2"},
	{"model:\n  n_layer: 1\nmodel:\n  n_head: 2\n", "x.yaml:3: section model is given twice, first on line 1"},
	{"model: 3\n", "x.yaml:1: model is a section: its keys follow on lines of their own, indented"},
	{"model:\n  n_layer: [1, 2]\n", "x.yaml:2: model.n_layer: one value is expected (1 to 4096), not a list"},
	{"model:\n  n_layer: {a: 1}\n", "x.yaml:2: model.n_layer: one value is expected (1 to 4096), not a section"},
	{"data:\n  train: [[a]]\n", "x.yaml:2: data.train: an item of the list is not a text"},
	{"data:\n  train: [{path: a}]\n",
		"x.yaml:2: data.train: an item has no weight (- path: a/*.h5, and below it weight: 0.7)"},
	{"data:\n  train:\n    - path: a\n      weight: 1\n    - weight: 1\n",
		"x.yaml:5: data.train: an item has no path (- path: a/*.h5, and below it weight: 0.7)"},
	{"data:\n  train: [{path: a, share: 1}]\n",
		"x.yaml:2: data.train: share is not known in an item, which has a path and a weight"},
	{"data:\n  train: [{path: a, weight: 1, path: b}]\n",
		"x.yaml:2: data.train: path is given twice in an item, which has a path and a weight"},
	{"data:\n  train: [{path: a, weight: much}]\n",
		"x.yaml:2: data.train: \"much\" is no weight, a number is expected"},
	{"data:\n  train: [{path: a, weight: 0}]\n",
		"x.yaml:2: data.train: the weight 0 of \"a\" is out of range (0.000001 to 1000000)"},
	{"data:\n  train: [{path: a, weight: 1}, b]\n",
		"x.yaml:2: data.train: \"b\" has no weight where others have one (give all a weight, or none)"},
	{"data:\n  train: a@1,b\n",
		"x.yaml:2: data.train: \"b\" has no weight where others have one (give all a weight, or none)"},
	{"data:\n  train: [{path: &a x, weight: *a}]\n", "x.yaml:2: an alias (*) stands for this; write the value out"},
	{"data:\n  train:\n    - path: a\n      weight: [1]\n",
		"x.yaml:4: data.train: \"\" is no weight, a number is expected"},
	{"data:\n  val: [{path: a, weight: 1}]\n",
		"x.yaml:2: data.val: weights mean nothing here: every window counts once"},
	{"? [a]\n: 1\n", "x.yaml:1: a name is expected here, not a list or a section"},
	{"model:\n  n_layer: &a 1\n  n_head: *a\n", "x.yaml:2: an alias (*) stands for this; write the value out"},
	{"data:\n  train: &a [*a]\n", "x.yaml:2: an alias (*) stands for this; write the value out"},
	{"model:\n  n_layer: !!int 3\n", "x.yaml:2: tags (!...) are not used in a configuration; write the value alone"},
	{"model:\n  n_layer: '3'\n", "x.yaml:2: model.n_layer: \"3\" is a text; write it without quotes (1 to 4096)"},
	{"model:\n  n_layer:\n", "x.yaml:2: model.n_layer: no value given (1 to 4096)"},
	{"data:\n  val: null\n", "x.yaml:2: data.val: no value given; leave the key out for its default"},
	{"model:\n  n_layer: abc\n", "x.yaml:2: model.n_layer: \"abc\" is not an integer"},
	{"data:\n  train: \"a\\0b\"\n", "x.yaml:2: data.train: the value holds a zero byte"},
};

static void a_wrong_file_names_the_line_and_what_to_do(void **state)
{
	(void)state;
	struct aur_config config, before;
	aur_config_defaults(&before);
	for (size_t i = 0; i < sizeof wrong_files / sizeof wrong_files[0]; i++) {
		assert_int_equal(parse(wrong_files[i].text, &config), AUR_USAGE);
		assert_message_is(wrong_files[i].text, wrong_files[i].message);
		assert_memory_equal(&config, &before, sizeof config);
	}
}

static const struct wrong wrong_overrides[] = {
	{"--train.batch_size=0", "train.batch_size: 0 is out of range (1 to 1048576)"},
	{"train.batch_size=-3", "train.batch_size: -3 is out of range (1 to 1048576)"},
	{"train.batch_size=1e30", "train.batch_size: 1e30 is out of range (1 to 1048576)"},
	{"train.batch_size=99999999999999999999", "train.batch_size: 99999999999999999999 is out of range (1 to 1048576)"},
	{"train.batch_size=8x", "train.batch_size: \"8x\" is not an integer"},
	{"train.batch_size=0x10", "train.batch_size: \"0x10\" is not an integer"},
	{"train.batch_size=1.5", "train.batch_size: \"1.5\" is not an integer"},
	{"train.batch_size= 8", "train.batch_size: \" 8\" is not an integer"},
	{"train.batch_size=", "train.batch_size: no value given (1 to 1048576)"},
	{"train.steps=-1", "train.steps: -1 is out of range (0 or more)"},
	{"train.learning_rate=nan", "train.learning_rate: \"nan\" is not a number"},
	{"train.learning_rate=inf", "train.learning_rate: \"inf\" is not a number"},
	{"train.learning_rate=1e999", "train.learning_rate: 1e999 is out of range (0 or more)"},
	{"train.learning_rate=1e", "train.learning_rate: \"1e\" is not a number"},
	{"train.learning_rate=-1", "train.learning_rate: -1 is out of range (0 or more)"},
	{"train.beta1=1", "train.beta1: 1 is out of range (0 or more, less than 1)"},
	{"train.epsilon=0", "train.epsilon: 0 is out of range (more than 0)"},
	{"model.dropout=1", "model.dropout: 1 is out of range (0 or more, less than 1)"},
	{"model.mlp_ratio=65", "model.mlp_ratio: 65 is out of range (more than 0, at most 64)"},
	{"model.bias=yes", "model.bias: \"yes\" is neither true nor false"},
	{"model.bias=1", "model.bias: \"1\" is neither true nor false"},
	{"train.schedule=cosin",
		"train.schedule: \"cosin\" is not one of its values: constant, linear, cosine, wsd; did you mean "
		"cosine?"},
	{"train.schedule=Q", "train.schedule: \"Q\" is not one of its values: constant, linear, cosine, wsd"},
	{"train.sample_prompt=\xc3\x28", "train.sample_prompt: the text is not UTF-8"},
	{"train.sample_prompt=\xed\xa0\x80", "train.sample_prompt: the text is not UTF-8"},
	{"--train.learnin_rate=1", "unknown key train.learnin_rate; did you mean train.learning_rate?"},
	{"--train.steps", "--train.steps: a value is missing, write --train.steps=VALUE"},
	{"--batch_size=8", "--batch_size: a key needs its section, write --train.batch_size=..."},
	{"--frobnicate=8", "--frobnicate: unknown option; a key is written --section.key=value"},
	{"=8", "=8: an override is written --section.key=value"},
	{"parallel.tensor=2", "parallel.tensor: reserved for a later version, this one does not know it"},
};

static void a_wrong_override_says_what_would_do(void **state)
{
	(void)state;
	struct aur_config config, before;
	aur_config_defaults(&before);
	for (size_t i = 0; i < sizeof wrong_overrides / sizeof wrong_overrides[0]; i++) {
		aur_config_defaults(&config);
		assert_int_equal(aur_config_override(&config, wrong_overrides[i].text), AUR_USAGE);
		assert_message_is(wrong_overrides[i].text, wrong_overrides[i].message);
		assert_memory_equal(&config, &before, sizeof config);
	}
}

static void the_last_of_two_overrides_wins(void **state)
{
	(void)state;
	struct aur_config config = complete();
	set(&config, "--train.batch_size=8");
	set(&config, "train.batch_size=16");
	set(&config, "--train.sample_prompt=x=y");
	set(&config, "train.seed=9223372036854775807");
	assert_int_equal(config.train.batch_size, 16);
	assert_string_equal(config.train.sample_prompt, "x=y");
	assert_int_equal(config.train.seed, INT64_MAX);
}

/* A file gives steps, the command line epochs: the command line is meant. */
static void an_overridden_length_replaces_the_others(void **state)
{
	(void)state;
	struct aur_config config = complete();
	set(&config, "train.epochs=2");
	assert_int_equal(config.train.steps, 0);
	assert_true(config.train.epochs == 2.0);
	set(&config, "train.tokens=500");
	assert_true(config.train.epochs == 0.0);
	set(&config, "train.steps=0");
	assert_int_equal(config.train.tokens, 500);
	assert_int_equal(aur_config_finish(&config), AUR_OK);
}

static void values_too_long_or_files_too_large_are_refused(void **state)
{
	(void)state;
	struct aur_config config = complete();
	char *large = calloc(1, (2 << 20) + 1);
	assert_non_null(large);
	memset(large, 'a', 2 << 20);
	memcpy(large, "train.sample_prompt=", 20);
	assert_int_equal(aur_config_override(&config, large), AUR_USAGE);
	large[20 + AUR_TEXT_VALUE] = '\0';
	assert_int_equal(aur_config_override(&config, large), AUR_USAGE);
	assert_message_is("long", "train.sample_prompt: the value has 4096 bytes, at most 4095 are taken");
	large[20 + AUR_TEXT_VALUE - 1] = '\0';
	assert_int_equal(aur_config_override(&config, large), AUR_OK);
	memset(large, '#', 2 << 20);
	assert_int_equal(aur_config_parse("x.yaml", large, 2 << 20, &config), AUR_USAGE);
	assert_message_is("large", "x.yaml: more than 1 MiB, which is no configuration");
	/* Nesting must not reach the stack's end. */
	memset(large, '[', 1 << 20);
	assert_int_equal(aur_config_parse("x.yaml", large, 1 << 20, &config), AUR_USAGE);
	assert_message_is("[[[", "x.yaml:1: nested too deep for a configuration");
	for (size_t i = 0; i < 1 << 20; i++)
		large[i] = "- "[i % 2];
	assert_int_equal(aur_config_parse("x.yaml", large, 1 << 20, &config), AUR_USAGE);
	assert_message_is("- - -", "x.yaml:1: nested too deep for a configuration");
	free(large);
}

static const struct wrong unfit[] = {
	{"train.steps=0",
		"train.steps: the length of the run is not given; set one of train.steps, train.epochs and train.tokens"},
	{"model.n_head=7", "model.n_embd: 384 is not divisible by n_head 7; 378 and 385 are"},
	{"model.n_head=400", "model.n_head: 400 heads need n_embd of at least 400, it is 384"},
	{"train.micro_batch_size=48", "train.micro_batch_size: 48 does not divide train.batch_size 64; 32 does, 0 chooses"},
	{"train.micro_batch_size=65", "train.micro_batch_size: 65 does not divide train.batch_size 64; 64 does, 0 chooses"},
	{"train.warmup_steps=1001", "train.warmup_steps: 1001 is more than train.steps 1000; use 0 to 1000"},
	{"train.min_learning_rate=1", "train.min_learning_rate: 1 is above train.learning_rate 0.0003"},
};

static void values_that_do_not_fit_each_other_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
		struct aur_config config = complete();
		set(&config, unfit[i].text);
		assert_int_equal(aur_config_finish(&config), AUR_USAGE);
		assert_message_is(unfit[i].text, unfit[i].message);
	}
	struct aur_config config = complete();
	config.train.epochs = 2;
	assert_int_equal(aur_config_finish(&config), AUR_USAGE);
	assert_message_is(
		"epochs", "train.steps is 1000, train.epochs 2, train.tokens 0: only one may be given; set the others to 0");
	config = complete();
	config.train.warmup_steps = 500;
	config.train.decay_steps = 400;
	assert_int_equal(aur_config_finish(&config), AUR_USAGE);
	assert_message_is("decay",
		"train.decay_steps: 400 is less than train.warmup_steps 500; use at least that, or 0 for the "
		"length of the run");
	config = complete();
	config.model.n_embd = 6;
	config.model.mlp_ratio = 2.25;
	assert_int_equal(aur_config_finish(&config), AUR_USAGE);
	assert_non_null(strstr(aur_error_message(), "model.mlp_ratio: 2.25 times n_embd 6 is no whole number of units"));
	config.model.kind = AUR_MODEL_BIGRAM;
	assert_int_equal(aur_config_finish(&config), AUR_OK);
}

/* batch, micro given, exact_ranks -> micro, leaves. The default depends on the batch alone. */
static void micro_batches_and_leaves_follow_from_the_batch(void **state)
{
	(void)state;
	static const int64_t cases[][5] = {
		{64, 0, 8, 8, 8},
		{12, 0, 8, 3, 4},
		{7, 0, 8, 7, 1},
		{1, 0, 8, 1, 1},
		{512, 16, 8, 16, 8},
		{512, 16, 64, 16, 32},
		{12, 1, 8, 1, 4},
		{64, 8, 3, 8, 2},
		{64, 8, 1, 8, 1},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct aur_config config = complete();
		config.train.batch_size = cases[i][0];
		config.train.micro_batch_size = cases[i][1];
		config.train.exact_ranks = cases[i][2];
		assert_int_equal(aur_config_finish(&config), AUR_OK);
		assert_int_equal(config.train.micro_batch_size, cases[i][3]);
		assert_int_equal(aur_config_leaves(&config), cases[i][4]);
		/* Left to the length of the run, so that a longer resume decays over all of it. */
		assert_int_equal(config.train.decay_steps, 0);
	}
}

static void a_missing_or_odd_file_is_a_wrong_command_line(void **state)
{
	(void)state;
	struct aur_config config = complete();
	assert_int_equal(aur_config_read("/nonexistent/x.yaml", &config), AUR_USAGE);
	assert_message_is("missing", "/nonexistent/x.yaml: cannot read the configuration: No such file or directory");
	assert_int_equal(aur_config_read("/", &config), AUR_USAGE);
	assert_message_is("folder", "/: not a regular file; a configuration is a YAML file");
	assert_int_equal(aur_config_read("/dev/zero", &config), AUR_USAGE);
}

/* Waiting for a writer would hang the job. */
static void a_fifo_is_refused_and_not_waited_for(void **state)
{
	(void)state;
	struct aur_config config = complete();
	char folder[] = "/tmp/aurelius-config-XXXXXX", path[64];
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	const aur_status status = aur_config_read(path, &config);
	unlink(path);
	rmdir(folder);
	assert_int_equal(status, AUR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_read_over_what_is_there),
		cmocka_unit_test(a_list_of_files_is_joined_with_commas),
		cmocka_unit_test(a_grid_is_read_as_overrides),
		cmocka_unit_test(wrong_grids_are_refused_with_their_line),
		cmocka_unit_test(lists_of_files_read_back_as_they_were),
		cmocka_unit_test(a_mixture_is_written_as_a_list),
		cmocka_unit_test(a_wrong_file_names_the_line_and_what_to_do),
		cmocka_unit_test(a_wrong_override_says_what_would_do),
		cmocka_unit_test(the_last_of_two_overrides_wins),
		cmocka_unit_test(an_overridden_length_replaces_the_others),
		cmocka_unit_test(values_too_long_or_files_too_large_are_refused),
		cmocka_unit_test(values_that_do_not_fit_each_other_are_refused),
		cmocka_unit_test(micro_batches_and_leaves_follow_from_the_batch),
		cmocka_unit_test(a_missing_or_odd_file_is_a_wrong_command_line),
		cmocka_unit_test(a_fifo_is_refused_and_not_waited_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
