/* relu, gelu and gelu_tanh against float64, element by element. */

#include "oracle.h"

#include <math.h>
#include <string.h>

static const enum aur_dtype types[] = {AUR_F32, AUR_BF16};
static const enum aur_activation_kind kinds[] = {AUR_RELU, AUR_GELU, AUR_GELU_TANH};
enum { KINDS = sizeof kinds / sizeof *kinds, TYPES = sizeof types / sizeof *types };

/* The product of an exponential and a polynomial in fp32, each within 3e-7 of itself. */
static const double tolerance = 1e-6;

/* Slopes are differences of numbers near 1/2, and d_y multiplies what rounding leaves. */
static const double slope_tolerance = 4e-6;

static double reference(enum aur_activation_kind kind, double x)
{
	const double pi = 3.14159265358979323846;
	if (kind == AUR_RELU)
		return x > 0.0 ? x : 0.0;
	if (kind == AUR_GELU)
		return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
	return 0.5 * x * (1.0 + tanh(sqrt(2.0 / pi) * (x + 0.044715 * x * x * x)));
}

static double reference_at(const double *x, void *kind)
{
	return reference(*(enum aur_activation_kind *)kind, *x);
}

static float *forward(struct aur_backend *backend, enum aur_activation_kind kind, enum aur_dtype type, const float *x,
	int64_t n, int in_place)
{
	void *device = ops_put_as(backend, type, x, n);
	void *y = in_place ? device : ops_put_as(backend, type, NULL, n);
	const struct aur_activation_forward op = {kind, aur_view2_of(device, type, 1, n), aur_view2_of(y, type, 1, n)};
	ops_assert_status(backend->ops->activation_forward(backend, &op), AUR_OK, "");
	return ops_get_as(backend, type, y, n);
}

static float *backward(struct aur_backend *backend, enum aur_activation_kind kind, enum aur_dtype type, const float *x,
	const float *d_y, int64_t n, int in_place)
{
	void *device = ops_put_as(backend, type, d_y, n);
	void *d_x = in_place ? device : ops_put_as(backend, type, NULL, n);
	const struct aur_activation_backward op = {kind, aur_view2_of(ops_put_as(backend, type, x, n), type, 1, n),
		aur_view2_of(device, type, 1, n), aur_view2_of(d_x, type, 1, n)};
	ops_assert_status(backend->ops->activation_backward(backend, &op), AUR_OK, "");
	return ops_get_as(backend, type, d_x, n);
}

static const int64_t sizes[] = {1, 7, 16, 17, 1021, 16384 + 5};

static void check_forward(enum aur_activation_kind kind, enum aur_dtype type, int64_t n)
{
	struct aur_backend *backend = ops_open(NULL);
	const float *x = ops_round(type, ops_random(n, 3, 2.0f), n);
	double *want = ops_doubles(x, n);
	for (int64_t i = 0; i < n; i++)
		want[i] = reference(kind, want[i]);
	ops_assert_close_as("y", type, forward(backend, kind, type, x, n, 0), want, n, tolerance);
	ops_assert_close_as("y in place", type, forward(backend, kind, type, x, n, 1), want, n, tolerance);
	ops_close(&backend);
}

static void forward_matches_float64(void **state)
{
	(void)state;
	for (int k = 0; k < KINDS; k++)
		for (int t = 0; t < TYPES; t++)
			for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
				check_forward(kinds[k], types[t], sizes[i]);
}

/* relu's kink: no input lies within a difference's reach of it. */
static float *away_from_zero(float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		x[i] += x[i] < 0.0f ? -0.01f : 0.01f;
	return x;
}

static void check_backward(enum aur_activation_kind kind, enum aur_dtype type, int64_t n)
{
	struct aur_backend *backend = ops_open(NULL);
	const float *x = ops_round(type, away_from_zero(ops_random(n, 5, 2.0f), n), n);
	const float *d_y = ops_round(type, ops_random(n, 6, 1.0f), n);
	double *at = ops_doubles(x, n), *want = ops_doubles(d_y, n);
	for (int64_t i = 0; i < n; i++) {
		double slope;
		ops_gradient(reference_at, &kind, &at[i], 1, &slope);
		want[i] *= slope;
	}
	ops_assert_close_as("d_x", type, backward(backend, kind, type, x, d_y, n, 0), want, n, slope_tolerance);
	ops_assert_close_as("d_x in place", type, backward(backend, kind, type, x, d_y, n, 1), want, n, slope_tolerance);
	ops_close(&backend);
}

static void backward_matches_finite_differences(void **state)
{
	(void)state;
	for (int k = 0; k < KINDS; k++)
		for (int t = 0; t < TYPES; t++)
			for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
				check_backward(kinds[k], types[t], sizes[i]);
}

/* A result of 8 MiB and more is written past the caches; the last piece is a short one. */
static void large_results_are_the_same_as_small_ones(void **state)
{
	(void)state;
	const int64_t n = ops_sized(4 << 20, 1 << 16) + 1029;
	struct aur_backend *backend = ops_open(NULL);
	float *x = ops_memory((size_t)n * sizeof *x), *d_y = ops_memory((size_t)n * sizeof *d_y);
	for (int64_t i = 0; i < n; i++) {
		x[i] = (float)(i % 1021 - 510) / 64.0f;
		d_y[i] = (float)(i % 7 - 3);
	}
	for (int t = 0; t < TYPES; t++) {
		const size_t bytes = (size_t)n * sizeof(float);
		ops_assert_same_bits(
			"y", forward(backend, AUR_GELU, types[t], x, n, 0), forward(backend, AUR_GELU, types[t], x, n, 1), bytes);
		ops_assert_same_bits("d_x", backward(backend, AUR_GELU, types[t], x, d_y, n, 0),
			backward(backend, AUR_GELU, types[t], x, d_y, n, 1), bytes);
	}
	ops_close(&backend);
}

static void check_extremes(enum aur_activation_kind kind, enum aur_dtype type)
{
	const float x[] = {NAN, 1e4f, -1e4f, 0.0f, 88.0f, -88.0f, 1e-30f, -1e-30f, 2e19f, -2e19f, 3e38f, -3e38f};
	enum { N = sizeof x / sizeof *x };
	float d_y[N];
	for (int i = 0; i < N; i++)
		d_y[i] = 1.0f;
	struct aur_backend *backend = ops_open(NULL);
	const float *y = forward(backend, kind, type, x, N, 0), *d_x = backward(backend, kind, type, x, d_y, N, 0);
	assert_true(isnan(y[0]));
	for (int i = 1; i < N; i++)
		assert_true(isfinite(y[i]) && isfinite(d_x[i]));
	const int far[] = {1, 8, 10}; /* each with its negative after it */
	for (int i = 0; i < 3; i++) {
		const float want = *ops_round(type, (float[]){x[far[i]]}, 1);
		assert_true(y[far[i]] == want && y[far[i] + 1] == 0.0f);
		assert_true(d_x[far[i]] == 1.0f && d_x[far[i] + 1] == 0.0f);
	}
	d_y[3] = NAN;
	if (kind != AUR_RELU)
		assert_true(isnan(backward(backend, kind, type, x, d_y, N, 0)[3]) && isnan(d_x[0]));
	ops_close(&backend);
}

static void nan_stays_nan_and_large_numbers_stay_finite(void **state)
{
	(void)state;
	for (int k = 0; k < KINDS; k++)
		for (int t = 0; t < TYPES; t++)
			check_extremes(kinds[k], types[t]);
}

static void run_both(const void *argument, void *result)
{
	const enum aur_activation_kind kind = *(const enum aur_activation_kind *)argument;
	const int64_t n = 50000;
	struct aur_backend *backend = ops_open(NULL);
	const float *x = ops_random(n, 8, 2.0f);
	float *to = result;
	memcpy(to, forward(backend, kind, AUR_F32, x, n, 0), (size_t)n * sizeof *to);
	memcpy(to + n, backward(backend, kind, AUR_F32, x, ops_random(n, 9, 1.0f), n, 0), (size_t)n * sizeof *to);
	ops_close(&backend);
}

static void bits_do_not_depend_on_threads(void **state)
{
	(void)state;
	for (int k = 0; k < KINDS; k++)
		ops_assert_thread_independent("activation", run_both, &kinds[k], 2 * 50000 * sizeof(float));
}

static void wrong_shapes_are_refused(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	float *x = ops_put_zeros(backend, 8), *y = ops_put_zeros(backend, 8);
	const struct aur_activation_forward short_y = {AUR_GELU, aur_view2(x, 2, 4), aur_view2(y, 1, 7)};
	ops_assert_status(backend->ops->activation_forward(backend, &short_y), AUR_SHAPE, "activation_forward: ");
	const struct aur_activation_backward absent = {
		.kind = AUR_GELU, .x = aur_view2(x, 2, 4), .d_y = aur_view2(y, 2, 4)};
	ops_assert_status(backend->ops->activation_backward(backend, &absent), AUR_SHAPE, "activation_backward: ");
	const struct aur_activation_forward mixed = {AUR_GELU, aur_view2(x, 2, 4), aur_view2_of(y, AUR_BF16, 2, 4)};
	ops_assert_status(backend->ops->activation_forward(backend, &mixed), AUR_SHAPE, "activation_forward: ");
	const struct aur_activation_forward unknown = {(enum aur_activation_kind)3, aur_view2(x, 2, 4), aur_view2(y, 2, 4)};
	ops_assert_status(backend->ops->activation_forward(backend, &unknown), AUR_SHAPE, "activation_forward: ");
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_matches_float64),
		cmocka_unit_test(backward_matches_finite_differences),
		cmocka_unit_test(large_results_are_the_same_as_small_ones),
		cmocka_unit_test(nan_stays_nan_and_large_numbers_stay_finite),
		cmocka_unit_test(bits_do_not_depend_on_threads),
		cmocka_unit_test(wrong_shapes_are_refused),
	};
	return ops_main("activation", tests, sizeof tests / sizeof *tests);
}
