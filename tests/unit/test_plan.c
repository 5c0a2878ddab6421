#include "comm/comm.h"
#include "cpu/cpu.h"
#include "train/model_file.h"
#include "train/trainer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void make_config(struct aur_config *config, const char *model)
{
	aur_config_defaults(config);
	assert_int_equal(aur_config_parse("test", model, strlen(model), config), AUR_OK);
	assert_int_equal(aur_config_finish(config), AUR_OK);
}

static struct aur_model *make_model(const struct aur_config *config)
{
	struct aur_model_config numbers;
	struct aur_model *model = NULL;
	aur_model_config_from(config, 65, &numbers);
	assert_int_equal(aur_model_create(&numbers, &model), AUR_OK);
	return model;
}

/* The plan must be what a trainer then takes, byte for byte and part for part. */
static void assert_plan_is_what_is_taken(const char *yaml)
{
	struct aur_config config;
	struct aur_backend *planned = NULL, *used = NULL;
	struct aur_comm *comm = NULL;
	struct aur_trainer *trainer = NULL;
	struct aur_arena plan;
	make_config(&config, yaml);
	struct aur_model *model = make_model(&config);
	assert_int_equal(aur_backend_open("cpu", &planned), AUR_OK);
	assert_int_equal(aur_backend_open("cpu", &used), AUR_OK);
	/* What bf16 takes is planned on every processor. */
	planned->fast_bf16 = used->fast_bf16 = 1;
	assert_int_equal(aur_comm_self_create(&comm), AUR_OK);
	assert_int_equal(aur_trainer_plan(&config, model, planned, 1, &plan), AUR_OK);
	assert_int_equal(aur_trainer_create(&config, model, used, comm, &trainer), AUR_OK);
	assert_int_equal(plan.used, trainer->plan.used);
	assert_int_equal(plan.n_parts, trainer->plan.n_parts);
	for (int i = 0; i < plan.n_parts; i++) {
		assert_string_equal(plan.parts[i].name, trainer->plan.parts[i].name);
		assert_int_equal(plan.parts[i].bytes, trainer->plan.parts[i].bytes);
	}
	aur_trainer_destroy(&trainer);
	aur_comm_close(&comm);
	aur_backend_close(&used);
	aur_backend_close(&planned);
	aur_model_destroy(&model);
}

static void a_plan_is_what_a_trainer_takes(void **state)
{
	(void)state;
	assert_plan_is_what_is_taken("model: {kind: gpt, n_layer: 2, n_head: 2, n_embd: 32, block_size: 16}\n"
								 "train: {steps: 1, batch_size: 8}\n");
	assert_plan_is_what_is_taken("model: {kind: gpt, n_layer: 2, n_head: 2, n_embd: 32, block_size: 16}\n"
								 "train: {steps: 1, batch_size: 8}\nsystem: {precision: bf16}\n");
	assert_plan_is_what_is_taken("model: {kind: gpt, n_layer: 3, n_head: 2, n_embd: 32, block_size: 16}\n"
								 "train: {steps: 1, batch_size: 8}\nsystem: {recompute: light}\n");
	assert_plan_is_what_is_taken("model: {kind: gpt, n_layer: 3, n_head: 2, n_embd: 32, block_size: 16}\n"
								 "train: {steps: 1, batch_size: 8}\nsystem: {recompute: block, precision: bf16}\n");
	assert_plan_is_what_is_taken("model: {kind: bigram, block_size: 8}\ntrain: {steps: 1, batch_size: 6}\n");
}

/* Optimizer state is divided among ranks; weights are not. */
static void ranks_divide_the_optimizer_state_alone(void **state)
{
	(void)state;
	struct aur_config config;
	struct aur_backend *backend = NULL;
	struct aur_arena one, two;
	make_config(&config, "model: {kind: gpt, n_layer: 2, n_head: 2, n_embd: 64, block_size: 16}\n"
						 "train: {steps: 1, batch_size: 8}\n");
	struct aur_model *model = make_model(&config);
	assert_int_equal(aur_backend_open("cpu", &backend), AUR_OK);
	assert_int_equal(aur_trainer_plan(&config, model, backend, 1, &one), AUR_OK);
	assert_int_equal(aur_trainer_plan(&config, model, backend, 2, &two), AUR_OK);
	assert_string_equal(one.parts[0].name, "weights");
	assert_int_equal(one.parts[0].bytes, two.parts[0].bytes);
	assert_string_equal(one.parts[2].name, "optimizer state");
	assert_true(two.parts[2].bytes < one.parts[2].bytes * 6 / 10);
	assert_true(two.parts[2].bytes >= one.parts[2].bytes / 2);
	assert_int_equal(aur_trainer_plan(&config, model, backend, 3, &two), AUR_USAGE);
	aur_backend_close(&backend);
	aur_model_destroy(&model);
}

static const struct aur_arena_part *part_of(const struct aur_arena *plan, const char *name)
{
	for (int i = 0; i < plan->n_parts; i++)
		if (strcmp(plan->parts[i].name, name) == 0)
			return &plan->parts[i];
	return NULL;
}

/* 2 bytes a parameter more, half of the activations less; all that is summed up is as large as before. */
static void bf16_adds_rounded_weights_and_halves_activations(void **state)
{
	(void)state;
	struct aur_config config;
	struct aur_backend *backend = NULL;
	struct aur_arena wide, narrow;
	make_config(&config, "model: {kind: gpt, n_layer: 2, n_head: 2, n_embd: 64, block_size: 16}\n"
						 "train: {steps: 1, batch_size: 8}\n");
	struct aur_model *model = make_model(&config);
	assert_int_equal(aur_backend_open("cpu", &backend), AUR_OK);
	backend->fast_bf16 = 1;
	assert_int_equal(aur_trainer_plan(&config, model, backend, 2, &wide), AUR_OK);
	config.system.precision = AUR_PRECISION_BF16;
	assert_int_equal(aur_trainer_plan(&config, model, backend, 2, &narrow), AUR_OK);
	assert_null(part_of(&wide, "rounded weights"));
	/* Parts begin at multiples of 256 bytes. */
	assert_int_equal(part_of(&narrow, "rounded weights")->bytes, (part_of(&wide, "weights")->bytes / 2 + 255) & ~255ul);
	assert_int_equal(2 * part_of(&narrow, "mlp")->bytes, part_of(&wide, "mlp")->bytes);
	static const char *const as_before[] = {"weights", "gradient buffers", "optimizer state", "exchange"};
	for (size_t i = 0; i < sizeof as_before / sizeof *as_before; i++)
		assert_int_equal(part_of(&narrow, as_before[i])->bytes, part_of(&wide, as_before[i])->bytes);
	/* Without the instructions it is fp32 that is planned. */
	backend->fast_bf16 = 0;
	assert_int_equal(aur_trainer_plan(&config, model, backend, 2, &narrow), AUR_OK);
	assert_int_equal(narrow.used, wide.used);
	aur_backend_close(&backend);
	aur_model_destroy(&model);
}

static size_t bytes_planned(const char *recompute)
{
	char yaml[256];
	struct aur_config config;
	struct aur_backend *backend = NULL;
	struct aur_arena plan;
	snprintf(yaml, sizeof yaml,
		"model: {kind: gpt, n_layer: 3, n_head: 2, n_embd: 64, block_size: 16}\n"
		"train: {steps: 1, batch_size: 8}\nsystem: {recompute: %s}\n",
		recompute);
	make_config(&config, yaml);
	struct aur_model *model = make_model(&config);
	assert_int_equal(aur_backend_open("cpu", &backend), AUR_OK);
	assert_int_equal(aur_trainer_plan(&config, model, backend, 1, &plan), AUR_OK);
	aur_backend_close(&backend);
	aur_model_destroy(&model);
	return plan.used;
}

static void what_is_computed_again_takes_no_memory(void **state)
{
	(void)state;
	assert_true(bytes_planned("light") < bytes_planned("none"));
	assert_true(bytes_planned("block") < bytes_planned("light"));
}

int main(void)
{
	aur_backend_register(&aur_cpu_factory);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_is_what_a_trainer_takes),
		cmocka_unit_test(ranks_divide_the_optimizer_state_alone),
		cmocka_unit_test(bf16_adds_rounded_weights_and_halves_activations),
		cmocka_unit_test(what_is_computed_again_takes_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
