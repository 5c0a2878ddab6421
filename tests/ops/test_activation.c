/* relu, gelu and gelu_tanh against float64, element by element. */

#include "oracle.h"

#include <math.h>
#include <string.h>

static const enum aur_activation_kind kinds[] = {AUR_RELU, AUR_GELU, AUR_GELU_TANH};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* fp32 polynomials within 2 ulp, and 1 + erf(x) loses digits against the size of erf where x is far below zero. */
static const double tolerance = 1e-6;

/* Slopes near zero are differences of numbers near 1/2, and d_y multiplies what rounding leaves. */
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

static float *forward(
	struct aur_backend *backend, enum aur_activation_kind kind, const float *x, int64_t n, int in_place)
{
	float *device = ops_put(backend, x, n);
	float *y = in_place ? device : ops_put(backend, NULL, n);
	const struct aur_activation_forward op = {kind, aur_view2(device, 1, n), aur_view2(y, 1, n)};
	ops_assert_status(backend->ops->activation_forward(backend, &op), AUR_OK, "");
	return ops_get(backend, y, n);
}

static float *backward(struct aur_backend *backend, enum aur_activation_kind kind, const float *x, const float *d_y,
	int64_t n, int in_place)
{
	float *device = ops_put(backend, d_y, n);
	float *d_x = in_place ? device : ops_put(backend, NULL, n);
	const struct aur_activation_backward op = {
		kind, aur_view2(ops_put(backend, x, n), 1, n), aur_view2(device, 1, n), aur_view2(d_x, 1, n)};
	ops_assert_status(backend->ops->activation_backward(backend, &op), AUR_OK, "");
	return ops_get(backend, d_x, n);
}

static const int64_t sizes[] = {1, 7, 16, 17, 1021, 16384 + 5};

static void forward_matches_float64(void **state)
{
	(void)state;
	for (int k = 0; k < KINDS; k++)
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			const int64_t n = sizes[i];
			struct aur_backend *backend = ops_open(NULL);
			const float *x = ops_random(n, 3, 2.0f);
			double *want = ops_doubles(x, n);
			for (int64_t j = 0; j < n; j++)
				want[j] = reference(kinds[k], want[j]);
			ops_assert_close("y", forward(backend, kinds[k], x, n, 0), want, n, tolerance);
			ops_assert_close("y in place", forward(backend, kinds[k], x, n, 1), want, n, tolerance);
			ops_close(&backend);
		}
}

/* relu's kink: no input lies within a difference's reach of it. */
static float *away_from_zero(float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		x[i] += x[i] < 0.0f ? -0.01f : 0.01f;
	return x;
}

static void backward_matches_finite_differences(void **state)
{
	(void)state;
	for (int k = 0; k < KINDS; k++)
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			const int64_t n = sizes[i];
			struct aur_backend *backend = ops_open(NULL);
			const float *x = away_from_zero(ops_random(n, 5, 2.0f), n), *d_y = ops_random(n, 6, 1.0f);
			double *at = ops_doubles(x, n), *want = ops_doubles(d_y, n);
			for (int64_t j = 0; j < n; j++) {
				enum aur_activation_kind kind = kinds[k];
				double slope;
				ops_gradient(reference_at, &kind, &at[j], 1, &slope);
				want[j] *= slope;
			}
			ops_assert_close("d_x", backward(backend, kinds[k], x, d_y, n, 0), want, n, slope_tolerance);
			ops_assert_close("d_x in place", backward(backend, kinds[k], x, d_y, n, 1), want, n, slope_tolerance);
			ops_close(&backend);
		}
}

static void nan_stays_nan_and_large_numbers_stay_finite(void **state)
{
	(void)state;
	float x[] = {NAN, 1e4f, -1e4f, 0.0f, 88.0f, -88.0f, 1e-30f, -1e-30f};
	float d_y[8];
	for (int i = 0; i < 8; i++)
		d_y[i] = 1.0f;
	for (int k = 0; k < KINDS; k++) {
		struct aur_backend *backend = ops_open(NULL);
		const float *y = forward(backend, kinds[k], x, 8, 0), *d_x = backward(backend, kinds[k], x, d_y, 8, 0);
		assert_true(isnan(y[0]));
		for (int i = 1; i < 8; i++)
			assert_true(isfinite(y[i]) && isfinite(d_x[i]));
		assert_true(y[1] == 1e4f && y[2] == 0.0f && d_x[1] == 1.0f && d_x[2] == 0.0f);
		d_y[3] = NAN;
		if (kinds[k] != AUR_RELU)
			assert_true(isnan(backward(backend, kinds[k], x, d_y, 8, 0)[3]));
		d_y[3] = 1.0f;
		ops_close(&backend);
	}
}

static void run_both(const void *argument, void *result)
{
	const enum aur_activation_kind kind = *(const enum aur_activation_kind *)argument;
	const int64_t n = 50000;
	struct aur_backend *backend = ops_open(NULL);
	const float *x = ops_random(n, 8, 2.0f);
	float *to = result;
	memcpy(to, forward(backend, kind, x, n, 0), (size_t)n * sizeof *to);
	memcpy(to + n, backward(backend, kind, x, ops_random(n, 9, 1.0f), n, 0), (size_t)n * sizeof *to);
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
	const struct aur_activation_forward unknown = {(enum aur_activation_kind)3, aur_view2(x, 2, 4), aur_view2(y, 2, 4)};
	ops_assert_status(backend->ops->activation_forward(backend, &unknown), AUR_SHAPE, "activation_forward: ");
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_matches_float64),
		cmocka_unit_test(backward_matches_finite_differences),
		cmocka_unit_test(nan_stays_nan_and_large_numbers_stay_finite),
		cmocka_unit_test(bits_do_not_depend_on_threads),
		cmocka_unit_test(wrong_shapes_are_refused),
	};
	return ops_main("activation", tests, sizeof tests / sizeof *tests);
}
