#include "internal.h"

#include "core/rng.h"

#include <math.h>
#include <stddef.h>
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

/* Numbers are made in blocks: from random words four a counter, as loops that the compiler vectorises. */
enum { BLOCK = 1024 };

/* Words of block `block` of a tensor: the tensor's index takes the bits of layer and head, the group of four's those of
 * the element; what exceeds 32 bits of it goes on in the sample number. */
static void draw_words(uint64_t seed, uint32_t stream, int64_t block, uint32_t words[BLOCK])
{
	for (int i = 0; i < BLOCK / 4; i++) {
		const uint64_t group = (uint64_t)block * (BLOCK / 4) + (uint64_t)i;
		const struct aur_random4 random = aur_philox(seed, (uint32_t)group, stream, group >> 32);
		memcpy(words + (ptrdiff_t)4 * i, random.v, sizeof random.v);
	}
}

/* log(u) of u in (0, 1]: u = m 2^e with m in [0.70, 1.41), and log(m) = 2 artanh(s) with s = (m - 1) / (m + 1), whose
 * series ends after s^9: what is left out is below 2e-9. */
static inline float log_of(float u)
{
	uint32_t bits;
	memcpy(&bits, &u, sizeof bits);
	const int32_t exponent = ((int32_t)bits - 0x3f330000) >> 23;
	bits -= (uint32_t)exponent << 23;
	float m;
	memcpy(&m, &bits, sizeof m);
	const float s = (m - 1.0f) / (m + 1.0f), z = s * s;
	const float series = 2.0f + z * (2.0f / 3 + z * (2.0f / 5 + z * (2.0f / 7 + z * (2.0f / 9))));
	return (float)exponent * 0.693147181f + s * series;
}

/* Cosine and sine of a whole turn's fraction word / 2^32: the nearest quarter turn, and the Taylor series of what is
 * left, at most an eighth of a turn, to x^8 and x^9: below 1e-8. */
static inline void turn(uint32_t word, float *cosine, float *sine)
{
	const uint32_t quarter = (word + 0x20000000u) >> 30;
	const float x = (float)(int32_t)(word - (quarter << 30)) * (1.57079633f * 0x1p-30f), z = x * x;
	const float s = x + x * z * (-1.0f / 6 + z * (1.0f / 120 + z * (-1.0f / 5040 + z * (1.0f / 362880))));
	const float c = 1.0f + z * (-0.5f + z * (1.0f / 24 + z * (-1.0f / 720 + z * (1.0f / 40320))));
	const float swapped_c = quarter & 1 ? s : c, swapped_s = quarter & 1 ? c : s;
	*cosine = (quarter + 1) & 2 ? -swapped_c : swapped_c;
	*sine = quarter & 2 ? -swapped_s : swapped_s;
}

/* Box and Muller 1958 on word i and word i + BLOCK / 2: the first gives a radius of at most 6.7, the second an angle.
 */
static void make_normal(const uint32_t words[BLOCK], float spread, float out[BLOCK])
{
#pragma omp simd
	for (int i = 0; i < BLOCK / 2; i++) {
		const float u = ((float)(int32_t)(words[i] >> 1) + 0.25f) * 0x1p-31f;
		const float radius = sqrtf(-2.0f * log_of(u)) * spread;
		float cosine, sine;
		turn(words[i + BLOCK / 2], &cosine, &sine);
		out[i] = radius * cosine;
		out[i + BLOCK / 2] = radius * sine;
	}
}

static void make_uniform(const uint32_t words[BLOCK], float spread, float out[BLOCK])
{
#pragma omp simd
	for (int i = 0; i < BLOCK; i++)
		out[i] = (float)((int32_t)words[i] >> 8) * 0x1p-23f * spread;
}

static void fill(float *weights, int64_t count, float value)
{
	for (int64_t i = 0; i < count; i++)
		weights[i] = value;
}

/* Blocks are independent of each other, so the number of threads changes nothing. */
static void draw(float *weights, int64_t count, uint64_t seed, uint32_t stream, const struct beginning *beginning)
{
	const int64_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) if (blocks > 8)
	for (int64_t block = 0; block < blocks; block++) {
		uint32_t words[BLOCK];
		float numbers[BLOCK];
		draw_words(seed, stream, block, words);
		if (beginning->distribution == NORMAL)
			make_normal(words, (float)beginning->spread, numbers);
		else
			make_uniform(words, (float)beginning->spread, numbers);
		const int64_t left = count - block * BLOCK;
		memcpy(weights + block * BLOCK, numbers, (size_t)(left < BLOCK ? left : BLOCK) * sizeof *weights);
	}
}

/* What lies between this tensor's end and the next one's beginning. */
static void clear_padding(const struct aur_parameters *parameters, int64_t i, float *weights)
{
	const int64_t end = parameters->items[i].offset + parameters->items[i].count;
	const int64_t next = i + 1 < parameters->n_items ? parameters->items[i + 1].offset : parameters->count;
	fill(weights + end, next - end, 0);
}

void aur_model_initialise(const struct aur_model *model, uint64_t seed, float *weights)
{
	const struct aur_parameters *parameters = &model->parameters;
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
		clear_padding(parameters, i, weights);
	}
}
