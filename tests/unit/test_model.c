/* How the models run: evaluation, accumulation, dropout, memory, decoding. */

#include "model_helpers.h"

#include "core/rng.h"
#include "cpu/cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A model with weights large enough to matter, and the memory of one micro-batch. */
struct rig {
	struct aur_model *model;
	struct aur_backend *backend;
	struct aur_workspace *workspace;
	int64_t batch, positions, count;
	float *weights, *gradients;
	int32_t *tokens, *targets;
	double loss[8];
};

static struct rig rig_of(struct aur_model_config config, int64_t batch, int64_t positions, int training)
{
	struct rig rig = {.model = model_of(config), .batch = batch, .positions = positions};
	const size_t tokens = (size_t)(batch * positions);
	assert_int_equal(aur_cpu_factory.open(&rig.backend), AUR_OK);
	assert_int_equal(
		aur_workspace_create(rig.model, rig.backend, batch, positions, training, AUR_F32, &rig.workspace, NULL),
		AUR_OK);
	rig.count = aur_model_parameters(rig.model)->count;
	rig.weights = calloc((size_t)rig.count, sizeof(float));
	rig.gradients = calloc((size_t)rig.count, sizeof(float));
	rig.tokens = calloc(tokens, sizeof(int32_t));
	rig.targets = calloc(tokens, sizeof(int32_t));
	draw_weights(rig.model, 0.3, rig.weights);
	for (size_t i = 0; i < tokens; i++) {
		const struct aur_random4 random = aur_philox(2, (uint32_t)i, 0, 0);
		rig.tokens[i] = (int32_t)(random.v[0] % (uint32_t)config.vocab_size);
		rig.targets[i] = (int32_t)(random.v[1] % (uint32_t)config.vocab_size);
	}
	return rig;
}

static void clear_rig(struct rig *rig)
{
	aur_workspace_destroy(&rig->workspace);
	aur_backend_close(&rig->backend);
	aur_model_destroy(&rig->model);
	free(rig->weights);
	free(rig->gradients);
	free(rig->tokens);
	free(rig->targets);
}

/* All of the rig's micro-batch, with the loss alone. */
static struct aur_micro_batch micro_batch(struct rig *rig)
{
	return (struct aur_micro_batch){
		.tokens = rig->tokens,
		.targets = rig->targets,
		.batch = rig->batch,
		.positions = rig->positions,
		.weights = rig->weights,
		.loss = rig->loss,
		.gradient_scale = 1.0f / (float)(rig->batch * rig->positions),
	};
}

/* Sequence `i` of the micro-batch, with gradients. */
static struct aur_micro_batch one_sequence(struct rig *rig, int64_t i, float *gradients)
{
	struct aur_micro_batch batch = micro_batch(rig);
	batch.tokens += i * rig->positions;
	batch.targets += i * rig->positions;
	batch.loss += i;
	batch.batch = 1;
	batch.gradients = gradients;
	return batch;
}

static double distance(const float *a, const float *b, int64_t count)
{
	double difference = 0, size = 0;
	for (int64_t i = 0; i < count; i++) {
		difference += pow((double)a[i] - (double)b[i], 2);
		size += pow((double)b[i], 2);
	}
	return sqrt(difference / size);
}

static void check_accumulation(struct aur_model_config config)
{
	struct rig rig = rig_of(config, 2, 8, 1);
	float *one = calloc((size_t)rig.count, sizeof(float));
	struct aur_micro_batch batch = micro_batch(&rig);
	batch.gradients = rig.gradients;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	for (int64_t i = 0; i < 2; i++) {
		batch = one_sequence(&rig, i, one);
		assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	}
	/* The library of matrix products may add in another order for another number of rows: its sums of up to 1536 terms
	 * then differ by about sqrt(1536) roundings of fp32, 2e-6 (1.35e-6 was seen). A contribution that is lost or
	 * counted twice differs by far more. */
	assert_true(distance(one, rig.gradients, rig.count) < 4e-6);
	free(one);
	clear_rig(&rig);
}

static void gradients_of_micro_batches_add_up(void **state)
{
	(void)state;
	check_accumulation(tiny());
	check_accumulation(original());
	check_accumulation(bigram(13));
}

/* Whatever a buffer holds, the first micro-batch of a sum leaves in it what it would have added to zeros. */
static void check_first(struct aur_model_config config)
{
	struct rig rig = rig_of(config, 2, 8, 1);
	float *first = malloc((size_t)rig.count * sizeof *first);
	struct aur_micro_batch batch = micro_batch(&rig);
	assert_non_null(first);
	for (int64_t i = 0; i < rig.count; i++)
		first[i] = NAN;
	batch.gradients = rig.gradients;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	assert_int_equal(aur_model_begin_gradients(rig.model, rig.backend, first), AUR_OK);
	batch.gradients = first;
	batch.first = 1;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	for (int64_t i = 0; i < rig.count; i++)
		assert_true(first[i] == rig.gradients[i]);
	free(first);
	clear_rig(&rig);
}

static void the_first_micro_batch_needs_no_zeros(void **state)
{
	(void)state;
	check_first(tiny());
	check_first(original());
	check_first(bigram(13));
}

/* Evaluation shares buffers between layers; nothing that is still needed may be overwritten. */
static void check_evaluation(struct aur_model_config config)
{
	struct rig training = rig_of(config, 2, 8, 1);
	struct rig evaluation = rig_of(config, 2, 8, 0);
	struct aur_micro_batch with = micro_batch(&training);
	with.gradients = training.gradients;
	const struct aur_micro_batch without = micro_batch(&training);
	const struct aur_micro_batch alone = micro_batch(&evaluation);
	double losses[2][2];
	assert_int_equal(aur_model_run(training.workspace, &with), AUR_OK);
	memcpy(losses[0], training.loss, sizeof losses[0]);
	assert_int_equal(aur_model_run(training.workspace, &without), AUR_OK);
	memcpy(losses[1], training.loss, sizeof losses[1]);
	assert_int_equal(aur_model_run(evaluation.workspace, &alone), AUR_OK);
	assert_memory_equal(losses[0], losses[1], sizeof losses[0]);
	assert_memory_equal(losses[0], evaluation.loss, sizeof losses[0]);
	clear_rig(&training);
	clear_rig(&evaluation);
}

static void evaluation_gives_the_loss_of_training(void **state)
{
	(void)state;
	struct aur_model_config config = tiny();
	config.n_layer = 4;
	check_evaluation(config);
	config = original();
	config.n_layer = 4;
	check_evaluation(config);
	check_evaluation(bigram(13));
}

static void evaluation_has_no_dropout(void **state)
{
	(void)state;
	struct aur_model_config config = tiny();
	config.dropout = 0.5f;
	config.embedding_dropout = 0.5f;
	struct rig dropping = rig_of(config, 2, 8, 1);
	struct rig plain = rig_of(tiny(), 2, 8, 1);
	const struct aur_step_state step = {.seed = 3};
	struct aur_micro_batch batch = micro_batch(&dropping);
	batch.state = &step;
	assert_int_equal(aur_model_run(dropping.workspace, &batch), AUR_OK);
	batch = micro_batch(&plain);
	assert_int_equal(aur_model_run(plain.workspace, &batch), AUR_OK);
	assert_memory_equal(dropping.loss, plain.loss, 2 * sizeof(double));
	clear_rig(&dropping);
	clear_rig(&plain);
}

/* Two sequences at once draw the masks they draw one at a time: by sample number, not by place in the micro-batch. */
static void dropout_is_drawn_by_sample_number(void **state)
{
	(void)state;
	struct aur_model_config config = original();
	config.dropout = 0.3f;
	struct rig rig = rig_of(config, 2, 8, 1);
	float *one = calloc((size_t)rig.count, sizeof(float));
	struct aur_step_state step = {.seed = 3, .first_sample = 41};
	struct aur_micro_batch batch = micro_batch(&rig);
	batch.gradients = rig.gradients;
	batch.state = &step;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	for (int64_t i = 0; i < 2; i++) {
		batch = one_sequence(&rig, i, one);
		batch.state = &step;
		step.first_sample = 41 + (uint64_t)i;
		assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	}
	assert_true(distance(one, rig.gradients, rig.count) < 1e-6);
	free(one);
	clear_rig(&rig);
}

static void dropout_repeats_with_its_seed_and_changes_with_the_sample(void **state)
{
	(void)state;
	struct aur_model_config config = tiny();
	config.dropout = 0.3f;
	struct rig rig = rig_of(config, 2, 8, 1);
	struct aur_step_state step = {.seed = 3, .first_sample = 5};
	struct aur_micro_batch batch = micro_batch(&rig);
	double first[2];
	batch.gradients = rig.gradients;
	batch.state = &step;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	memcpy(first, rig.loss, sizeof first);
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	assert_memory_equal(rig.loss, first, sizeof first);
	step.first_sample = 6;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	assert_memory_not_equal(rig.loss, first, sizeof first);
	clear_rig(&rig);
}

static aur_status refuse_memory(struct aur_backend *backend, size_t bytes, void **memory)
{
	(void)backend;
	*memory = NULL;
	return aur_fail(AUR_MEMORY, "no memory for %zu bytes", bytes);
}

static void running_takes_no_memory_from_the_backend(void **state)
{
	(void)state;
	struct rig rig = rig_of(tiny(), 2, 8, 1);
	const struct aur_backend_ops *whole = rig.backend->ops;
	struct aur_backend_ops without_memory = *whole;
	without_memory.allocate = refuse_memory;
	rig.backend->ops = &without_memory;
	struct aur_micro_batch batch = micro_batch(&rig);
	batch.gradients = rig.gradients;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	rig.backend->ops = whole;
	clear_rig(&rig);
}

static void lack_of_memory_names_the_largest_part(void **state)
{
	(void)state;
	struct aur_model *model = model_of(tiny());
	struct aur_backend *backend;
	struct aur_workspace *workspace;
	assert_int_equal(aur_cpu_factory.open(&backend), AUR_OK);
	const struct aur_backend_ops *whole = backend->ops;
	struct aur_backend_ops without_memory = *whole;
	without_memory.allocate = refuse_memory;
	backend->ops = &without_memory;
	assert_int_equal(aur_workspace_create(model, backend, 2, 8, 1, AUR_F32, &workspace, NULL), AUR_MEMORY);
	assert_null(workspace);
	assert_non_null(strstr(aur_error_message(), "of which mlp takes"));
	backend->ops = whole;
	aur_backend_close(&backend);
	aur_model_destroy(&model);
}

/* 4,096 rows of 50,257 logits would be 785 MiB. */
static void the_plan_holds_no_full_logits(void **state)
{
	(void)state;
	struct aur_model *model = model_of(gpt2(2, 2, 32));
	struct aur_backend *backend;
	struct aur_workspace *workspace;
	struct aur_arena plan;
	assert_int_equal(aur_cpu_factory.open(&backend), AUR_OK);
	assert_int_equal(aur_workspace_create(model, backend, 4, 1024, 1, AUR_F32, &workspace, &plan), AUR_OK);
	size_t bytes = 0;
	for (int i = 0; i < plan.n_parts; i++)
		bytes += plan.parts[i].bytes;
	assert_int_equal(bytes, plan.used);
	assert_true(bytes < (size_t)4096 * 50257 * sizeof(float) / 4);
	aur_workspace_destroy(&workspace);
	aur_backend_close(&backend);
	aur_model_destroy(&model);
}

static void what_does_not_fit_the_workspace_is_refused(void **state)
{
	(void)state;
	struct rig rig = rig_of(tiny(), 2, 8, 0);
	struct aur_micro_batch batch = micro_batch(&rig);
	batch.gradients = rig.gradients;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_SHAPE);
	batch = micro_batch(&rig);
	batch.positions = 9;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_SHAPE);
	struct aur_workspace *longer;
	assert_int_equal(aur_workspace_create(rig.model, rig.backend, 1, 13, 0, AUR_F32, &longer, NULL), AUR_SHAPE);
	clear_rig(&rig);
}

static void times_are_given_once(void **state)
{
	(void)state;
	struct rig rig = rig_of(tiny(), 2, 8, 1);
	struct aur_micro_batch batch = micro_batch(&rig);
	double forward_s, backward_s;
	batch.gradients = rig.gradients;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	aur_workspace_times(rig.workspace, &forward_s, &backward_s);
	assert_true(forward_s > 0 && backward_s > 0);
	aur_workspace_times(rig.workspace, &forward_s, &backward_s);
	assert_true(forward_s == 0 && backward_s == 0);
	clear_rig(&rig);
}

/* ---- generation ---- */

static double log_sum(const float *logits, int64_t count)
{
	double total = 0;
	for (int64_t i = 0; i < count; i++)
		total += exp((double)logits[i]);
	return log(total);
}

/* -log p(target) of the last position by the full forward pass: the loss of t tokens without that of t - 1. */
static double last_loss(struct rig *rig, int64_t positions, int32_t target)
{
	struct aur_micro_batch batch = micro_batch(rig);
	double before = 0;
	batch.batch = 1;
	batch.positions = positions - 1;
	if (positions > 1) {
		assert_int_equal(aur_model_run(rig->workspace, &batch), AUR_OK);
		before = rig->loss[0];
	}
	batch.positions = positions;
	rig->targets[positions - 1] = target;
	assert_int_equal(aur_model_run(rig->workspace, &batch), AUR_OK);
	return rig->loss[0] - before;
}

static void check_logits(struct rig *rig, const float *logits, int64_t positions)
{
	const int64_t vocabulary = aur_model_config_of(rig->model)->vocab_size;
	const double total = log_sum(logits, vocabulary);
	for (int32_t target = 0; target < vocabulary; target++) {
		const double loss = last_loss(rig, positions, target);
		assert_true(fabs(total - (double)logits[target] - loss) < 1e-5 * (1 + fabs(loss)) * (double)positions);
	}
}

/* A decoder on a backend of its own: scratch memory is reserved for one of workspace and decoder. */
struct decoding {
	struct rig rig;
	struct aur_backend *backend;
	struct aur_decoder *decoder;
};

static struct decoding decoding_of(struct aur_model_config config, int64_t positions)
{
	struct decoding decoding = {.rig = rig_of(config, 1, positions, 0)};
	assert_int_equal(aur_cpu_factory.open(&decoding.backend), AUR_OK);
	assert_int_equal(
		aur_decoder_create(decoding.rig.model, decoding.backend, decoding.rig.weights, &decoding.decoder), AUR_OK);
	return decoding;
}

static void clear_decoding(struct decoding *decoding)
{
	aur_decoder_destroy(&decoding->decoder);
	aur_backend_close(&decoding->backend);
	clear_rig(&decoding->rig);
}

/* Every position's logits are those of the full forward pass. */
static void check_decoder(struct aur_model_config config, int64_t positions)
{
	struct decoding decoding = decoding_of(config, positions);
	const float *logits;
	for (int64_t t = 0; t < positions; t++) {
		assert_int_equal(aur_decoder_append(decoding.decoder, decoding.rig.tokens + t, 1, &logits), AUR_OK);
		assert_int_equal(aur_decoder_position(decoding.decoder), t + 1);
		check_logits(&decoding.rig, logits, t + 1);
	}
	clear_decoding(&decoding);
}

static void decoding_gives_the_logits_of_the_full_forward_pass(void **state)
{
	(void)state;
	check_decoder(tiny(), 12);
	check_decoder(original(), 12);
	check_decoder(bigram(13), 8);
}

/* Longer than the pieces a prompt is cut into. */
static void a_prompt_at_once_is_a_prompt_token_by_token(void **state)
{
	(void)state;
	struct aur_model_config config = tiny();
	config.block_size = 200;
	struct decoding decoding = decoding_of(config, 200);
	const float *logits;
	float at_once[13];
	assert_int_equal(aur_decoder_append(decoding.decoder, decoding.rig.tokens, 150, &logits), AUR_OK);
	memcpy(at_once, logits, sizeof at_once);
	aur_decoder_reset(decoding.decoder);
	assert_int_equal(aur_decoder_position(decoding.decoder), 0);
	for (int64_t t = 0; t < 150; t++)
		assert_int_equal(aur_decoder_append(decoding.decoder, decoding.rig.tokens + t, 1, &logits), AUR_OK);
	assert_true(distance(logits, at_once, 13) < 1e-5);
	clear_decoding(&decoding);
}

static void decoding_refuses_what_does_not_fit(void **state)
{
	(void)state;
	struct decoding decoding = decoding_of(tiny(), 12);
	const float *logits;
	const int32_t foreign = 13;
	assert_int_equal(aur_decoder_append(decoding.decoder, decoding.rig.tokens, 12, &logits), AUR_OK);
	assert_int_equal(aur_decoder_append(decoding.decoder, decoding.rig.tokens, 1, &logits), AUR_SHAPE);
	assert_int_equal(aur_decoder_position(decoding.decoder), 12);
	aur_decoder_reset(decoding.decoder);
	assert_int_equal(aur_decoder_append(decoding.decoder, &foreign, 1, &logits), AUR_SHAPE);
	clear_decoding(&decoding);
}

/* n_head = n_embd / 4, as the original project's code has it. */
static void ninety_six_heads_of_four(void **state)
{
	(void)state;
	struct aur_model_config config = original();
	config.n_layer = 1;
	config.n_head = 96;
	config.n_embd = 384;
	config.mlp_width = 1536;
	config.attention_scale = 0.05103104f;
	check_decoder(config, 4);
	check_accumulation(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gradients_of_micro_batches_add_up),
		cmocka_unit_test(the_first_micro_batch_needs_no_zeros),
		cmocka_unit_test(evaluation_gives_the_loss_of_training),
		cmocka_unit_test(evaluation_has_no_dropout),
		cmocka_unit_test(dropout_is_drawn_by_sample_number),
		cmocka_unit_test(dropout_repeats_with_its_seed_and_changes_with_the_sample),
		cmocka_unit_test(running_takes_no_memory_from_the_backend),
		cmocka_unit_test(lack_of_memory_names_the_largest_part),
		cmocka_unit_test(the_plan_holds_no_full_logits),
		cmocka_unit_test(what_does_not_fit_the_workspace_is_refused),
		cmocka_unit_test(times_are_given_once),
		cmocka_unit_test(decoding_gives_the_logits_of_the_full_forward_pass),
		cmocka_unit_test(a_prompt_at_once_is_a_prompt_token_by_token),
		cmocka_unit_test(decoding_refuses_what_does_not_fit),
		cmocka_unit_test(ninety_six_heads_of_four),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
