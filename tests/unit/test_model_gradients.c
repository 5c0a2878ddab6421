/* The GPT's loss and gradients, in every combination of its options, against a plain float64 GPT written here: losses
 * directly, gradients by central differences of its loss in every parameter. Dropout's masks are drawn as backend.h
 * says, so that sites, layers and sample numbers are checked as well. */

#include "core/rng.h"
#include "cpu/cpu.h"
#include "model/model.h"
#include "rounds.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 2, POSITIONS = 5, VOCABULARY = 11, LAYERS = 2, HEADS = 2, WIDTH = 6, MLP = 10, MOST = 24 };
static const uint64_t seed = 0x123456789abcdefULL;
static const uint64_t first_sample = 0x100000007ULL;

/* fp32 roundings of some ten factors, and cancellation in sums of them: 1.1e-5 seen without fused multiply-add. */
static const double gradient_tolerance = 2e-5;
static const double zero_floor = 2e-7;

/* ---- the GPT in float64 ---- */

struct reference {
	const struct aur_model *model;
	double *weights; /* flat */
	const int32_t *tokens, *targets;
	int dropout;
};

typedef double rows[POSITIONS][MOST];

static const struct aur_model_config *config_of(const struct reference *reference)
{
	return aur_model_config_of(reference->model);
}

/* NULL where the model has no such tensor. */
static const double *tensor(const struct reference *reference, int layer, const char *name)
{
	char full[AUR_PARAMETER_NAME];
	if (layer < 0)
		snprintf(full, sizeof full, "%s", name);
	else
		snprintf(full, sizeof full, "h.%d.%s", layer, name);
	const struct aur_parameter *item = aur_parameters_find(aur_model_parameters(reference->model), full);
	return item ? reference->weights + item->offset : NULL;
}

static double mask(const struct reference *reference, float p, enum aur_rng_site site, int layer, int head,
	int sequence, int row, int column, int columns)
{
	const uint32_t threshold = (uint32_t)lround(65536.0 * (double)p);
	if (!reference->dropout || threshold == 0)
		return 1;
	const uint32_t element = (uint32_t)(row * ((columns + 7) / 8) + column / 8);
	const struct aur_random4 random = aur_philox(
		seed, element, aur_rng_stream(site, (uint32_t)layer, (uint32_t)head), first_sample + (uint64_t)sequence);
	const uint32_t half = random.v[column % 8 / 2] >> (16 * (column % 2)) & 0xffff;
	return half < threshold ? 0 : 65536.0 / (65536.0 - threshold);
}

static void linear(const double *w, const double *bias, int in, int out, const rows x, rows y)
{
	for (int t = 0; t < POSITIONS; t++)
		for (int o = 0; o < out; o++) {
			y[t][o] = bias ? bias[o] : 0;
			for (int i = 0; i < in; i++)
				y[t][o] += w[o * in + i] * x[t][i];
		}
}

static void norm(const struct reference *reference, int layer, const char *name, const rows x, rows y)
{
	char weight[32], bias[32];
	snprintf(weight, sizeof weight, "%s.weight", name);
	snprintf(bias, sizeof bias, "%s.bias", name);
	const double *gamma = tensor(reference, layer, weight);
	const double *beta = tensor(reference, layer, bias);
	for (int t = 0; t < POSITIONS; t++) {
		double mean = 0, variance = 0;
		for (int c = 0; c < WIDTH; c++)
			mean += x[t][c] / WIDTH;
		for (int c = 0; c < WIDTH; c++)
			variance += (x[t][c] - mean) * (x[t][c] - mean) / WIDTH;
		for (int c = 0; c < WIDTH; c++)
			y[t][c] = (x[t][c] - mean) / sqrt(variance + 1e-5) * gamma[c] + (beta ? beta[c] : 0);
	}
}

static void attend(const struct reference *reference, int layer, int sequence, const rows qkv, rows out)
{
	const int size = WIDTH / HEADS;
	const float given = config_of(reference)->attention_scale;
	const double scale = given != 0 ? (double)given : 1 / sqrt((double)size);
	for (int h = 0; h < HEADS; h++)
		for (int t = 0; t < POSITIONS; t++) {
			double weight[POSITIONS], total = 0;
			for (int k = 0; k <= t; k++) {
				double score = 0;
				for (int d = h * size; d < (h + 1) * size; d++)
					score += qkv[t][d] * qkv[k][WIDTH + d];
				total += weight[k] = exp(scale * score);
			}
			for (int d = h * size; d < (h + 1) * size; d++) {
				out[t][d] = 0;
				for (int k = 0; k <= t; k++)
					out[t][d] += weight[k] / total * qkv[k][2 * WIDTH + d] *
								 mask(reference, config_of(reference)->dropout, AUR_SITE_DROP_ATTENTION, layer, h,
									 sequence, t, k, POSITIONS);
			}
		}
}

static double activation(enum aur_activation_kind kind, double x)
{
	const double pi = 3.14159265358979323846;
	if (kind == AUR_RELU)
		return x > 0 ? x : 0;
	if (kind == AUR_GELU)
		return x / 2 * (1 + erf(x / sqrt(2.0)));
	return x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)));
}

static void branch(const struct reference *reference, int layer, int sequence, int is_mlp, const rows in, rows out)
{
	rows wide, inner;
	if (is_mlp) {
		linear(tensor(reference, layer, "mlp.c_fc.weight"), tensor(reference, layer, "mlp.c_fc.bias"), WIDTH, MLP, in,
			wide);
		for (int t = 0; t < POSITIONS; t++)
			for (int f = 0; f < MLP; f++)
				inner[t][f] = activation(config_of(reference)->activation, wide[t][f]);
		linear(tensor(reference, layer, "mlp.c_proj.weight"), tensor(reference, layer, "mlp.c_proj.bias"), MLP, WIDTH,
			inner, out);
	} else {
		linear(tensor(reference, layer, "attn.c_attn.weight"), tensor(reference, layer, "attn.c_attn.bias"), WIDTH,
			3 * WIDTH, in, wide);
		attend(reference, layer, sequence, wide, inner);
		linear(tensor(reference, layer, "attn.c_proj.weight"), tensor(reference, layer, "attn.c_proj.bias"), WIDTH,
			WIDTH, inner, out);
	}
	for (int t = 0; t < POSITIONS; t++)
		for (int c = 0; c < WIDTH; c++)
			out[t][c] *= mask(reference, config_of(reference)->dropout,
				is_mlp ? AUR_SITE_DROP_MLP_OUT : AUR_SITE_DROP_ATTENTION_OUT, layer, 0, sequence, t, c, WIDTH);
}

static void block(const struct reference *reference, int layer, int sequence, int is_mlp, rows x)
{
	const char *name = is_mlp ? "ln_2" : "ln_1";
	const int post = config_of(reference)->post_norm;
	rows in, out;
	memcpy(in, x, sizeof in);
	if (!post)
		norm(reference, layer, name, x, in);
	branch(reference, layer, sequence, is_mlp, in, out);
	for (int t = 0; t < POSITIONS; t++)
		for (int c = 0; c < WIDTH; c++)
			x[t][c] += out[t][c];
	if (post) {
		memcpy(in, x, sizeof in);
		norm(reference, layer, name, in, x);
	}
}

static void embed(const struct reference *reference, int sequence, rows x)
{
	const double *wte = tensor(reference, -1, "wte.weight");
	const double *wpe = tensor(reference, -1, "wpe.weight");
	for (int t = 0; t < POSITIONS; t++)
		for (int c = 0; c < WIDTH; c++)
			x[t][c] = (wte[reference->tokens[sequence * POSITIONS + t] * WIDTH + c] + wpe[t * WIDTH + c]) *
					  mask(reference, config_of(reference)->embedding_dropout, AUR_SITE_DROP_EMBEDDING, 0, 0, sequence,
						  t, c, WIDTH);
}

static double sequence_loss(const struct reference *reference, int sequence)
{
	rows x, normed, logits;
	embed(reference, sequence, x);
	for (int j = 0; j < 2 * LAYERS; j++)
		block(reference, j / 2, sequence, j % 2, x);
	memcpy(normed, x, sizeof normed);
	if (!config_of(reference)->post_norm)
		norm(reference, -1, "ln_f", x, normed);
	const double *head = tensor(reference, -1, config_of(reference)->tie_embeddings ? "wte.weight" : "lm_head.weight");
	linear(head, tensor(reference, -1, "lm_head.bias"), WIDTH, VOCABULARY, normed, logits);
	double loss = 0;
	for (int t = 0; t < POSITIONS; t++) {
		double total = 0;
		for (int v = 0; v < VOCABULARY; v++)
			total += exp(logits[t][v]);
		loss += log(total) - logits[t][reference->targets[sequence * POSITIONS + t]];
	}
	return loss;
}

static double mean_loss(const struct reference *reference)
{
	double loss = 0;
	for (int b = 0; b < BATCH; b++)
		loss += sequence_loss(reference, b);
	return loss / (BATCH * POSITIONS);
}

static double derivative(const struct reference *reference, int64_t i)
{
	/* Truncation (step^2) and rounding (1e-16 / step) are both far below what fp32 shows. */
	const double step = 1e-5;
	const double kept = reference->weights[i];
	reference->weights[i] = kept + step;
	const double above = mean_loss(reference);
	reference->weights[i] = kept - step;
	const double below = mean_loss(reference);
	reference->weights[i] = kept;
	return (above - below) / (2 * step);
}

/* ---- the comparison ---- */

static const int32_t tokens[BATCH * POSITIONS] = {3, 0, 10, 3, 7, 1, 1, 1, 9, 4};
static const int32_t targets[BATCH * POSITIONS] = {0, 10, 3, 7, 2, 1, 1, 9, 4, 10};

static struct aur_model_config base(void)
{
	return (struct aur_model_config){
		.type = AUR_TYPE_GPT,
		.vocab_size = VOCABULARY,
		.n_layer = LAYERS,
		.n_head = HEADS,
		.n_embd = WIDTH,
		.block_size = POSITIONS,
		.mlp_width = MLP,
		.activation = AUR_GELU_TANH,
		.bias = 1,
		.qkv_bias = 1,
	};
}

/* Numbers around 0.4, norms' weights around 1: far from the linear range of softmax and norms. */
static void draw_weights(const struct aur_parameters *parameters, float *weights, double *wide)
{
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *item = &parameters->items[i];
		for (int64_t k = 0; k < item->count; k++) {
			double value[2];
			aur_normal2(aur_philox(5, (uint32_t)k, (uint32_t)i, 0), value);
			const float w = (float)(0.4 * value[0] + (item->role == AUR_ROLE_NORM_WEIGHT ? 1 : 0));
			weights[item->offset + k] = w;
			wide[item->offset + k] = (double)w;
		}
	}
}

static void check_tensor(
	const struct reference *reference, const struct aur_parameter *item, int group, const float *gradients)
{
	const int64_t count = item->count / item->row_groups;
	const int64_t begin = item->offset + group * count;
	double difference = 0, truth = 0;
	for (int64_t i = begin; i < begin + count; i++) {
		const double expected = derivative(reference, i);
		difference += pow((double)gradients[i] - expected, 2);
		truth += expected * expected;
	}
	if (!(sqrt(difference) <= fmax(gradient_tolerance * sqrt(truth), zero_floor)))
		fail_msg("gradient of %s, row group %d: ||diff|| %.3g, ||true|| %.3g", item->name, group, sqrt(difference),
			sqrt(truth));
}

static void run_model(const struct aur_model *model, struct aur_backend *backend, int dropout, const float *weights,
	double *loss, float *gradients)
{
	struct aur_workspace *workspace;
	const struct aur_step_state state = {.seed = seed, .first_sample = first_sample};
	assert_int_equal(aur_workspace_create(model, backend, BATCH, POSITIONS, 1, AUR_F32, &workspace, NULL), AUR_OK);
	const struct aur_micro_batch batch = {
		.tokens = tokens,
		.targets = targets,
		.batch = BATCH,
		.positions = POSITIONS,
		.weights = weights,
		.state = dropout ? &state : NULL,
		.loss = loss,
		.gradients = gradients,
		.gradient_scale = 1.0f / (BATCH * POSITIONS),
	};
	assert_int_equal(aur_model_run(workspace, &batch), AUR_OK);
	aur_workspace_destroy(&workspace);
}

/* Where rounds are few the differences, which are this file's own work, are taken for every tenth tensor. */
static void check(const struct aur_model_config *config, int dropout)
{
	static int64_t checked;
	struct aur_model *model;
	struct aur_backend *backend;
	double loss[BATCH];
	assert_int_equal(aur_model_create(config, &model), AUR_OK);
	assert_int_equal(aur_cpu_factory.open(&backend), AUR_OK);
	assert_true(backend->host_memory);
	const struct aur_parameters *parameters = aur_model_parameters(model);
	float *weights = calloc((size_t)parameters->count, sizeof *weights);
	float *gradients = calloc((size_t)parameters->count, sizeof *gradients);
	double *wide = calloc((size_t)parameters->count, sizeof *wide);
	draw_weights(parameters, weights, wide);
	run_model(model, backend, dropout, weights, loss, gradients);

	const struct reference reference = {model, wide, tokens, targets, dropout};
	for (int b = 0; b < BATCH; b++)
		assert_true(fabs(loss[b] - sequence_loss(&reference, b)) <= 1e-6 * loss[b]);
	for (int64_t i = 0; i < parameters->n_items; i++)
		for (int group = 0; group < parameters->items[i].row_groups; group++)
			if (checked++ % (10 / rounds_of(10)) == 0)
				check_tensor(&reference, &parameters->items[i], group, gradients);

	free(weights);
	free(gradients);
	free(wide);
	aur_backend_close(&backend);
	aur_model_destroy(&model);
}

/* Each bit of the loop's counter is one option: norm position, biases, Q|K|V's biases, the head's bias, a tied head. */
static void every_combination_of_options(void **state)
{
	(void)state;
	for (int bits = 0; bits < 32; bits++) {
		struct aur_model_config config = base();
		config.post_norm = bits & 1;
		config.bias = bits >> 1 & 1;
		config.qkv_bias = bits >> 2 & 1;
		config.head_bias = bits >> 3 & 1;
		config.tie_embeddings = bits >> 4 & 1;
		config.activation = (enum aur_activation_kind)(bits % 3);
		check(&config, 0);
	}
}

static void gelu_with_the_error_function(void **state)
{
	(void)state;
	struct aur_model_config config = base();
	config.activation = AUR_GELU;
	check(&config, 0);
}

/* The original project divides by the square root of n_embd, not of the head size. */
static void a_given_attention_scale(void **state)
{
	(void)state;
	struct aur_model_config config = base();
	config.attention_scale = 0.4082483f;
	check(&config, 0);
}

static void dropout_in_pre_norm(void **state)
{
	(void)state;
	struct aur_model_config config = base();
	config.dropout = 0.3f;
	config.embedding_dropout = 0.2f;
	check(&config, 1);
}

static void dropout_in_post_norm(void **state)
{
	(void)state;
	struct aur_model_config config = base();
	config.post_norm = 1;
	config.dropout = 0.25f;
	check(&config, 1);
}

/* The rate alone turns nothing on: without a state the pass is that of a model without dropout. */
static void no_dropout_without_a_state(void **state)
{
	(void)state;
	struct aur_model_config config = base();
	config.dropout = 0.3f;
	config.embedding_dropout = 0.2f;
	check(&config, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_of_options),
		cmocka_unit_test(gelu_with_the_error_function),
		cmocka_unit_test(a_given_attention_scale),
		cmocka_unit_test(dropout_in_pre_norm),
		cmocka_unit_test(dropout_in_post_norm),
		cmocka_unit_test(no_dropout_without_a_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
