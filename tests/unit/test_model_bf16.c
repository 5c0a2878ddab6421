/* The models in bf16: products and activations of 8 bits of mantissa, everything else as in fp32. The operations work
 * under every instruction set, so this does too; where they are fast is not asked here. */

#include "model_helpers.h"

#include "core/rng.h"
#include "cpu/cpu.h"
#include "train/precision.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 3, POSITIONS = 20 };

static const char *const variants[] = {"baseline", "avx2", "avx512", "avx512bf16"};
enum { VARIANTS = sizeof variants / sizeof *variants };

/* Every stored activation is rounded to 2^-9 of itself. A gradient passes some twenty of them there and back, in random
 * directions: sqrt(20) 2^-9 is 0.9%, which norms and softmax make up to 2.2% (measured, GELU). ReLU adds to it: units
 * within a rounding of zero change sides, and their whole gradient comes or goes (6.3% was measured; the same model
 * with GELU: 1.5%). A gradient that is lost, or a mask of other bits, shows by tens of percent. */
static const double gradient_tolerance = 0.1;
/* The loss is a mean over 60 positions of logits with such errors. */
static const double loss_tolerance = 0.005;

static struct aur_model_config small(void)
{
	struct aur_model_config config = gpt2(2, 4, 48);
	config.vocab_size = 61;
	config.block_size = POSITIONS;
	return config;
}

static struct aur_model_config small_original(void)
{
	struct aur_model_config config = original();
	config.vocab_size = 61;
	config.block_size = POSITIONS;
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
	enum aur_dtype compute;
	int64_t count;
	float *weights, *gradients;
	void *compute_weights;
	int32_t tokens[BATCH * POSITIONS], targets[BATCH * POSITIONS];
	double loss[BATCH];
	struct aur_arena plan;
};

static struct rig rig_of(struct aur_model_config config, enum aur_dtype compute, int training)
{
	struct rig rig = {.model = model_of(config), .compute = compute};
	assert_int_equal(aur_cpu_factory.open(&rig.backend), AUR_OK);
	assert_int_equal(
		aur_workspace_create(rig.model, rig.backend, BATCH, POSITIONS, training, compute, &rig.workspace, &rig.plan),
		AUR_OK);
	rig.count = aur_model_parameters(rig.model)->count;
	rig.weights = calloc((size_t)rig.count, sizeof(float));
	rig.gradients = calloc((size_t)rig.count, sizeof(float));
	rig.compute_weights = compute == AUR_F32 ? NULL : calloc((size_t)rig.count, aur_dtype_bytes(compute));
	/* Larger than initial weights, so that softmax and norms are bent, but of a trained model's size. */
	draw_weights(rig.model, 0.1, rig.weights);
	assert_int_equal(aur_precision_round(rig.backend, compute, rig.weights, rig.compute_weights, rig.count), AUR_OK);
	for (uint32_t i = 0; i < BATCH * POSITIONS; i++) {
		const struct aur_random4 random = aur_philox(2, i, 0, 0);
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
	free(rig->compute_weights);
}

static struct aur_micro_batch micro_batch(struct rig *rig, float *gradients)
{
	return (struct aur_micro_batch){
		.tokens = rig->tokens,
		.targets = rig->targets,
		.batch = BATCH,
		.positions = POSITIONS,
		.weights = rig->weights,
		.compute_weights = rig->compute_weights,
		.loss = rig->loss,
		.gradients = gradients,
		.gradient_scale = 1.0f / (BATCH * POSITIONS),
	};
}

static void run(struct rig *rig, const struct aur_step_state *state)
{
	struct aur_micro_batch batch = micro_batch(rig, rig->gradients);
	batch.state = state;
	memset(rig->gradients, 0, (size_t)rig->count * sizeof(float));
	assert_int_equal(aur_model_run(rig->workspace, &batch), AUR_OK);
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

/* K's bias has no gradient (softmax ignores a constant): a tensor of such rows is compared by its other groups. */
static void check_tensor(const struct aur_parameter *item, const float *narrow, const float *wide, double *worst)
{
	const int64_t count = item->count / item->row_groups;
	for (int group = 0; group < item->row_groups; group++) {
		const int64_t begin = item->offset + group * count;
		if (item->row_groups > 1 && item->dims == 1 && group == 1)
			continue;
		const double error = distance(narrow + begin, wide + begin, count);
		if (!(error <= gradient_tolerance))
			fail_msg("gradient of %s, row group %d: relative error %.3g", item->name, group, error);
		*worst = fmax(*worst, error);
	}
}

static void check_against_fp32(struct aur_model_config config, const struct aur_step_state *state)
{
	struct rig narrow = rig_of(config, AUR_BF16, 1), wide = rig_of(config, AUR_F32, 1);
	const struct aur_parameters *parameters = aur_model_parameters(wide.model);
	double worst = 0;
	run(&narrow, state);
	run(&wide, state);
	for (int i = 0; i < BATCH; i++)
		assert_true(fabs(narrow.loss[i] / wide.loss[i] - 1) < loss_tolerance);
	for (int64_t i = 0; i < parameters->n_items; i++)
		check_tensor(&parameters->items[i], narrow.gradients, wide.gradients, &worst);
	/* Equal to fp32's in every bit, nothing would have been rounded. */
	assert_true(worst > 1e-4);
	printf("%s norm: gradients differ from fp32's by at most %.2g\n", config.post_norm ? "post" : "pre", worst);
	clear_rig(&narrow);
	clear_rig(&wide);
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

static void gradients_are_those_of_fp32(void **state)
{
	(void)state;
	for (int i = 0; i < VARIANTS; i++) {
		if (!choose_variant(variants[i]))
			continue;
		check_against_fp32(small(), NULL);
		check_against_fp32(small_original(), NULL);
	}
	unsetenv("AURELIUS_CPU_VARIANT");
}

/* The masks are those of fp32: other ones would make other gradients, not close ones. */
static void dropout_draws_the_masks_of_fp32(void **state)
{
	(void)state;
	const struct aur_step_state step = {.seed = 3, .first_sample = 41};
	struct aur_model_config config = small();
	config.dropout = config.embedding_dropout = 0.2f;
	check_against_fp32(config, &step);
	config = small_original();
	config.dropout = config.embedding_dropout = 0.2f;
	check_against_fp32(config, &step);
}

/* Scratch memory is reserved for as many threads as there are when the workspace is made. */
enum { MOST_THREADS = 3 };

static void check_threads(struct aur_model_config config)
{
	omp_set_num_threads(MOST_THREADS);
	struct rig rig = rig_of(config, AUR_BF16, 1);
	double loss[BATCH];
	float *first = calloc((size_t)rig.count, sizeof *first);
	run(&rig, NULL);
	memcpy(first, rig.gradients, (size_t)rig.count * sizeof *first);
	memcpy(loss, rig.loss, sizeof loss);
	for (int threads = 1; threads < MOST_THREADS; threads++) {
		omp_set_num_threads(threads);
		run(&rig, NULL);
		assert_memory_equal(first, rig.gradients, (size_t)rig.count * sizeof *first);
		assert_memory_equal(loss, rig.loss, sizeof loss);
	}
	free(first);
	clear_rig(&rig);
}

static void threads_give_equal_bits(void **state)
{
	(void)state;
	const int before = omp_get_max_threads();
	check_threads(small());
	check_threads(small_original());
	omp_set_num_threads(before);
}

/* Evaluation shares buffers between layers; nothing that is still needed may be overwritten. */
static void check_evaluation(struct aur_model_config config)
{
	struct rig training = rig_of(config, AUR_BF16, 1), evaluation = rig_of(config, AUR_BF16, 0);
	const struct aur_micro_batch alone = micro_batch(&evaluation, NULL);
	run(&training, NULL);
	assert_int_equal(aur_model_run(evaluation.workspace, &alone), AUR_OK);
	assert_memory_equal(training.loss, evaluation.loss, sizeof training.loss);
	clear_rig(&training);
	clear_rig(&evaluation);
}

static void evaluation_gives_the_loss_of_training(void **state)
{
	(void)state;
	check_evaluation(small());
	check_evaluation(small_original());
}

/* What is rounded belongs to one sequence: those beside it in a micro-batch change nothing but the order in which fp32
 * gradients are added up. */
static void gradients_of_micro_batches_add_up(void **state)
{
	(void)state;
	struct rig rig = rig_of(small_original(), AUR_BF16, 1);
	float *all = calloc((size_t)rig.count, sizeof *all);
	run(&rig, NULL);
	memcpy(all, rig.gradients, (size_t)rig.count * sizeof *all);
	memset(rig.gradients, 0, (size_t)rig.count * sizeof *rig.gradients);
	for (int i = 0; i < BATCH; i++) {
		struct aur_micro_batch batch = micro_batch(&rig, rig.gradients);
		batch.tokens += i * POSITIONS;
		batch.targets += i * POSITIONS;
		batch.batch = 1;
		assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_OK);
	}
	/* A product of other shape may add in another order, and where its sum stands between two numbers of bf16 it is
	 * rounded to the other one: a few in a thousand activations then differ by 2^-8. */
	assert_true(distance(rig.gradients, all, rig.count) < 1e-3);
	free(all);
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
	struct rig rig = rig_of(small(), AUR_BF16, 1);
	const struct aur_backend_ops *whole = rig.backend->ops;
	struct aur_backend_ops without_memory = *whole;
	without_memory.allocate = refuse_memory;
	rig.backend->ops = &without_memory;
	run(&rig, NULL);
	rig.backend->ops = whole;
	clear_rig(&rig);
}

static size_t part_bytes(const struct aur_arena *plan, const char *name)
{
	size_t bytes = 0;
	for (int i = 0; i < plan->n_parts; i++)
		if (strcmp(plan->parts[i].name, name) == 0)
			bytes += plan->parts[i].bytes;
	return bytes;
}

static void activations_take_half_the_memory(void **state)
{
	(void)state;
	static const char *const halved[] = {"residual stream", "mlp", "backward"};
	struct aur_model_config config = small();
	config.n_embd = 128;
	config.mlp_width = 512;
	struct rig narrow = rig_of(config, AUR_BF16, 1), wide = rig_of(config, AUR_F32, 1);
	for (size_t i = 0; i < sizeof halved / sizeof *halved; i++) {
		assert_true(part_bytes(&wide.plan, halved[i]) > 0);
		assert_int_equal(2 * part_bytes(&narrow.plan, halved[i]), part_bytes(&wide.plan, halved[i]));
	}
	clear_rig(&narrow);
	clear_rig(&wide);
}

static void weights_that_were_not_rounded_are_refused(void **state)
{
	(void)state;
	struct rig rig = rig_of(small(), AUR_BF16, 1);
	struct aur_micro_batch batch = micro_batch(&rig, rig.gradients);
	batch.compute_weights = NULL;
	assert_int_equal(aur_model_run(rig.workspace, &batch), AUR_SHAPE);
	struct aur_workspace *other;
	assert_int_equal(
		aur_workspace_create(rig.model, rig.backend, BATCH, POSITIONS, 1, AUR_I32, &other, NULL), AUR_SHAPE);
	clear_rig(&rig);
}

/* Its table is used where it lies, and needs no rounded copy. */
static void a_bigram_stays_with_fp32(void **state)
{
	(void)state;
	struct aur_model_config config = bigram(61);
	config.block_size = POSITIONS;
	struct rig narrow = rig_of(config, AUR_BF16, 1), wide = rig_of(config, AUR_F32, 1);
	free(narrow.compute_weights);
	narrow.compute_weights = NULL;
	run(&narrow, NULL);
	run(&wide, NULL);
	assert_memory_equal(narrow.loss, wide.loss, sizeof narrow.loss);
	assert_memory_equal(narrow.gradients, wide.gradients, (size_t)wide.count * sizeof(float));
	assert_int_equal(narrow.plan.used, wide.plan.used);
	clear_rig(&narrow);
	clear_rig(&wide);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gradients_are_those_of_fp32),
		cmocka_unit_test(dropout_draws_the_masks_of_fp32),
		cmocka_unit_test(threads_give_equal_bits),
		cmocka_unit_test(evaluation_gives_the_loss_of_training),
		cmocka_unit_test(gradients_of_micro_batches_add_up),
		cmocka_unit_test(running_takes_no_memory_from_the_backend),
		cmocka_unit_test(activations_take_half_the_memory),
		cmocka_unit_test(weights_that_were_not_rounded_are_refused),
		cmocka_unit_test(a_bigram_stays_with_fp32),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
