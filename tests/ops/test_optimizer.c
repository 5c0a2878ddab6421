#include "oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 40000, SEGMENTS = 5 };

static const struct aur_adamw_segment segments[SEGMENTS] = {
	{0, 1, 0.0f}, {1, 4095, 0.1f}, {4096, 0, 0.5f}, {4096, 17, 0.0f}, {4113, COUNT - 4113, 0.01f}};

static const struct aur_step_state usual = {
	.learning_rate = 3e-3f, .correction1 = 0.271f, .correction2 = 0.142625f, .gradient_scale = 0.4f};

static struct aur_backend *open_backend(void)
{
	return ops_open(&(struct aur_backend_limits){.parameters = COUNT, .training = 1});
}

struct adam_arrays {
	float *w, *g, *m, *v;
};

static struct adam_arrays put_arrays(struct aur_backend *backend)
{
	float *v = ops_random(COUNT, 4, 0.1f);
	for (int i = 0; i < COUNT; i++)
		v[i] *= v[i];
	return (struct adam_arrays){.w = ops_put(backend, ops_random(COUNT, 1, 1.0f), COUNT),
		.g = ops_put(backend, ops_random(COUNT, 2, 1.0f), COUNT),
		.m = ops_put(backend, ops_random(COUNT, 3, 0.1f), COUNT),
		.v = ops_put(backend, v, COUNT)};
}

static struct aur_step_state *put_state(struct aur_backend *backend, const struct aur_step_state *state)
{
	return ops_put_bytes(backend, state, sizeof *state);
}

/* `state` is the backend's. */
static struct aur_adamw op_of(
	const struct adam_arrays *a, int64_t begin, int64_t count, const struct aur_step_state *state)
{
	return (struct aur_adamw){.weights = aur_view1(a->w + begin, count),
		.gradients = aur_view1(a->g + begin, count),
		.m = aur_view1(a->m + begin, count),
		.v = aur_view1(a->v + begin, count),
		.segments = segments,
		.n_segments = SEGMENTS,
		.beta1 = 0.9f,
		.beta2 = 0.95f,
		.epsilon = 1e-8f,
		.state = state};
}

static float decay_of(int64_t element)
{
	int i = 0;
	while (segments[i].begin + segments[i].count <= element)
		i++;
	return segments[i].weight_decay;
}

static void step_follows_the_formula(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend();
	const struct adam_arrays a = put_arrays(backend);
	double *w = ops_doubles(ops_get(backend, a.w, COUNT), COUNT);
	const double *g = ops_doubles(ops_get(backend, a.g, COUNT), COUNT);
	double *m = ops_doubles(ops_get(backend, a.m, COUNT), COUNT);
	double *v = ops_doubles(ops_get(backend, a.v, COUNT), COUNT);
	const struct aur_adamw op = op_of(&a, 0, COUNT, put_state(backend, &usual));
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_OK, "");
	for (int64_t i = 0; i < COUNT; i++) {
		const double gradient = g[i] * (double)usual.gradient_scale;
		m[i] = (double)op.beta1 * m[i] + (1.0 - (double)op.beta1) * gradient;
		v[i] = (double)op.beta2 * v[i] + (1.0 - (double)op.beta2) * gradient * gradient;
		const double direction =
			m[i] / (double)usual.correction1 / (sqrt(v[i] / (double)usual.correction2) + (double)op.epsilon);
		w[i] -= (double)usual.learning_rate * (direction + (double)decay_of(i) * w[i]);
	}
	/* a handful of fp32 roundings each */
	ops_assert_close("w", ops_get(backend, a.w, COUNT), w, COUNT, 5e-7);
	ops_assert_close("m", ops_get(backend, a.m, COUNT), m, COUNT, 5e-7);
	ops_assert_close("v", ops_get(backend, a.v, COUNT), v, COUNT, 5e-7);
	ops_close(&backend);
}

static void skip_writes_nothing(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend();
	const struct adam_arrays a = put_arrays(backend);
	const float *before[] = {ops_get(backend, a.w, COUNT), ops_get(backend, a.m, COUNT), ops_get(backend, a.v, COUNT)};
	struct aur_step_state skipping = usual;
	skipping.skip = 1;
	const struct aur_adamw op = op_of(&a, 0, COUNT, put_state(backend, &skipping));
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_OK, "");
	ops_assert_same_bits("w", before[0], ops_get(backend, a.w, COUNT), COUNT * sizeof(float));
	ops_assert_same_bits("m", before[1], ops_get(backend, a.m, COUNT), COUNT * sizeof(float));
	ops_assert_same_bits("v", before[2], ops_get(backend, a.v, COUNT), COUNT * sizeof(float));
	ops_close(&backend);
}

/* The copy that products read is the one that cast would make, wherever a slice begins, and a skipped step leaves it.
 */
static void the_rounded_copy_is_that_of_cast(void **state)
{
	(void)state;
	static const int64_t cuts[] = {0, 3, 4096, COUNT};
	struct aur_backend *backend = open_backend();
	const struct adam_arrays a = put_arrays(backend);
	const struct aur_step_state *state_there = put_state(backend, &usual);
	const size_t bytes = COUNT * sizeof(uint16_t);
	uint16_t *rounded = ops_put_bytes(backend, NULL, bytes), *cast = ops_put_bytes(backend, NULL, bytes);
	for (int i = 0; i < 3; i++) {
		const int64_t count = cuts[i + 1] - cuts[i];
		const struct aur_adamw_segment one = {0, count, 0.1f};
		struct aur_adamw op = op_of(&a, cuts[i], count, state_there);
		op.rounded = aur_view1_of(rounded + cuts[i], AUR_BF16, count);
		op.segments = &one;
		op.n_segments = 1;
		ops_assert_status(backend->ops->adamw(backend, &op), AUR_OK, "");
	}
	const struct aur_cast convert = {.x = aur_view1(a.w, COUNT), .y = aur_view1_of(cast, AUR_BF16, COUNT)};
	ops_assert_status(backend->ops->cast(backend, &convert), AUR_OK, "");
	uint16_t *got = malloc(bytes), *wanted = malloc(bytes);
	ops_get_bytes(backend, got, rounded, bytes);
	ops_get_bytes(backend, wanted, cast, bytes);
	ops_assert_same_bits("rounded", wanted, got, bytes);
	struct aur_step_state skipping = usual;
	skipping.skip = 1;
	struct aur_adamw op = op_of(&a, 0, COUNT, put_state(backend, &skipping));
	op.rounded = aur_view1_of(rounded, AUR_BF16, COUNT);
	ops_assert_status(backend->ops->zero(backend, rounded, bytes), AUR_OK, "");
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_OK, "");
	memset(wanted, 0, bytes);
	ops_get_bytes(backend, got, rounded, bytes);
	ops_assert_same_bits("after a skipped step", wanted, got, bytes);
	op.rounded = aur_view1(a.m, COUNT);
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_SHAPE, "adamw: rounded is");
	free(got);
	free(wanted);
	ops_close(&backend);
}

static void run_step(const void *argument, void *result)
{
	(void)argument;
	struct aur_backend *backend = open_backend();
	const struct adam_arrays a = put_arrays(backend);
	const struct aur_adamw op = op_of(&a, 0, COUNT, put_state(backend, &usual));
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_OK, "");
	ops_get_bytes(backend, result, a.w, COUNT * sizeof(float));
	ops_close(&backend);
}

/* Each rank steps its own slice; where slices are cut must not show in the weights. */
static void a_step_in_slices_gives_the_same_bits(void **state)
{
	(void)state;
	static const struct aur_adamw_segment whole[] = {{0, COUNT, 0.1f}};
	static const int64_t cuts[] = {0, 3, 4096, 12295, COUNT};
	struct aur_backend *backend = open_backend();
	const struct adam_arrays once = put_arrays(backend);
	const struct adam_arrays sliced = put_arrays(backend);
	const struct aur_step_state *state_there = put_state(backend, &usual);
	struct aur_adamw_segment parts[4];
	struct aur_adamw op = op_of(&once, 0, COUNT, state_there);
	op.segments = whole;
	op.n_segments = 1;
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_OK, "");
	for (int i = 0; i < 4; i++) {
		parts[i] = (struct aur_adamw_segment){0, cuts[i + 1] - cuts[i], 0.1f};
		op = op_of(&sliced, cuts[i], parts[i].count, state_there);
		op.segments = &parts[i];
		op.n_segments = 1;
		ops_assert_status(backend->ops->adamw(backend, &op), AUR_OK, "");
	}
	const size_t bytes = COUNT * sizeof(float);
	ops_assert_same_bits("w", ops_get(backend, once.w, COUNT), ops_get(backend, sliced.w, COUNT), bytes);
	ops_assert_same_bits("m", ops_get(backend, once.m, COUNT), ops_get(backend, sliced.m, COUNT), bytes);
	ops_assert_same_bits("v", ops_get(backend, once.v, COUNT), ops_get(backend, sliced.v, COUNT), bytes);
	ops_close(&backend);
}

static double *put_sums(struct aur_backend *backend, const float *x, int64_t count)
{
	const int64_t blocks = (count + AUR_NORM_BLOCK - 1) / AUR_NORM_BLOCK;
	double *sums = ops_put_bytes(backend, NULL, (size_t)blocks * sizeof *sums);
	const struct aur_sum_of_squares op = {
		.x = aur_view1(ops_put(backend, x, count), count), .sums = ops_view_f64(sums, blocks)};
	ops_assert_status(backend->ops->sum_of_squares(backend, &op), AUR_OK, "");
	return sums;
}

static void sums_of_squares_are_per_block(void **state)
{
	(void)state;
	static const int64_t counts[] = {1, 17, AUR_NORM_BLOCK, AUR_NORM_BLOCK + 1, 3 * AUR_NORM_BLOCK - 5};
	for (int k = 0; k < 5; k++) {
		struct aur_backend *backend = open_backend();
		const float *x = ops_random(counts[k], 1, 3.0f);
		const int64_t blocks = (counts[k] + AUR_NORM_BLOCK - 1) / AUR_NORM_BLOCK;
		double *want = ops_memory((size_t)blocks * sizeof *want);
		for (int64_t i = 0; i < counts[k]; i++)
			want[i / AUR_NORM_BLOCK] += (double)x[i] * (double)x[i];
		const double *sums = put_sums(backend, x, counts[k]);
		/* fp64 sums of 4,096 numbers in another order */
		ops_assert_close_f64("sums", ops_get_doubles(backend, sums, blocks), want, blocks, 1e-13);
		ops_close(&backend);
	}
}

static void run_sums(const void *argument, void *result)
{
	(void)argument;
	struct aur_backend *backend = open_backend();
	const double *sums = put_sums(backend, ops_random(COUNT, 1, 1.0f), COUNT);
	ops_get_bytes(backend, result, sums, (COUNT + AUR_NORM_BLOCK - 1) / AUR_NORM_BLOCK * sizeof *sums);
	ops_close(&backend);
}

static void bits_do_not_depend_on_the_number_of_threads(void **state)
{
	(void)state;
	ops_assert_thread_independent("adamw", run_step, NULL, COUNT * sizeof(float));
	ops_assert_thread_independent(
		"sum_of_squares", run_sums, NULL, (COUNT + AUR_NORM_BLOCK - 1) / AUR_NORM_BLOCK * sizeof(double));
}

static const double beta1 = 0.9, beta2 = 0.95;

static struct aur_step_state clip_after(
	const struct aur_step_state *before, const double *sums, int64_t blocks, float max_norm)
{
	struct aur_backend *backend = open_backend();
	struct aur_step_state *state = put_state(backend, before);
	const struct aur_clip op = {
		.sums = ops_view_f64(ops_put_bytes(backend, sums, (size_t)blocks * sizeof *sums), blocks),
		.max_norm = max_norm,
		.beta1 = beta1,
		.beta2 = beta2,
		.state = state};
	ops_assert_status(backend->ops->clip(backend, &op), AUR_OK, "");
	struct aur_step_state after;
	ops_get_bytes(backend, &after, state, sizeof after);
	assert_int_equal(after.seed, before->seed);
	assert_true(after.learning_rate == before->learning_rate);
	ops_close(&backend);
	return after;
}

static struct aur_step_state clip(const double *sums, int64_t blocks, float max_norm)
{
	return clip_after(&(struct aur_step_state){.seed = 5, .learning_rate = 0.5f, .skip = 7}, sums, blocks, max_norm);
}

/* A device may have a power of its own, a unit or two in the last place of fp64 away: fp32 then differs by one at most.
 */
static void assert_corrections(const struct aur_step_state *state, double t)
{
	const double first = 1.0 - pow(beta1, t), second = 1.0 - pow(beta2, t);
	assert_true(fabs((double)state->correction1 - first) <= 1.2e-7 * first);
	assert_true(fabs((double)state->correction2 - second) <= 1.2e-7 * second);
}

/* Nobody but the operation counts: the host learns of a step when the next one is on its way. */
static void an_update_is_counted_and_corrected_for(void **state)
{
	(void)state;
	const int64_t updates[] = {0, 1, 41, 100000};
	for (int i = 0; i < 4; i++) {
		const struct aur_step_state before = {.updates = updates[i], .skipped_in_a_row = 3};
		const struct aur_step_state after = clip_after(&before, (double[]){9.0, 16.0}, 2, 1.0f);
		assert_int_equal(after.updates, updates[i] + 1);
		assert_int_equal(after.skipped_in_a_row, 0);
		assert_corrections(&after, (double)(updates[i] + 1));
	}
}

static void a_skipped_step_is_no_update(void **state)
{
	(void)state;
	const struct aur_step_state before = {
		.updates = 6, .skipped_in_a_row = 3, .correction1 = 0.5f, .correction2 = 0.25f};
	const struct aur_step_state after = clip_after(&before, (double[]){NAN, 16.0}, 2, 1.0f);
	assert_int_equal(after.updates, 6);
	assert_int_equal(after.skipped_in_a_row, 4);
	assert_true(after.correction1 == 0.5f && after.correction2 == 0.25f);
}

static void clipping_scales_large_gradients_alone(void **state)
{
	(void)state;
	const double sums[] = {9.0, 16.0};
	const struct aur_step_state large = clip(sums, 2, 1.0f);
	assert_true(large.norm == 5.0 && large.gradient_scale == 0.2f && large.skip == 0);
	const struct aur_step_state small = clip(sums, 2, 10.0f);
	assert_true(small.norm == 5.0 && small.gradient_scale == 1.0f && small.skip == 0);
	const struct aur_step_state off = clip(sums, 2, 0.0f);
	assert_true(off.norm == 5.0 && off.gradient_scale == 1.0f && off.skip == 0);
}

static void a_norm_that_is_not_finite_skips_the_step(void **state)
{
	(void)state;
	assert_int_equal(clip((double[]){1.0, NAN}, 2, 1.0f).skip, 1);
	assert_int_equal(clip((double[]){INFINITY, 1.0}, 2, 0.0f).skip, 1);
	assert_int_equal(clip((double[]){0.0}, 1, 1.0f).skip, 0);
}

static void segments_that_do_not_cover_the_slice_are_refused(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend();
	const struct adam_arrays a = put_arrays(backend);
	struct aur_adamw op = op_of(&a, 0, COUNT, put_state(backend, &usual));
	op.n_segments = SEGMENTS - 1;
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_SHAPE, "adamw: segments cover 4113 elements");
	op.segments = segments + 1;
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_SHAPE, "adamw: segment 0 begins at 1");
	op = op_of(&a, 0, COUNT, put_state(backend, &usual));
	op.m = aur_view1(a.m, COUNT - 1);
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_SHAPE, "adamw: m");
	op = op_of(&a, 0, COUNT, NULL);
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_SHAPE, "adamw: state is absent");
	double *sums = ops_put_bytes(backend, NULL, 3 * sizeof *sums);
	const struct aur_sum_of_squares squares = {.x = aur_view1(a.w, COUNT), .sums = ops_view_f64(sums, 3)};
	ops_assert_status(backend->ops->sum_of_squares(backend, &squares), AUR_SHAPE, "sum_of_squares: sums");
	const struct aur_clip clipping = {.sums = ops_view_f64(sums, 3)};
	ops_assert_status(backend->ops->clip(backend, &clipping), AUR_SHAPE, "clip: state is absent");
	const struct aur_clip flat = {.sums = ops_view_f64(sums, 3), .beta1 = 1.0, .state = put_state(backend, &usual)};
	ops_assert_status(backend->ops->clip(backend, &flat), AUR_SHAPE, "clip: betas 1 and 0");
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(step_follows_the_formula),
		cmocka_unit_test(skip_writes_nothing),
		cmocka_unit_test(the_rounded_copy_is_that_of_cast),
		cmocka_unit_test(a_step_in_slices_gives_the_same_bits),
		cmocka_unit_test(sums_of_squares_are_per_block),
		cmocka_unit_test(bits_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(clipping_scales_large_gradients_alone),
		cmocka_unit_test(a_norm_that_is_not_finite_skips_the_step),
		cmocka_unit_test(an_update_is_counted_and_corrected_for),
		cmocka_unit_test(a_skipped_step_is_no_update),
		cmocka_unit_test(segments_that_do_not_cover_the_slice_are_refused),
	};
	return ops_main("optimizer", tests, sizeof tests / sizeof *tests);
}
