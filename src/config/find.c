#include "keys.h"

#include "core/suggest.h"

#include <stdio.h>
#include <string.h>

enum { MOST_KEYS = 128, NAME_BYTES = 64 };

struct pair {
	const char *is, *means;
};

static const char *const reserved[] = {"n_kv_head", "head_dim", "mlp_hidden", "position"};

/* What a run is started with, and no part of what it is. */
static const char *const command_options[] = {"config", "run", "resume", "from", "stop_at", "max_minutes"};

/* What the same things are called in nanoGPT, llm.c and Hugging Face. */
static const struct pair other_names[] = {
	{"max_iters", "train.steps"},
	{"max_steps", "train.steps"},
	{"num_train_epochs", "train.epochs"},
	{"lr", "train.learning_rate"},
	{"min_lr", "train.min_learning_rate"},
	{"warmup_iters", "train.warmup_steps"},
	{"lr_decay_iters", "train.decay_steps"},
	{"lr_scheduler_type", "train.schedule"},
	{"gradient_accumulation_steps", "train.micro_batch_size"},
	{"adam_beta1", "train.beta1"},
	{"adam_beta2", "train.beta2"},
	{"eps", "train.epsilon"},
	{"max_grad_norm", "train.grad_clip"},
	{"eval_iters", "train.eval_windows"},
	{"n_ctx", "model.block_size"},
	{"n_positions", "model.block_size"},
	{"max_seq_len", "model.block_size"},
	{"hidden_size", "model.n_embd"},
	{"d_model", "model.n_embd"},
	{"num_hidden_layers", "model.n_layer"},
	{"num_attention_heads", "model.n_head"},
	{"activation_function", "model.activation"},
	{"dtype", "system.precision"},
	{"device", "system.backend"},
	{"dataset", "data.train"},
};

const struct aur_key *aur_key_find(const char *section, const char *name)
{
	for (int64_t i = 0; i < aur_key_count; i++)
		if (strcmp(aur_key_table[i].section, section) == 0 && strcmp(aur_key_table[i].name, name) == 0)
			return &aur_key_table[i];
	return NULL;
}

static int is_one_of(const char *word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(word, words[i]) == 0)
			return 1;
	return 0;
}

static const char *other_name(const char *name)
{
	for (size_t i = 0; i < sizeof other_names / sizeof other_names[0]; i++)
		if (strcmp(name, other_names[i].is) == 0)
			return other_names[i].means;
	return NULL;
}

/* The key whose bare name is nearest, among those of `section`, or of all where it is NULL. */
static const struct aur_key *nearest(const char *section, const char *name)
{
	const char *names[MOST_KEYS] = {NULL};
	const struct aur_key *keys[MOST_KEYS];
	int64_t n = 0;
	for (int64_t i = 0; i < aur_key_count && n < MOST_KEYS; i++)
		if (!section || strcmp(aur_key_table[i].section, section) == 0) {
			keys[n] = &aur_key_table[i];
			names[n++] = aur_key_table[i].name;
		}
	const char *found = aur_suggest(name, names, n);
	for (int64_t i = 0; found && i < n; i++)
		if (strcmp(names[i], found) == 0)
			return keys[i];
	return NULL;
}

static const struct aur_key *same_name(const char *name)
{
	for (int64_t i = 0; i < aur_key_count; i++)
		if (strcmp(aur_key_table[i].name, name) == 0)
			return &aur_key_table[i];
	return NULL;
}

/* The right name under a wrong section first, then what others call it, then a slip of the pen under the section given,
 * then one under any. Empty where nothing is near. */
static void suggestion(const char *section, const char *name, char full[NAME_BYTES])
{
	const struct aur_key *key = same_name(name);
	const char *other = key ? NULL : other_name(name);
	key = key || other ? key : nearest(section, name);
	key = key || other ? key : nearest(NULL, name);
	full[0] = '\0';
	if (other)
		snprintf(full, NAME_BYTES, "%s", other);
	else if (key)
		snprintf(full, NAME_BYTES, "%s.%s", key->section, key->name);
}

static aur_status option_of_the_command(const char *full, const char *name)
{
	char option[NAME_BYTES];
	snprintf(option, sizeof option, "%s", name);
	for (char *c = option; *c; c++)
		if (*c == '_')
			*c = '-';
	return aur_fail(
		AUR_USAGE, "%s: not a key but an option of the command, write: aurelius train --%s ...", full, option);
}

/* `name` with underscores for dashes. */
static void underscored(const char *name, char plain[NAME_BYTES])
{
	snprintf(plain, NAME_BYTES, "%s", name);
	for (char *c = plain; *c; c++)
		if (*c == '-')
			*c = '_';
}

aur_status aur_key_unknown(const char *section, const char *name)
{
	char plain[NAME_BYTES], full[2 * NAME_BYTES], near[NAME_BYTES];
	snprintf(full, sizeof full, "%.*s.%.*s", NAME_BYTES - 1, section, NAME_BYTES - 1, name);
	underscored(name, plain);
	if (strcmp(section, "parallel") == 0 || is_one_of(plain, reserved, sizeof reserved / sizeof reserved[0]))
		return aur_fail(AUR_USAGE, "%s: reserved for a later version, this one does not know it", full);
	if (is_one_of(plain, command_options, sizeof command_options / sizeof command_options[0]))
		return option_of_the_command(full, plain);
	if (strcmp(plain, "data") == 0)
		return aur_fail(AUR_USAGE, "%s: not a key; name the dataset by data.train or by the option --data", full);
	suggestion(section, plain, near);
	if (!near[0])
		return aur_fail(AUR_USAGE, "unknown key %s; docs/configuration.md lists the keys", full);
	return aur_fail(AUR_USAGE, "unknown key %s; did you mean %s?", full, near);
}

aur_status aur_key_unknown_section(const char *name)
{
	char plain[NAME_BYTES], near[NAME_BYTES];
	underscored(name, plain);
	if (strcmp(plain, "parallel") == 0)
		return aur_fail(AUR_USAGE, "section parallel: reserved for a later version, this one does not know it");
	if (is_one_of(plain, command_options, sizeof command_options / sizeof command_options[0]))
		return option_of_the_command(plain, plain);
	if (strchr(name, '.'))
		return aur_fail(AUR_USAGE,
			"%.*s: in a file the section and the key stand on lines of their own, \"%.*s:\" and, "
			"indented, \"%.*s: ...\"",
			NAME_BYTES, name, (int)strcspn(name, "."), name, NAME_BYTES, strchr(name, '.') + 1);
	const char *section = aur_suggest(name, aur_key_sections, AUR_KEY_SECTIONS);
	if (section)
		return aur_fail(AUR_USAGE, "unknown section %.*s; did you mean %s?", NAME_BYTES, name, section);
	suggestion("", plain, near);
	if (near[0])
		return aur_fail(AUR_USAGE,
			"unknown section %.*s; did you mean the key %s? Keys stand indented under their section", NAME_BYTES, name,
			near);
	return aur_fail(AUR_USAGE, "unknown section %.*s (model, data, train, system)", NAME_BYTES, name);
}
