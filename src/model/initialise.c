#include "internal.h"

#include "core/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* How a tensor begins: normal(0, spread), uniform in [-spread, spread), or all `value`. */
enum distribution { CONSTANT, NORMAL, UNIFORM };

struct beginning {
	enum distribution distribution;
	double spread;
	float value;
};

static int ends_with(const char *name, const char *end)
{
	const size_t length = strlen(name);
	const size_t tail = strlen(end);
	return length >= tail && strcmp(name + length - tail, end) == 0;
}

static struct beginning begin_gpt2(const struct aur_model *model, const struct aur_parameter *parameter)
{
	const double spread = 0.02;
	switch (parameter->role) {
	case AUR_ROLE_NORM_WEIGHT:
		return (struct beginning){CONSTANT, 0, 1};
	case AUR_ROLE_BIAS:
	case AUR_ROLE_NORM_BIAS:
		return (struct beginning){CONSTANT, 0, 0};
	case AUR_ROLE_WEIGHT:
		/* 2 n_layer branches add up in the stream: their projections begin smaller, so that its variance does not
		 * grow with the depth. */
		if (ends_with(parameter->name, "c_proj.weight"))
			return (struct beginning){NORMAL, spread / sqrt(2.0 * (double)model->config.n_layer), 0};
		break;
	case AUR_ROLE_EMBEDDING:
		break;
	}
	return (struct beginning){NORMAL, spread, 0};
}

/* The width that a linear layer reads. A tied head has no weight of its own and reads n_embd. */
static int64_t fan_in(const struct aur_model *model, const struct aur_parameter *parameter)
{
	if (parameter->role == AUR_ROLE_WEIGHT)
		return parameter->shape[1];
	char name[AUR_PARAMETER_NAME + sizeof "weight"];
	const int stem = (int)(strlen(parameter->name) - strlen("bias"));
	snprintf(name, sizeof name, "%.*sweight", stem, parameter->name);
	const struct aur_parameter *weight = aur_parameters_find(&model->parameters, name);
	return weight ? weight->shape[1] : model->config.n_embd;
}

static struct beginning begin_pytorch(const struct aur_model *model, const struct aur_parameter *parameter)
{
	switch (parameter->role) {
	case AUR_ROLE_NORM_WEIGHT:
		return (struct beginning){CONSTANT, 0, 1};
	case AUR_ROLE_NORM_BIAS:
		return (struct beginning){CONSTANT, 0, 0};
	case AUR_ROLE_WEIGHT:
	case AUR_ROLE_BIAS:
		return (struct beginning){UNIFORM, 1.0 / sqrt((double)fan_in(model, parameter)), 0};
	case AUR_ROLE_EMBEDDING:
		break;
	}
	return (struct beginning){NORMAL, 1, 0};
}

/* Pair i of a tensor's numbers. The tensor's index takes the bits of layer and head, the pair's those of the element;
 * what exceeds 32 bits of it goes on in the sample number. */
static void draw_pair(uint64_t seed, uint32_t stream, uint64_t pair, const struct beginning *beginning, double out[2])
{
	const struct aur_random4 random = aur_philox(seed, (uint32_t)pair, stream, pair >> 32);
	if (beginning->distribution == NORMAL) {
		aur_normal2(random, out);
		out[0] *= beginning->spread;
		out[1] *= beginning->spread;
		return;
	}
	out[0] = (2 * aur_uniform(random.v[0], random.v[1]) - 1) * beginning->spread;
	out[1] = (2 * aur_uniform(random.v[2], random.v[3]) - 1) * beginning->spread;
}

static void fill(float *weights, int64_t count, float value)
{
	for (int64_t i = 0; i < count; i++)
		weights[i] = value;
}

static void draw(float *weights, int64_t count, uint64_t seed, uint32_t stream, const struct beginning *beginning)
{
#pragma omp parallel for schedule(static)
	for (int64_t pair = 0; pair < (count + 1) / 2; pair++) {
		double value[2];
		draw_pair(seed, stream, (uint64_t)pair, beginning, value);
		weights[2 * pair] = (float)value[0];
		if (2 * pair + 1 < count)
			weights[2 * pair + 1] = (float)value[1];
	}
}

void aur_model_initialise(const struct aur_model *model, uint64_t seed, float *weights)
{
	const struct aur_parameters *parameters = &model->parameters;
	memset(weights, 0, (size_t)parameters->count * sizeof *weights);
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *parameter = &parameters->items[i];
		const struct beginning beginning =
			model->config.pytorch_init ? begin_pytorch(model, parameter) : begin_gpt2(model, parameter);
		/* `layer` has 12 bits of the stream and `head` the next 12. */
		const uint32_t stream = aur_rng_stream(AUR_SITE_INIT, (uint32_t)(i & 0xfff), (uint32_t)(i >> 12));
		if (beginning.distribution == CONSTANT)
			fill(weights + parameter->offset, parameter->count, beginning.value);
		else
			draw(weights + parameter->offset, parameter->count, seed, stream, &beginning);
	}
}
