#include "keys.h"

#include <math.h>

/* What this program can do, by choice: one bit for each enum value built in, and what to write instead of the others.
 */
struct built_in {
	const char *section, *name;
	unsigned values;
	const char *instead;
};

static const struct built_in built_ins[] = {
	{"system", "precision", 1u << AUR_PRECISION_FP32 | 1u << AUR_PRECISION_BF16, "fp32 or bf16"},
};

static aur_status check_built_in(const struct aur_config *config)
{
	char value[AUR_TEXT_VALUE];
	const int chosen[] = {config->system.precision};
	for (size_t i = 0; i < sizeof built_ins / sizeof built_ins[0]; i++) {
		const struct built_in *is = &built_ins[i];
		if (is->values >> chosen[i] & 1u)
			continue;
		aur_key_text(aur_key_find(is->section, is->name), config, value);
		return aur_fail(
			AUR_USAGE, "%s.%s: this program was built without %s; use %s", is->section, is->name, value, is->instead);
	}
	return AUR_OK;
}

static aur_status check_model(const struct aur_config *config)
{
	if (config->model.kind != AUR_MODEL_GPT)
		return AUR_OK;
	const int64_t width = config->model.n_embd, heads = config->model.n_head;
	if (width % heads != 0) {
		const int64_t below = width / heads * heads;
		if (below == 0)
			return aur_fail(AUR_USAGE, "model.n_head: %lld heads need n_embd of at least %lld, it is %lld",
				(long long)heads, (long long)heads, (long long)width);
		return aur_fail(AUR_USAGE, "model.n_embd: %lld is not divisible by n_head %lld; %lld and %lld are",
			(long long)width, (long long)heads, (long long)below, (long long)(below + heads));
	}
	/* A ratio such as 2.6667 is meant to be rounded; one that gives half a unit is a slip. */
	const double units = config->model.mlp_ratio * (double)width;
	if (units < 0.5 || fabs(units - round(units)) > 0.1)
		return aur_fail(AUR_USAGE,
			"model.mlp_ratio: %g times n_embd %lld is no whole number of units; %.17g gives %.0f",
			config->model.mlp_ratio, (long long)width, fmax(1.0, round(units)) / (double)width,
			fmax(1.0, round(units)));
	return AUR_OK;
}

static aur_status check_length(const struct aur_config *config)
{
	const int given = (config->train.steps > 0) + (config->train.epochs > 0.0) + (config->train.tokens > 0);
	if (given == 0)
		return aur_fail(AUR_USAGE,
			"train.steps: the length of the run is not given; set one of train.steps, train.epochs "
			"and train.tokens");
	if (given > 1)
		return aur_fail(AUR_USAGE,
			"train.steps is %lld, train.epochs %g, train.tokens %lld: only one may be given; set the "
			"others to 0",
			(long long)config->train.steps, config->train.epochs, (long long)config->train.tokens);
	return AUR_OK;
}

static aur_status check_schedule(const struct aur_config *config)
{
	const int64_t steps = config->train.steps, warmup = config->train.warmup_steps, decay = config->train.decay_steps;
	if (config->train.min_learning_rate > config->train.learning_rate)
		return aur_fail(AUR_USAGE, "train.min_learning_rate: %g is above train.learning_rate %g",
			config->train.min_learning_rate, config->train.learning_rate);
	if (steps > 0 && warmup > steps)
		return aur_fail(AUR_USAGE, "train.warmup_steps: %lld is more than train.steps %lld; use 0 to %lld",
			(long long)warmup, (long long)steps, (long long)steps);
	if (decay > 0 && warmup > decay)
		return aur_fail(AUR_USAGE,
			"train.decay_steps: %lld is less than train.warmup_steps %lld; use at least that, or 0 for "
			"the length of the run",
			(long long)decay, (long long)warmup);
	return AUR_OK;
}

static int64_t power_of_two_dividing(int64_t number, int64_t most)
{
	int64_t power = 1;
	while (2 * power <= most && number % (2 * power) == 0)
		power *= 2;
	return power;
}

static aur_status resolve_batch(struct aur_config *config)
{
	const int64_t batch = config->train.batch_size;
	if (config->train.micro_batch_size == 0)
		config->train.micro_batch_size = batch / power_of_two_dividing(batch, 8);
	const int64_t micro = config->train.micro_batch_size;
	if (batch % micro == 0)
		return AUR_OK;
	int64_t near = micro < batch ? micro : batch;
	while (batch % near != 0)
		near--;
	return aur_fail(AUR_USAGE,
		"train.micro_batch_size: %lld does not divide train.batch_size %lld; %lld does, 0 chooses", (long long)micro,
		(long long)batch, (long long)near);
}

aur_status aur_config_finish(struct aur_config *config)
{
	AUR_TRY(check_built_in(config));
	AUR_TRY(check_model(config));
	AUR_TRY(check_length(config));
	AUR_TRY(resolve_batch(config));
	return check_schedule(config);
}

int64_t aur_config_leaves(const struct aur_config *config)
{
	const int64_t micro = config->train.micro_batch_size > 0 ? config->train.micro_batch_size : 1;
	return power_of_two_dividing(config->train.batch_size / micro, config->train.exact_ranks);
}
