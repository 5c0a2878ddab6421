/* What the backward pass says is complete may be sent to other ranks at once: it must be what it still is at the end.
 */

#include "model_helpers.h"

#include "core/rng.h"
#include "cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 2, POSITIONS = 12, TOLD = 64 };

/* A micro-batch, and the gradients as they were when they were called complete. */
struct rig {
	struct aur_model *model;
	struct aur_backend *backend;
	struct aur_workspace *workspace;
	int64_t count;
	float *weights, *gradients, *seen;
	int64_t told[TOLD];
	int times;
};

static aur_status keep(void *context, int64_t done)
{
	struct rig *rig = context;
	const int64_t before = rig->times ? rig->told[rig->times - 1] : 0;
	assert_true(done >= before && rig->times < TOLD);
	memcpy(rig->seen + before, rig->gradients + before, (size_t)(done - before) * sizeof *rig->seen);
	rig->told[rig->times++] = done;
	return AUR_OK;
}

static struct rig rig_of(struct aur_model_config config)
{
	struct rig rig = {.model = model_of(config)};
	assert_int_equal(aur_cpu_factory.open(&rig.backend), AUR_OK);
	assert_int_equal(
		aur_workspace_create(rig.model, rig.backend, BATCH, POSITIONS, 1, AUR_F32, &rig.workspace, NULL), AUR_OK);
	rig.count = aur_model_parameters(rig.model)->count;
	rig.weights = calloc((size_t)rig.count, sizeof(float));
	rig.gradients = calloc((size_t)rig.count, sizeof(float));
	rig.seen = calloc((size_t)rig.count, sizeof(float));
	draw_weights(rig.model, 0.1, rig.weights);
	return rig;
}

static void clear_rig(struct rig *rig)
{
	aur_workspace_destroy(&rig->workspace);
	aur_backend_close(&rig->backend);
	aur_model_destroy(&rig->model);
	free(rig->weights);
	free(rig->gradients);
	free(rig->seen);
}

static void run(struct rig *rig)
{
	int32_t tokens[BATCH * POSITIONS], targets[BATCH * POSITIONS];
	double loss[BATCH];
	const int64_t vocabulary = aur_model_config_of(rig->model)->vocab_size;
	const struct aur_step_state state = {.seed = 3, .first_sample = 41};
	for (int i = 0; i < BATCH * POSITIONS; i++) {
		tokens[i] = (int32_t)(i * 7 % vocabulary);
		targets[i] = (int32_t)((i * 7 + 3) % vocabulary);
	}
	const struct aur_micro_batch batch = {
		.tokens = tokens,
		.targets = targets,
		.batch = BATCH,
		.positions = POSITIONS,
		.weights = rig->weights,
		.state = &state,
		.loss = loss,
		.gradients = rig->gradients,
		.gradient_scale = 1.0f,
		.completed = keep,
		.context = rig,
	};
	assert_int_equal(aur_model_run(rig->workspace, &batch), AUR_OK);
}

/* `least` calls: a model that says so at its end alone would be of no use. */
static void check(struct aur_model_config config, int least)
{
	config.block_size = POSITIONS;
	struct rig rig = rig_of(config);
	run(&rig);
	assert_true(rig.times >= least);
	assert_int_equal(rig.told[rig.times - 1], rig.count);
	assert_memory_equal(rig.seen, rig.gradients, (size_t)rig.count * sizeof(float));
	/* Of the blocks, each call adds some. */
	for (int i = 1; i < rig.times; i++)
		assert_true(rig.told[i] > rig.told[i - 1]);
	clear_rig(&rig);
}

static void pre_norm_with_a_tied_head(void **state)
{
	(void)state;
	check(tiny(), 5);
}

static void pre_norm_with_a_head_of_its_own(void **state)
{
	(void)state;
	struct aur_model_config config = tiny();
	config.tie_embeddings = 0;
	config.head_bias = 1;
	config.dropout = 0.1f;
	config.embedding_dropout = 0.1f;
	check(config, 5);
	config.bias = 0;
	config.qkv_bias = 0;
	check(config, 5);
}

static void post_norm(void **state)
{
	(void)state;
	struct aur_model_config config = original();
	check(config, 5);
	config.tie_embeddings = 1;
	config.head_bias = 0;
	config.n_layer = 1;
	check(config, 3);
}

static void recomputed_blocks(void **state)
{
	(void)state;
	struct aur_model_config config = tiny();
	config.n_layer = 3;
	config.kept = AUR_KEPT_INPUTS;
	check(config, 7);
}

static void a_table_is_complete_at_once(void **state)
{
	(void)state;
	check(bigram(13), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pre_norm_with_a_tied_head),
		cmocka_unit_test(pre_norm_with_a_head_of_its_own),
		cmocka_unit_test(post_norm),
		cmocka_unit_test(recomputed_blocks),
		cmocka_unit_test(a_table_is_complete_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
