/* Layer normalisation with the residual sum and dropout fused in front: values against float64, gradients against
 * finite differences of the float64 function, and every optional operand and aliasing that the header allows. */

#include "oracle.h"

#include "core/rng.h"

#include <math.h>
#include <string.h>

/* fp32 sums of up to a thousand terms. */
static const double tolerance = 4e-6;

struct variety {
	int64_t batch, positions, columns;
	float p;
	int with_a, with_beta, s_is_a;
};

static const struct variety varieties[] = {
	{1, 1, 1, 0.0f, 1, 1, 0},
	{2, 3, 7, 0.2f, 1, 1, 0},
	{2, 5, 16, 0.0f, 1, 0, 1},
	{2, 5, 16, 0.3f, 1, 1, 1},
	{3, 7, 13, 0.0f, 0, 1, 0},
	{3, 7, 13, 0.5f, 0, 0, 0},
	{2, 67, 129, 0.1f, 1, 1, 0},
	{1, 5, 2053, 0.1f, 1, 1, 1},
};
enum { VARIETIES = sizeof varieties / sizeof *varieties };

static int64_t rows_of(const struct variety *v)
{
	return v->batch * v->positions;
}

static struct aur_backend *open_for(const struct variety *v)
{
	return ops_open(&(struct aur_backend_limits){
		.batch = v->batch, .positions = v->positions, .width = v->columns, .heads = 1, .training = 1});
}

static const struct aur_step_state step = {.seed = 77, .first_sample = 1000};

static struct aur_dropout dropout_of(float p, const struct aur_step_state *state)
{
	return (struct aur_dropout){.p = p, .site = AUR_SITE_DROP_ATTENTION_OUT, .layer = 3, .state = state};
}

static struct aur_dropout device_dropout(struct aur_backend *backend, float p)
{
	return dropout_of(p, ops_put_bytes(backend, &step, sizeof step));
}

static double factor_at(const struct variety *v, int64_t row, int64_t column)
{
	const struct aur_dropout dropout = dropout_of(v->p, &step);
	return ops_dropout_factor(&dropout, 0, row / v->positions, row % v->positions, column, v->columns);
}

struct inputs {
	float *a, *b, *gamma, *beta;
};

static struct inputs inputs_of(const struct variety *v)
{
	const int64_t count = rows_of(v) * v->columns;
	struct inputs in = {.a = ops_random(count, 1, 1.0f),
		.b = ops_random(count, 2, 2.0f),
		.gamma = ops_random(v->columns, 3, 1.0f),
		.beta = ops_random(v->columns, 4, 1.0f)};
	return in;
}

/* s of the whole, in float64. */
static double *reference_s(const struct variety *v, const struct inputs *in)
{
	const int64_t rows = rows_of(v);
	double *s = ops_memory((size_t)(rows * v->columns) * sizeof *s);
	for (int64_t i = 0; i < rows * v->columns; i++)
		s[i] = (v->with_a ? (double)in->a[i] : 0.0) + (double)in->b[i] * factor_at(v, i / v->columns, i % v->columns);
	return s;
}

static void reference_row(const double *s, int64_t n, double *mean, double *rstd)
{
	double sum = 0.0, squares = 0.0;
	for (int64_t i = 0; i < n; i++)
		sum += s[i];
	*mean = sum / (double)n;
	for (int64_t i = 0; i < n; i++)
		squares += (s[i] - *mean) * (s[i] - *mean);
	*rstd = 1.0 / sqrt(squares / (double)n + 1e-5);
}

struct forward_results {
	float *s, *y, *mean, *rstd;
};

static struct forward_results run_forward(struct aur_backend *backend, const struct variety *v, const struct inputs *in)
{
	const int64_t rows = rows_of(v), columns = v->columns, count = rows * columns;
	float *a = v->with_a ? ops_put(backend, in->a, count) : NULL;
	const int needs_s = v->with_a || v->p > 0.0f;
	struct forward_results out = {.s = v->s_is_a ? a
									   : needs_s ? ops_put(backend, NULL, count)
												 : NULL,
		.y = ops_put(backend, NULL, count),
		.mean = ops_put(backend, NULL, rows),
		.rstd = ops_put(backend, NULL, rows)};
	const struct aur_residual_norm_forward op = {.a = aur_view2(a, rows, columns),
		.b = aur_view2(ops_put(backend, in->b, count), rows, columns),
		.s = aur_view2(out.s, rows, columns),
		.y = aur_view2(out.y, rows, columns),
		.gamma = aur_view1(ops_put(backend, in->gamma, columns), columns),
		.beta = aur_view1(v->with_beta ? ops_put(backend, in->beta, columns) : NULL, columns),
		.mean = aur_view1(out.mean, rows),
		.rstd = aur_view1(out.rstd, rows),
		.sequence = v->positions,
		.dropout = device_dropout(backend, v->p)};
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_OK, "");
	if (out.s)
		out.s = ops_get(backend, out.s, count);
	return (struct forward_results){
		out.s, ops_get(backend, out.y, count), ops_get(backend, out.mean, rows), ops_get(backend, out.rstd, rows)};
}

static void check_forward(const struct variety *v)
{
	struct aur_backend *backend = open_for(v);
	const int64_t rows = rows_of(v), n = v->columns;
	const struct inputs in = inputs_of(v);
	const struct forward_results got = run_forward(backend, v, &in);
	const double *s = reference_s(v, &in);
	double *y = ops_memory((size_t)(rows * n) * sizeof *y);
	double *mean = ops_memory((size_t)rows * sizeof *mean), *rstd = ops_memory((size_t)rows * sizeof *rstd);
	for (int64_t r = 0; r < rows; r++) {
		reference_row(s + r * n, n, &mean[r], &rstd[r]);
		for (int64_t i = 0; i < n; i++)
			y[r * n + i] =
				(double)in.gamma[i] * (s[r * n + i] - mean[r]) * rstd[r] + (v->with_beta ? (double)in.beta[i] : 0.0);
	}
	if (got.s)
		ops_assert_close("s", got.s, s, rows * n, tolerance);
	ops_assert_close("mean", got.mean, mean, rows, tolerance);
	ops_assert_close("rstd", got.rstd, rstd, rows, tolerance);
	ops_assert_close("y", got.y, y, rows * n, tolerance);
	ops_close(&backend);
}

static void forward_matches_float64(void **state)
{
	(void)state;
	for (int i = 0; i < VARIETIES; i++)
		check_forward(&varieties[i]);
}

/* A mean a thousand times the deviation costs no more digits than the input has. */
static void large_mean_keeps_the_variance(void **state)
{
	(void)state;
	const struct variety v = {1, 4, 300, 0.0f, 0, 0, 0};
	struct aur_backend *backend = open_for(&v);
	struct inputs in = inputs_of(&v);
	for (int64_t i = 0; i < 4 * 300; i++)
		in.b[i] = in.b[i] * 0.5f + 1000.0f;
	const struct forward_results got = run_forward(backend, &v, &in);
	const double *s = reference_s(&v, &in);
	for (int64_t r = 0; r < 4; r++) {
		double mean, rstd;
		reference_row(s + r * 300, 300, &mean, &rstd);
		ops_assert_close("mean", &got.mean[r], &mean, 1, 1e-7);
		ops_assert_close("rstd", &got.rstd[r], &rstd, 1, 1e-6);
	}
	ops_close(&backend);
}

static void nan_reaches_its_whole_row_and_no_other(void **state)
{
	(void)state;
	const struct variety v = {1, 3, 20, 0.0f, 1, 1, 0};
	struct aur_backend *backend = open_for(&v);
	struct inputs in = inputs_of(&v);
	in.a[25] = NAN;
	const struct forward_results got = run_forward(backend, &v, &in);
	for (int i = 0; i < 60; i++)
		assert_int_equal(isnan(got.y[i]) != 0, i / 20 == 1);
	ops_close(&backend);
}

/* Which operands a backward call has, and what d_a is. */
struct backward_variety {
	int with_y2, with_residual, with_b, with_beta, with_gamma;
	int alias; /* 1: d_a is d_y, 2: d_y2, 3: d_residual */
};

static const struct backward_variety backward_varieties[] = {
	{0, 0, 0, 1, 1, 0}, {1, 1, 1, 1, 1, 0}, {1, 0, 1, 0, 1, 1}, {1, 1, 0, 1, 1, 2}, {0, 1, 1, 1, 1, 3}};
enum { BACKWARD_VARIETIES = sizeof backward_varieties / sizeof *backward_varieties };

/* d_gamma and d_beta begin at this, for they are added to. */
static const float begun = 0.5f;

struct gradients {
	float *d_a, *d_b, *d_gamma, *d_beta;
};

static float *begun_sums(struct aur_backend *backend, int64_t n)
{
	float *x = ops_memory((size_t)n * sizeof *x);
	for (int64_t i = 0; i < n; i++)
		x[i] = begun;
	return ops_put(backend, x, n);
}

static struct gradients run_backward(
	struct aur_backend *backend, const struct variety *v, const struct backward_variety *w, const struct inputs *in)
{
	const int64_t rows = rows_of(v), n = v->columns, count = rows * n;
	const double *s = reference_s(v, in);
	float *s32 = ops_memory((size_t)count * sizeof *s32);
	float *mean = ops_memory((size_t)rows * sizeof *mean), *rstd = ops_memory((size_t)rows * sizeof *rstd);
	for (int64_t i = 0; i < count; i++)
		s32[i] = (float)s[i];
	for (int64_t r = 0; r < rows; r++) {
		double m, d;
		reference_row(s + r * n, n, &m, &d);
		mean[r] = (float)m;
		rstd[r] = (float)d;
	}
	float *d_y = ops_put(backend, ops_random(count, 11, 1.0f), count);
	float *d_y2 = w->with_y2 ? ops_put(backend, ops_random(count, 12, 1.0f), count) : NULL;
	float *d_residual = w->with_residual ? ops_put(backend, ops_random(count, 13, 1.0f), count) : NULL;
	float *targets[] = {NULL, d_y, d_y2, d_residual};
	float *d_a = w->alias ? targets[w->alias] : ops_put(backend, NULL, count);
	float *d_b = w->with_b ? ops_put(backend, NULL, count) : NULL;
	float *d_gamma = begun_sums(backend, n), *d_beta = w->with_beta ? begun_sums(backend, n) : NULL;
	const struct aur_residual_norm_backward op = {.d_y = aur_view2(d_y, rows, n),
		.d_y2 = aur_view2(d_y2, rows, n),
		.d_residual = aur_view2(d_residual, rows, n),
		.s = aur_view2(ops_put(backend, s32, count), rows, n),
		.gamma = aur_view1(ops_put(backend, in->gamma, n), n),
		.mean = aur_view1(ops_put(backend, mean, rows), rows),
		.rstd = aur_view1(ops_put(backend, rstd, rows), rows),
		.d_a = aur_view2(d_a, rows, n),
		.d_b = aur_view2(d_b, rows, n),
		.d_gamma = aur_view1(d_gamma, n),
		.d_beta = aur_view1(d_beta, n),
		.sequence = v->positions,
		.dropout = device_dropout(backend, v->p)};
	ops_assert_status(backend->ops->residual_norm_backward(backend, &op), AUR_OK, "");
	return (struct gradients){ops_get(backend, d_a, count), d_b ? ops_get(backend, d_b, count) : NULL,
		ops_get(backend, d_gamma, n), d_beta ? ops_get(backend, d_beta, n) : NULL};
}

/* The function whose gradient the backward pass is: sum of (d_y + d_y2) * y + d_residual * s, with float64 variables
 * s, gamma and beta one after the other. */
struct function {
	int64_t rows, columns;
	double *weights, *residual;
};

static double value(const double *x, void *argument)
{
	const struct function *f = argument;
	const int64_t n = f->columns, count = f->rows * n;
	const double *gamma = x + count, *beta = gamma + n;
	double sum = 0.0;
	for (int64_t r = 0; r < f->rows; r++) {
		double mean, rstd;
		reference_row(x + r * n, n, &mean, &rstd);
		for (int64_t i = 0; i < n; i++) {
			const double s = x[r * n + i];
			sum += f->weights[r * n + i] * (gamma[i] * (s - mean) * rstd + beta[i]) + f->residual[r * n + i] * s;
		}
	}
	return sum;
}

static double *gradients_of_value(const struct variety *v, const struct backward_variety *w, const struct inputs *in)
{
	const int64_t n = v->columns, count = rows_of(v) * n, all = count + 2 * n;
	struct function f = {rows_of(v), n, ops_doubles(ops_random(count, 11, 1.0f), count),
		ops_doubles(ops_random(count, 13, w->with_residual ? 1.0f : 0.0f), count)};
	const float *second = ops_random(count, 12, w->with_y2 ? 1.0f : 0.0f);
	for (int64_t i = 0; i < count; i++)
		f.weights[i] += (double)second[i];
	double *x = ops_memory((size_t)all * sizeof *x), *gradient = ops_memory((size_t)all * sizeof *gradient);
	memcpy(x, reference_s(v, in), (size_t)count * sizeof *x);
	for (int64_t i = 0; i < n; i++)
		x[count + i] = (double)in->gamma[i];
	ops_gradient(value, &f, x, all, gradient);
	return gradient;
}

static void check_backward(const struct variety *v, const struct backward_variety *w)
{
	struct aur_backend *backend = open_for(v);
	const int64_t n = v->columns, count = rows_of(v) * n;
	const struct inputs in = inputs_of(v);
	const struct gradients got = run_backward(backend, v, w, &in);
	double *want = gradients_of_value(v, w, &in);
	ops_assert_close("d_a", got.d_a, want, count, 1e-5);
	for (int64_t i = 0; i < 2 * n; i++)
		want[count + i] += (double)begun;
	ops_assert_close("d_gamma", got.d_gamma, want + count, n, 1e-5);
	if (got.d_beta)
		ops_assert_close("d_beta", got.d_beta, want + count + n, n, 1e-5);
	for (int64_t i = 0; i < count; i++)
		want[i] *= factor_at(v, i / n, i % n);
	if (got.d_b)
		ops_assert_close("d_b", got.d_b, want, count, 1e-5);
	ops_close(&backend);
}

static void backward_matches_finite_differences(void **state)
{
	(void)state;
	const struct variety small[] = {{2, 3, 7, 0.2f, 1, 1, 0}, {1, 5, 16, 0.0f, 1, 1, 0}, {2, 2, 37, 0.4f, 1, 1, 0}};
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < BACKWARD_VARIETIES; j++)
			check_backward(&small[i], &backward_varieties[j]);
}

/* Several partial sums, a prime number of rows. */
static void run_all(const void *argument, void *result)
{
	const struct variety *v = argument;
	struct aur_backend *backend = open_for(v);
	const int64_t n = v->columns, count = rows_of(v) * n;
	const struct inputs in = inputs_of(v);
	const struct forward_results forward = run_forward(backend, v, &in);
	const struct gradients got = run_backward(backend, v, &backward_varieties[1], &in);
	float *to = result;
	memcpy(to, forward.y, (size_t)count * sizeof *to);
	memcpy(to + count, got.d_a, (size_t)count * sizeof *to);
	memcpy(to + 2 * count, got.d_b, (size_t)count * sizeof *to);
	memcpy(to + 3 * count, got.d_gamma, (size_t)n * sizeof *to);
	memcpy(to + 3 * count + n, got.d_beta, (size_t)n * sizeof *to);
	ops_close(&backend);
}

static void bits_do_not_depend_on_threads(void **state)
{
	(void)state;
	const struct variety v = {1, 509, 300, 0.1f, 1, 1, 0};
	ops_assert_thread_independent("residual_norm", run_all, &v, (3 * 509 * 300 + 600) * sizeof(float));
}

static void wrong_shapes_are_refused(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	float *x = ops_put_zeros(backend, 64), *y = ops_put_zeros(backend, 64);
	float *gamma = ops_put_zeros(backend, 8), *moments = ops_put_zeros(backend, 8);
	struct aur_residual_norm_forward op = {.b = aur_view2(x, 8, 8),
		.y = aur_view2(y, 8, 8),
		.gamma = aur_view1(gamma, 8),
		.mean = aur_view1(moments, 8),
		.rstd = aur_view1(moments, 8)};
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_OK, "");
	op.a = aur_view2(x, 8, 8);
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_SHAPE, "residual_norm_forward: ");
	op.a = aur_view2(NULL, 8, 8);
	op.gamma = aur_view1(gamma, 7);
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_SHAPE, "residual_norm_forward: ");
	struct aur_residual_norm_backward back = {.d_y = aur_view2(x, 8, 8),
		.s = aur_view2(x, 8, 8),
		.gamma = aur_view1(gamma, 8),
		.mean = aur_view1(moments, 8),
		.rstd = aur_view1(moments, 8),
		.d_a = aur_view2(y, 8, 8),
		.d_gamma = aur_view1(gamma, 7)};
	ops_assert_status(backend->ops->residual_norm_backward(backend, &back), AUR_SHAPE, "residual_norm_backward: ");
	back.d_gamma = aur_view1(gamma, 8);
	ops_assert_status(backend->ops->residual_norm_backward(backend, &back), AUR_SHAPE, "residual_norm_backward: ");
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_matches_float64),
		cmocka_unit_test(large_mean_keeps_the_variance),
		cmocka_unit_test(nan_reaches_its_whole_row_and_no_other),
		cmocka_unit_test(backward_matches_finite_differences),
		cmocka_unit_test(bits_do_not_depend_on_threads),
		cmocka_unit_test(wrong_shapes_are_refused),
	};
	return ops_main("residual_norm", tests, sizeof tests / sizeof *tests);
}
