#include "bench.h"

#include <stdarg.h>
#include <stdio.h>

/* configs/gpt2-124m.yaml and configs/shakespeare-char-cpu.yaml. A slice of 20 million parameters stands for the 124
 * million: both are far larger than any cache. */
static const struct bench_model models[] = {
	{
		.set = BENCH_GPT2_124M,
		.name = "gpt2-124m",
		.extents = {{4, 256}, {1, 1024}},
		.n_extents = 2,
		.width = 768,
		.heads = 12,
		.mlp_width = 3072,
		.vocabulary = 50257,
		.parameters = 124439808,
		.slice = 20000000,
		.bias = 1,
		.kind = AUR_GELU_TANH,
	},
	{
		.set = BENCH_SHAKESPEARE,
		.name = "shakespeare-char-cpu",
		.extents = {{12, 64}},
		.n_extents = 1,
		.width = 128,
		.heads = 4,
		.mlp_width = 512,
		.vocabulary = 65,
		.parameters = 804096,
		.slice = 804096,
		.kind = AUR_GELU,
	},
};
enum { MODELS = sizeof models / sizeof *models };

const char *bench_set_name(enum bench_set set)
{
	for (int i = 0; i < MODELS; i++)
		if (models[i].set == set)
			return models[i].name;
	return "all";
}

void bench_add(struct bench_suite *suite, const struct bench_case *filled, const char *format, ...)
{
	if (suite->n_cases == BENCH_CASES)
		return;
	struct bench_case *added = &suite->cases[suite->n_cases++];
	va_list arguments;
	*added = *filled;
	va_start(arguments, format);
	vsnprintf(added->label, sizeof added->label, format, arguments);
	va_end(arguments);
}

void bench_suite_fill(struct bench_suite *suite)
{
	static void (*const families[])(struct bench_suite *, const struct bench_model *) = {bench_add_embedding,
		bench_add_norm, bench_add_linear, bench_add_activation, bench_add_attention, bench_add_loss,
		bench_add_parameters, bench_add_memory};
	suite->n_cases = 0;
	for (int i = 0; i < MODELS; i++)
		for (size_t j = 0; j < sizeof families / sizeof *families; j++)
			families[j](suite, &models[i]);
}
