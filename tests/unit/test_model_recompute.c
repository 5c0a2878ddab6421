/* What a training does not keep and computes again must be what it was, to the bit: losses and gradients are compared
 * with those of a workspace that keeps everything, in both types, under every instruction set. */

#include "model_helpers.h"

#include "core/rng.h"
#include "cpu/cpu.h"
#include "train/precision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 3, POSITIONS = 20 };

static const char *const variants[] = {"baseline", "avx2", "avx512", "avx512bf16"};
enum { VARIANTS = sizeof variants / sizeof *variants };

static const enum aur_kept less[] = {AUR_KEPT_LIGHT, AUR_KEPT_INPUTS};
enum { LESS = sizeof less / sizeof *less };

static struct aur_model_config pre_norm(int64_t layers)
{
	struct aur_model_config config = gpt2(layers, 4, 48);
	config.vocab_size = 61;
	config.block_size = POSITIONS;
	return config;
}

/* Its widths are no multiples of a vector. */
static struct aur_model_config post_norm(int64_t layers)
{
	struct aur_model_config config = original();
	config.vocab_size = 61;
	config.block_size = POSITIONS;
	config.n_layer = layers;
	config.n_head = 3;
	config.n_embd = 39;
	config.mlp_width = 70;
	return config;
}

/* One micro-batch of a model in one type. */
struct rig {
	struct aur_model *model;
	struct aur_backend *backend;
	struct aur_workspace *workspace;
	int64_t count;
	float *weights, *gradients;
	void *compute_weights;
	int32_t tokens[BATCH * POSITIONS], targets[BATCH * POSITIONS];
	double loss[BATCH];
	struct aur_arena plan;
};

/* Memory whose every number is NaN: what is read before it was written shows. */
static aur_status (*allocate_as_it_is)(struct aur_backend *backend, size_t bytes, void **memory);
static aur_status allocate_nan(struct aur_backend *backend, size_t bytes, void **memory)
{
	const aur_status status = allocate_as_it_is(backend, bytes, memory);
	if (status == AUR_OK)
		memset(*memory, 0xff, bytes);
	return status;
}

/* Weights are drawn once, for the first workspace of a comparison: that takes longer than the model. */
static void draw(struct rig *rig, enum aur_dtype compute, const struct rig *like)
{
	const uint32_t vocabulary = (uint32_t)aur_model_config_of(rig->model)->vocab_size;
	if (like)
		memcpy(rig->weights, like->weights, (size_t)rig->count * sizeof(float));
	else
		draw_weights(rig->model, 0.1, rig->weights);
	assert_int_equal(
		aur_precision_round(rig->backend, compute, rig->weights, rig->compute_weights, rig->count), AUR_OK);
	for (uint32_t i = 0; i < BATCH * POSITIONS; i++) {
		const struct aur_random4 random = aur_philox(2, i, 0, 0);
		rig->tokens[i] = (int32_t)(random.v[0] % vocabulary);
		rig->targets[i] = (int32_t)(random.v[1] % vocabulary);
	}
}

/* `like`: a rig of the same model, or NULL. */
static struct rig rig_of(
	struct aur_model_config config, enum aur_kept kept, enum aur_dtype compute, const struct rig *like)
{
	struct rig rig = {0};
	config.kept = kept;
	rig.model = model_of(config);
	assert_int_equal(aur_cpu_factory.open(&rig.backend), AUR_OK);
	const struct aur_backend_ops *whole = rig.backend->ops;
	struct aur_backend_ops filling = *whole;
	allocate_as_it_is = whole->allocate;
	filling.allocate = allocate_nan;
	rig.backend->ops = &filling;
	const aur_status status =
		aur_workspace_create(rig.model, rig.backend, BATCH, POSITIONS, 1, compute, &rig.workspace, &rig.plan);
	rig.backend->ops = whole;
	assert_int_equal(status, AUR_OK);
	rig.count = aur_model_parameters(rig.model)->count;
	rig.weights = calloc((size_t)rig.count, sizeof(float));
	rig.gradients = calloc((size_t)rig.count, sizeof(float));
	rig.compute_weights = compute == AUR_F32 ? NULL : calloc((size_t)rig.count, aur_dtype_bytes(compute));
	draw(&rig, compute, like);
	return rig;
}

static void clear_rig(struct rig *rig)
{
	aur_workspace_destroy(&rig->workspace);
	aur_backend_close(&rig->backend);
	aur_model_destroy(&rig->model);
	free(rig->weights);
	free(rig->gradients);
	free(rig->compute_weights);
}

/* `sequences` of the micro-batch from number `first` on; gradients add up. */
static void run(struct rig *rig, int64_t first, int64_t sequences)
{
	const struct aur_step_state state = {.seed = 3, .first_sample = 41 + (uint64_t)first};
	const struct aur_micro_batch batch = {
		.tokens = rig->tokens + first * POSITIONS,
		.targets = rig->targets + first * POSITIONS,
		.batch = sequences,
		.positions = POSITIONS,
		.weights = rig->weights,
		.compute_weights = rig->compute_weights,
		.state = &state,
		.loss = rig->loss + first,
		.gradients = rig->gradients,
		.gradient_scale = 1.0f / (BATCH * POSITIONS),
	};
	assert_int_equal(aur_model_run(rig->workspace, &batch), AUR_OK);
}

/* A whole micro-batch, then a smaller one in the same workspace. */
static void run_both(struct rig *rig)
{
	run(rig, 0, BATCH);
	run(rig, 1, 1);
}

static void check(const char *what, struct aur_model_config config, enum aur_dtype compute)
{
	struct rig all = rig_of(config, AUR_KEPT_ALL, compute, NULL);
	const size_t bytes = (size_t)all.count * sizeof(float);
	run_both(&all);
	for (int i = 0; i < LESS; i++) {
		struct rig some = rig_of(config, less[i], compute, &all);
		run_both(&some);
		assert_memory_equal(some.loss, all.loss, sizeof all.loss);
		if (memcmp(some.gradients, all.gradients, bytes) != 0)
			fail_msg("%s norm, %s, %s: other gradients", config.post_norm ? "post" : "pre", what,
				less[i] == AUR_KEPT_LIGHT ? "light" : "block");
		clear_rig(&some);
	}
	clear_rig(&all);
}

static void check_both_types(struct aur_model_config config)
{
	check("fp32", config, AUR_F32);
	check("bf16", config, AUR_BF16);
}

static int choose_variant(const char *variant)
{
	struct aur_backend *backend = NULL;
	setenv("AURELIUS_CPU_VARIANT", variant, 1);
	const aur_status status = aur_cpu_factory.open(&backend);
	aur_backend_close(&backend);
	if (status != AUR_OK)
		printf("SKIP %s: %s\n", variant, aur_error_message());
	return status == AUR_OK;
}

/* A norm that is computed again begins with s, not with the two parts of its sum: a path of its own in each variant. */
static void every_instruction_set(void **state)
{
	(void)state;
	for (int i = 0; i < VARIANTS; i++) {
		if (!choose_variant(variants[i]))
			continue;
		check_both_types(pre_norm(3));
		check_both_types(post_norm(3));
	}
	unsetenv("AURELIUS_CPU_VARIANT");
}

/* The first block is the last one too, and with two the one that is computed again is both first and not last. */
static void one_and_two_layers(void **state)
{
	(void)state;
	for (int64_t layers = 1; layers <= 2; layers++) {
		check_both_types(pre_norm(layers));
		check_both_types(post_norm(layers));
	}
}

static void dropout_draws_the_same_masks(void **state)
{
	(void)state;
	struct aur_model_config config = pre_norm(3);
	config.dropout = config.embedding_dropout = 0.2f;
	check_both_types(config);
	config = post_norm(3);
	config.dropout = config.embedding_dropout = 0.2f;
	check_both_types(config);
}

/* Each bit of the counter is one option, as in test_model_gradients.c. */
static void every_combination_of_options(void **state)
{
	(void)state;
	for (int bits = 0; bits < 16; bits++) {
		struct aur_model_config config = bits & 1 ? post_norm(2) : pre_norm(2);
		config.tie_embeddings = bits >> 1 & 1;
		config.bias = bits >> 2 & 1;
		config.dropout = bits >> 3 & 1 ? 0.1f : 0;
		config.activation = (enum aur_activation_kind)(bits % 3);
		check_both_types(config);
	}
}

static size_t part_bytes(const struct aur_arena *plan, const char *name)
{
	size_t bytes = 0;
	for (int i = 0; i < plan->n_parts; i++)
		if (strcmp(plan->parts[i].name, name) == 0)
			bytes += plan->parts[i].bytes;
	return bytes;
}

static struct aur_arena plan_of(
	struct aur_model_config config, enum aur_kept kept, int training, enum aur_dtype compute)
{
	struct aur_arena plan;
	struct aur_backend *backend;
	config.kept = kept;
	struct aur_model *model = model_of(config);
	assert_int_equal(aur_cpu_factory.open(&backend), AUR_OK);
	assert_int_equal(aur_workspace_plan(model, backend, BATCH, POSITIONS, training, compute, &plan), AUR_OK);
	aur_backend_close(&backend);
	aur_model_destroy(&model);
	return plan;
}

static void check_saving(struct aur_model_config config, enum aur_dtype compute)
{
	const struct aur_arena all = plan_of(config, AUR_KEPT_ALL, 1, compute);
	const struct aur_arena light = plan_of(config, AUR_KEPT_LIGHT, 1, compute);
	const struct aur_arena inputs = plan_of(config, AUR_KEPT_INPUTS, 1, compute);
	static const char *const by_layer[] = {"residual stream", "norms", "attention", "mlp"};
	for (size_t i = 0; i < sizeof by_layer / sizeof *by_layer; i++)
		assert_true(part_bytes(&inputs, by_layer[i]) < part_bytes(&all, by_layer[i]));
	assert_true(part_bytes(&light, "mlp") < part_bytes(&all, "mlp"));
	if (compute == AUR_F32)
		assert_true(part_bytes(&light, "norms") < part_bytes(&all, "norms"));
	assert_true(light.used < all.used);
	assert_true(inputs.used < light.used);
}

static void memory_is_strictly_less(void **state)
{
	(void)state;
	for (int64_t layers = 2; layers <= 4; layers++) {
		check_saving(pre_norm(layers), AUR_F32);
		check_saving(pre_norm(layers), AUR_BF16);
		check_saving(post_norm(layers), AUR_F32);
		check_saving(post_norm(layers), AUR_BF16);
	}
}

/* Numbers a row: 16 C with all that a block of GPT-2 computes, and one input. */
static void a_further_block_costs_its_input_alone(void **state)
{
	(void)state;
	const size_t row = 48 * sizeof(float), statistics = 2 * sizeof(float);
	const struct aur_arena four = plan_of(pre_norm(4), AUR_KEPT_INPUTS, 1, AUR_F32);
	const struct aur_arena five = plan_of(pre_norm(5), AUR_KEPT_INPUTS, 1, AUR_F32);
	const size_t further = part_bytes(&five, "residual stream") + part_bytes(&five, "norms") -
						   part_bytes(&four, "residual stream") - part_bytes(&four, "norms");
	/* Parts begin at multiples of 256 bytes. */
	assert_in_range(further, BATCH * POSITIONS * (row + statistics), BATCH * POSITIONS * (row + statistics) + 3 * 256);
	assert_int_equal(part_bytes(&five, "attention"), part_bytes(&four, "attention"));
	assert_int_equal(part_bytes(&five, "mlp"), part_bytes(&four, "mlp"));
}

/* Evaluation keeps nothing: the key is not its business. */
static void evaluation_takes_what_it_took(void **state)
{
	(void)state;
	for (int i = 0; i < LESS; i++) {
		assert_int_equal(
			plan_of(pre_norm(3), less[i], 0, AUR_F32).used, plan_of(pre_norm(3), AUR_KEPT_ALL, 0, AUR_F32).used);
		assert_int_equal(
			plan_of(post_norm(3), less[i], 0, AUR_F32).used, plan_of(post_norm(3), AUR_KEPT_ALL, 0, AUR_F32).used);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_instruction_set),
		cmocka_unit_test(one_and_two_layers),
		cmocka_unit_test(dropout_draws_the_same_masks),
		cmocka_unit_test(every_combination_of_options),
		cmocka_unit_test(memory_is_strictly_less),
		cmocka_unit_test(a_further_block_costs_its_input_alone),
		cmocka_unit_test(evaluation_takes_what_it_took),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
