/* The rows of cross-entropy, seen through head_loss with a width of 1: with x = 1 the logits are w, and what d_w gains
 * is the gradient of the one row. */

#include "oracle.h"

#include <math.h>
#include <string.h>

/* An exponential that counts is within 3e-7 of itself, and so is a sum of them in fp32 over 512; of bf16 before it is
 * rounded. */
static const double tolerance = 2e-6;

/* More than one piece of 512 columns, none whole, and more than 256 pieces of 512. */
static const int64_t sizes[] = {1, 5, 512, 513, 1300, 50257, 140001};
static const enum aur_dtype types[] = {AUR_F32, AUR_BF16};

enum pattern { RANDOM, RISING, FALLING, LIKELY, MASKED, PATTERNS };

static float logit(enum pattern pattern, int64_t i, int64_t n, const float *random)
{
	switch (pattern) {
	case RISING: /* later columns make earlier ones vanish */
		return 300.0f * (float)i / (float)n - 100.0f;
	case FALLING:
		return 90.0f - 40.0f * (float)i / (float)n;
	case LIKELY: /* one column has nearly all */
		return i == 0 ? 4.0f : -0.01f * (float)i;
	case MASKED: /* minus infinity in the whole of the first piece, if there is a second */
		return i < 600 && i + 1 < n ? -INFINITY : random[i];
	default:
		return random[i];
	}
}

struct row {
	enum pattern pattern;
	enum aur_dtype type;
	int64_t n;
	int32_t target;
	float scale;
};

static float *logits_of(const struct row *row)
{
	float *x = ops_random(row->n, 4, 3.0f);
	for (int64_t i = 0; i < row->n; i++)
		x[i] = logit(row->pattern, i, row->n, x);
	return ops_round(row->type, x, row->n);
}

/* The gradient; *loss gets the loss. */
static float *run(
	struct aur_backend *backend, const struct row *row, const float *logits, int with_gradient, double *loss)
{
	const float one = 1.0f;
	double *device_loss = ops_put_bytes(backend, NULL, sizeof *device_loss);
	float *d_w = ops_put_zeros(backend, row->n);
	const struct aur_head_loss op = {.x = aur_view2_of(ops_put_as(backend, row->type, &one, 1), row->type, 1, 1),
		.w = aur_view2_of(ops_put_as(backend, row->type, logits, row->n), row->type, row->n, 1),
		.targets = aur_view_tokens(ops_put_tokens(backend, &row->target, 1), 1, 1),
		.loss = ops_view_f64(device_loss, 1),
		.d_x = aur_view2_of(with_gradient ? ops_put_as(backend, row->type, NULL, 1) : NULL, row->type, 1, 1),
		.d_w = aur_view2(d_w, row->n, 1),
		.gradient_scale = row->scale};
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_OK, "");
	*loss = *ops_get_doubles(backend, device_loss, 1);
	return ops_get(backend, d_w, row->n);
}

static struct aur_backend *open_for(const struct row *row)
{
	return ops_open(&(struct aur_backend_limits){.batch = 1,
		.positions = 1,
		.width = 1,
		.heads = 1,
		.mlp_width = 1,
		.vocabulary = row->n,
		.activations = row->type,
		.training = 1});
}

static void check(const struct row *row)
{
	struct aur_backend *backend = open_for(row);
	const float *logits = logits_of(row);
	double *want = ops_doubles(logits, row->n), max = -INFINITY, sum = 0.0, loss, alone;
	for (int64_t i = 0; i < row->n; i++)
		max = fmax(max, want[i]);
	for (int64_t i = 0; i < row->n; i++)
		sum += exp(want[i] - max);
	const double expected = log(sum) + max - want[row->target];
	for (int64_t i = 0; i < row->n; i++)
		want[i] = (exp(want[i] - max) / sum - (i == row->target)) * (double)row->scale;
	const float *got = run(backend, row, logits, 1, &loss);
	run(backend, row, logits, 0, &alone);
	ops_assert_close_f64("loss", &loss, &expected, 1, tolerance);
	ops_assert_same_bits("loss without a gradient", &loss, &alone, sizeof loss);
	ops_assert_close_as("gradient", row->type, got, want, row->n, tolerance);
	ops_close(&backend);
}

static void rows_of_all_lengths_match_float64(void **state)
{
	(void)state;
	for (int p = 0; p < PATTERNS; p++)
		for (size_t t = 0; t < sizeof types / sizeof *types; t++)
			for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
				check(&(struct row){(enum pattern)p, types[t], sizes[i], (int32_t)(sizes[i] - 1), 0.37f});
}

/* Of a target with nearly all of the probability little is left: the one is taken away before anything is rounded. */
static void likely_target_is_rounded_after_the_one_is_taken(void **state)
{
	(void)state;
	check(&(struct row){LIKELY, AUR_F32, 3, 0, 1.0f});
	check(&(struct row){LIKELY, AUR_BF16, 3, 0, 1.0f});
}

static void nan_in_a_row_shows_in_its_loss(void **state)
{
	(void)state;
	const struct row row = {RANDOM, AUR_F32, 1300, 7, 1.0f};
	struct aur_backend *backend = open_for(&row);
	for (int64_t at = 0; at < row.n; at += 433) {
		float *logits = logits_of(&row);
		double loss;
		logits[at] = NAN;
		const float *gradient = run(backend, &row, logits, 1, &loss);
		assert_true(isnan(loss) && isnan(gradient[row.target]) && isnan(gradient[row.n - 1]));
	}
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_of_all_lengths_match_float64),
		cmocka_unit_test(likely_target_is_rounded_after_the_one_is_taken),
		cmocka_unit_test(nan_in_a_row_shows_in_its_loss),
	};
	return ops_main("cross_entropy", tests, sizeof tests / sizeof *tests);
}
