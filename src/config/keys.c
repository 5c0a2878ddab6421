#include "keys.h"

#include <math.h>
#include <string.h>

/* A row whose macro does not fit the member's type does not compile: _Generic has no other case. */
#define AT(type, section, name)                                                                                        \
	_Generic(((struct aur_config *)0)->section.name, type : offsetof(struct aur_config, section.name))
#define ROW(kind_, type, section_, name_, fallback_)                                                                   \
	.section = #section_, .name = #name_, .kind = kind_, .offset = AT(type, section_, name_), .fallback = fallback_

#define INTEGER(section, name, fallback) ROW(AUR_KEY_INTEGER, int64_t, section, name, fallback)
#define NUMBER(section, name, fallback) ROW(AUR_KEY_NUMBER, double, section, name, fallback)
#define SWITCH(section, name, fallback) ROW(AUR_KEY_SWITCH, int, section, name, fallback), .values = "true, false"
#define CHOICE(section, name, fallback, words) ROW(AUR_KEY_CHOICE, int, section, name, fallback), .values = words
#define TEXT(section, name, fallback, words) ROW(AUR_KEY_TEXT, char *, section, name, fallback), .values = words

#define BETWEEN(a, b) .low = a, .high = b, .values = #a " to " #b
#define AT_LEAST(a) .low = a, .high = INFINITY, .values = #a " or more"
#define ABOVE(a) .low = a, .above_low = 1, .high = INFINITY, .values = "more than " #a
#define ABOVE_TO(a, b) .low = a, .above_low = 1, .high = b, .values = "more than " #a ", at most " #b
#define BELOW(a, b) .low = a, .high = b, .below_high = 1, .values = #a " or more, less than " #b

#define MAY_CHANGE .may_change = 1
#define FIXED .may_change = 0

/* clang-format off */
const struct aur_key aur_key_table[] = {
	{CHOICE(model, kind, "gpt", "bigram, gpt"), FIXED,
		.meaning = "bigram is a table of next-token logits [V, V]; gpt is a decoder-only transformer"},
	{INTEGER(model, n_layer, "6"), BETWEEN(1, 4096), FIXED,
		.meaning = "transformer blocks"},
	{INTEGER(model, n_head, "6"), BETWEEN(1, 4096), FIXED,
		.meaning = "attention heads of a block; divides n_embd"},
	{INTEGER(model, n_embd, "384"), BETWEEN(1, 65536), FIXED,
		.meaning = "width of the residual stream"},
	{INTEGER(model, block_size, "256"), BETWEEN(1, 1048576), FIXED,
		.meaning = "context: tokens in a training window, and the most a prediction can look back on"},
	{NUMBER(model, mlp_ratio, "4"), ABOVE_TO(0, 64), FIXED,
		.meaning = "width of the MLP divided by n_embd"},
	{CHOICE(model, activation, "gelu_tanh", "relu, gelu, gelu_tanh"), FIXED,
		.meaning = "of the MLP: gelu is exact (erf), gelu_tanh is GPT-2's approximation of it"},
	{CHOICE(model, norm_position, "pre", "pre, post"), FIXED,
		.meaning = "pre: x + f(norm(x)) and a final norm, as GPT-2; post: norm(x + f(x)), as the first transformers"},
	{CHOICE(model, norm, "layernorm", "layernorm"), FIXED,
		.meaning = "kind of normalisation"},
	{SWITCH(model, bias, "true"), FIXED,
		.meaning = "biases of the norms and of all linear layers but Q, K and V"},
	{SWITCH(model, qkv_bias, "true"), FIXED,
		.meaning = "biases of Q, K and V"},
	{SWITCH(model, head_bias, "false"), FIXED,
		.meaning = "a bias on the output logits"},
	{SWITCH(model, tie_embeddings, "true"), FIXED,
		.meaning = "the output head uses the token embedding's weights"},
	{CHOICE(model, attention_scale, "head", "head, n_embd"), FIXED,
		.meaning = "attention scores are multiplied by 1/sqrt(head size) or by 1/sqrt(n_embd)"},
	{NUMBER(model, dropout, "0"), BELOW(0, 1), MAY_CHANGE,
		.meaning = "share of the attention weights and of both branch outputs that is dropped in training"},
	{NUMBER(model, embedding_dropout, "0"), BELOW(0, 1), MAY_CHANGE,
		.meaning = "the same, of the sum of the embeddings"},
	{CHOICE(model, init, "gpt2", "gpt2, pytorch"), FIXED,
		.meaning = "gpt2: normal, deviation 0.02, residual projections divided by sqrt(2 n_layer); pytorch: PyTorch's "
			"defaults"},

	{TEXT(data, train, "", "text, a list of texts, or a list of path and weight"), .list = 1, .weights = 1, MAY_CHANGE,
		.meaning = "datasets made by prepare: files and globs, separated by commas; a mixture where each has a weight, its share "
			"of the samples: `a/*.h5@0.7,b.h5@0.3`, or a list of `- path: a/*.h5` with `weight: 0.7` below it; synthetic "
			"or synthetic:N: random tokens of a vocabulary of 50257 or N, without a file"},
	{TEXT(data, val, "", "text, or a list of texts"), .list = 1, MAY_CHANGE,
		.meaning = "datasets to validate on; empty: the validation part of data.train, of a mixture all of it"},
	{CHOICE(data, order, "shuffle", "shuffle, random, sequential"), FIXED,
		.meaning = "shuffle: every window once an epoch, permuted; random: windows drawn with replacement; sequential: as "
			"they stand"},
	{INTEGER(data, prefetch, "4"), BETWEEN(1, 1024), MAY_CHANGE,
		.meaning = "batches kept ready ahead of the step"},

	{INTEGER(train, steps, "0"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "length of the run in optimizer steps; give exactly one of steps, epochs and tokens (0: not given)"},
	{NUMBER(train, epochs, "0"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "length of the run in passes over the training data; of a mixture: in as many samples as its sources have "
			"windows together (0: not given)"},
	{INTEGER(train, tokens, "0"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "length of the run in training tokens (0: not given)"},
	{INTEGER(train, batch_size, "64"), BETWEEN(1, 1048576), FIXED,
		.meaning = "sequences in a step, over all ranks"},
	{INTEGER(train, micro_batch_size, "0"), BETWEEN(0, 1048576), FIXED,
		.meaning = "sequences computed at once; divides batch_size; 0: batch_size divided by the largest power of two up to "
			"8 that divides it"},
	{NUMBER(train, learning_rate, "3e-4"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "the highest learning rate, reached after the warm-up"},
	{NUMBER(train, min_learning_rate, "0"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "where the schedule ends; at most learning_rate"},
	{CHOICE(train, schedule, "cosine", "constant, linear, cosine, wsd"), MAY_CHANGE,
		.meaning = "how the learning rate falls after the warm-up; wsd stays constant and falls at the end"},
	{INTEGER(train, warmup_steps, "0"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "steps over which the learning rate rises from 0"},
	{INTEGER(train, decay_steps, "0"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "step at which the schedule reaches min_learning_rate; 0: the length of the run"},
	{NUMBER(train, weight_decay, "0.1"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "AdamW's decoupled weight decay"},
	{CHOICE(train, decay, "matrices", "matrices, all"), MAY_CHANGE,
		.meaning = "which tensors decay: matrices and embeddings, or biases and norms too"},
	{NUMBER(train, beta1, "0.9"), BELOW(0, 1), MAY_CHANGE,
		.meaning = "AdamW: decay of the mean of the gradients"},
	{NUMBER(train, beta2, "0.95"), BELOW(0, 1), MAY_CHANGE,
		.meaning = "AdamW: decay of the mean of their squares"},
	{NUMBER(train, epsilon, "1e-8"), ABOVE(0), MAY_CHANGE,
		.meaning = "AdamW: added to the root of that mean"},
	{NUMBER(train, grad_clip, "1"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "gradients of a greater global norm are scaled down to it; 0: never"},
	{INTEGER(train, seed, "1337"), AT_LEAST(0), FIXED,
		.meaning = "of all random numbers: initial weights, order of the data, dropout"},
	{CHOICE(train, reduction, "exact", "exact, fast"), MAY_CHANGE,
		.meaning = "how gradients are summed over ranks; exact gives the same bits on any number of ranks"},
	{INTEGER(train, exact_ranks, "8"), BETWEEN(1, 1024), FIXED,
		.meaning = "the most ranks that exact reduction is laid out for"},
	{INTEGER(train, log_interval, "10"), AT_LEAST(1), MAY_CHANGE,
		.meaning = "steps between log lines"},
	{INTEGER(train, eval_interval, "250"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "steps between evaluations; 0: at the end only"},
	{INTEGER(train, eval_windows, "0"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "windows evaluated in each split; 0: all validation windows, and as many of the training part"},
	{CHOICE(train, eval_ranks, "all", "all, zero"), MAY_CHANGE,
		.meaning = "who computes evaluations: all ranks a share, or rank 0 alone; the number is the same"},
	{INTEGER(train, checkpoint_interval, "500"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "steps between checkpoints; 0: at the end only"},
	{INTEGER(train, keep_checkpoints, "3"), AT_LEAST(1), MAY_CHANGE,
		.meaning = "newest checkpoints that are kept, besides the best"},
	{CHOICE(train, on_save_error, "stop", "stop, continue"), MAY_CHANGE,
		.meaning = "what a run does when a checkpoint cannot be written"},
	{INTEGER(train, sample_interval, "0"), AT_LEAST(0), MAY_CHANGE,
		.meaning = "steps between texts generated while training; 0: none"},
	{TEXT(train, sample_prompt, "", "text"), MAY_CHANGE,
		.meaning = "what these texts begin with"},

	{CHOICE(system, backend, "auto", "auto, cpu, cuda"), MAY_CHANGE,
		.meaning = "where the model is computed"},
	{CHOICE(system, precision, "fp32", "fp32, tf32, bf16"), MAY_CHANGE,
		.meaning = "of the matrix products and activations; weights and their sums are fp32 always. tf32 is fp32 whose products "
			"round their operands to 10 bits, on a GPU. Where the processor has no instructions for tf32 or bf16, a "
			"message says so and it is fp32; a bigram is fp32 always"},
	{INTEGER(system, threads, "0"), BETWEEN(0, 4096), MAY_CHANGE,
		.meaning = "CPU threads of a rank; 0: cores of the node divided by its ranks"},
	{INTEGER(system, lanes, "0"), BETWEEN(0, 64), MAY_CHANGE,
		.meaning = "most parts of a rank's batch that its threads compute beside each other on a CPU, each with its own "
			"activations and gradient buffers; 1: all threads share every operation; 0: as many as threads where "
			"operations are short and the buffers small. Any number gives the same bits"},
	{CHOICE(system, recompute, "none", "none, light, block"), MAY_CHANGE,
		.meaning = "what the backward pass computes again instead of keeping it in memory, with the same bits. light: the "
			"outputs of the activations and, in fp32, of the norms; block: all of a block but its input"},
	{SWITCH(system, share_gpu, "false"), MAY_CHANGE,
		.meaning = "several ranks may use one GPU"},
	{NUMBER(system, allreduce_bucket_mb, "25"), ABOVE_TO(0, 4096), MAY_CHANGE,
		.meaning = "size of the pieces in which fast reduction sends gradients, in MiB"},
};
/* clang-format on */
const int64_t aur_key_count = (int64_t)(sizeof aur_key_table / sizeof aur_key_table[0]);
const char *const aur_key_sections[AUR_KEY_SECTIONS + 1] = {"model", "data", "train", "system", NULL};

static const char *const type_names[] = {
	[AUR_KEY_INTEGER] = "integer",
	[AUR_KEY_NUMBER] = "number",
	[AUR_KEY_SWITCH] = "switch",
	[AUR_KEY_CHOICE] = "choice",
	[AUR_KEY_TEXT] = "text",
};

int64_t aur_config_keys(void)
{
	return aur_key_count;
}

struct aur_config_key aur_config_key_at(int64_t index)
{
	const struct aur_key *key = &aur_key_table[index];
	return (struct aur_config_key){
		.section = key->section,
		.name = key->name,
		.type = type_names[key->kind],
		.values = key->values,
		.fallback = key->fallback,
		.meaning = key->meaning,
		.may_change = key->may_change,
	};
}

/* The table's defaults are legal values, which a test checks key by key; so nothing can fail here. */
void aur_config_defaults(struct aur_config *config)
{
	memset(config, 0, sizeof *config);
	for (int64_t i = 0; i < aur_key_count; i++)
		(void)aur_key_set(&aur_key_table[i], config, aur_key_table[i].fallback, strlen(aur_key_table[i].fallback));
}
