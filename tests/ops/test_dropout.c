/* Dropout's masks, seen through residual_norm_forward without a: there s = dropout(b). */

#include "oracle.h"

#include "core/rng.h"

#include <math.h>
#include <string.h>

struct shape {
	int64_t batch, positions, columns;
};

/* Widths of one group of eight, of several, of none whole; more than the 128 elements drawn at a time. */
static const struct shape shapes[] = {{1, 1, 1}, {2, 3, 7}, {2, 5, 8}, {3, 7, 13}, {2, 3, 128}, {1, 2, 130},
	{2, 37, 24}, {1, 3, 1000}, {2, 129, 3}, {1, 40, 512}};

static struct aur_dropout dropout_of(struct aur_backend *backend, float p, uint64_t first_sample)
{
	const struct aur_step_state state = {.seed = 0x123456789abcdef0u, .first_sample = first_sample};
	return (struct aur_dropout){
		.p = p, .site = AUR_SITE_DROP_MLP_OUT, .layer = 11, .state = ops_put_bytes(backend, &state, sizeof state)};
}

/* What dropout makes of `x`. */
static float *dropped(
	struct aur_backend *backend, const struct aur_dropout *dropout, struct shape shape, const float *x)
{
	const int64_t rows = shape.batch * shape.positions, count = rows * shape.columns;
	float *s = ops_put(backend, NULL, count);
	const struct aur_residual_norm_forward op = {.b = aur_view2(ops_put(backend, x, count), rows, shape.columns),
		.s = aur_view2(s, rows, shape.columns),
		.y = aur_view2(ops_put(backend, NULL, count), rows, shape.columns),
		.gamma = aur_view1(ops_put_zeros(backend, shape.columns), shape.columns),
		.mean = aur_view1(ops_put(backend, NULL, rows), rows),
		.rstd = aur_view1(ops_put(backend, NULL, rows), rows),
		.sequence = shape.positions,
		.dropout = *dropout};
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_OK, "");
	return ops_get(backend, s, count);
}

static float *ones(int64_t n)
{
	float *x = ops_memory((size_t)n * sizeof *x);
	for (int64_t i = 0; i < n; i++)
		x[i] = 1.0f;
	return x;
}

static struct aur_backend *open_for(struct shape shape)
{
	return ops_open(&(struct aur_backend_limits){
		.batch = shape.batch, .positions = shape.positions, .width = shape.columns, .heads = 1, .training = 1});
}

static void compare_masks(struct shape shape, float p, uint64_t first_sample)
{
	struct aur_backend *backend = open_for(shape);
	const int64_t rows = shape.batch * shape.positions, count = rows * shape.columns;
	const struct aur_dropout dropout = dropout_of(backend, p, first_sample);
	const float *mask = dropped(backend, &dropout, shape, ones(count));
	struct aur_step_state state;
	ops_get_bytes(backend, &state, dropout.state, sizeof state);
	struct aur_dropout on_host = dropout;
	on_host.state = &state;
	for (int64_t i = 0; i < count; i++) {
		const int64_t row = i / shape.columns;
		const double want = ops_dropout_factor(
			&on_host, 0, row / shape.positions, row % shape.positions, i % shape.columns, shape.columns);
		if (mask[i] != (float)want)
			fail_msg("element %lld of [%lld,%lld,%lld], p %g: got %g, want %g", (long long)i, (long long)shape.batch,
				(long long)shape.positions, (long long)shape.columns, (double)p, (double)mask[i], want);
	}
	ops_close(&backend);
}

/* Every element equals the definition, drawn one at a time by Random123's Philox. */
static void masks_are_philox_bits_of_their_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		compare_masks(shapes[i], 0.1f, 5);
		compare_masks(shapes[i], 0.5f, 0xfffffffffu);
	}
}

/* round(65536 p) may be 0, or all but one of the half-words. */
static void extreme_probabilities(void **state)
{
	(void)state;
	compare_masks((struct shape){2, 3, 40}, 1e-6f, 0);
	compare_masks((struct shape){2, 3, 40}, 0.99999f, 0);
}

/* The mask belongs to the sequence's global number, so that a batch may be cut anywhere. */
static void masks_follow_the_sample_not_the_batch(void **state)
{
	(void)state;
	const struct shape both = {2, 5, 24}, one = {1, 5, 24};
	struct aur_backend *backend = open_for(both);
	const struct aur_dropout whole = dropout_of(backend, 0.3f, 40), second = dropout_of(backend, 0.3f, 41);
	const float *together = dropped(backend, &whole, both, ones(2 * 5 * 24));
	const float *alone = dropped(backend, &second, one, ones(5 * 24));
	ops_assert_same_bits("second sequence", together + 5 * 24, alone, 5 * 24 * sizeof(float));
	ops_close(&backend);
}

/* 65,536 elements: the share of zeros within five standard deviations. */
static void share_of_zeros_is_p(void **state)
{
	(void)state;
	const struct shape shape = {4, 64, 256};
	struct aur_backend *backend = open_for(shape);
	const struct aur_dropout dropout = dropout_of(backend, 0.2f, 0);
	const float *mask = dropped(backend, &dropout, shape, ones(65536));
	int zeros = 0;
	for (int i = 0; i < 65536; i++)
		zeros += mask[i] == 0.0f;
	assert_true(fabs(zeros / 65536.0 - 0.2) < 5.0 * sqrt(0.2 * 0.8 / 65536.0));
	ops_close(&backend);
}

/* A NaN that is dropped still shows: training must see that it diverged. */
static void dropped_nan_stays_nan(void **state)
{
	(void)state;
	const struct shape shape = {1, 4, 8};
	struct aur_backend *backend = open_for(shape);
	const struct aur_dropout dropout = dropout_of(backend, 0.9f, 0);
	float *x = ones(32);
	x[13] = NAN;
	assert_true(isnan(dropped(backend, &dropout, shape, x)[13]));
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(masks_are_philox_bits_of_their_place),
		cmocka_unit_test(extreme_probabilities),
		cmocka_unit_test(masks_follow_the_sample_not_the_batch),
		cmocka_unit_test(share_of_zeros_is_p),
		cmocka_unit_test(dropped_nan_stays_nan),
	};
	return ops_main("dropout", tests, sizeof tests / sizeof *tests);
}
