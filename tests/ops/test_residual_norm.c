/* Layer normalisation with the residual sum and dropout fused in front: values against float64, gradients against
 * finite differences of the float64 function, and every optional operand and aliasing that the header allows. */

#include "oracle.h"

#include "core/rng.h"

#include <math.h>
#include <string.h>

/* fp32 sums of up to a thousand terms; of bf16 results before their one rounding. */
static const double tolerance = 4e-6;

struct variety {
	int64_t batch, positions, columns;
	float p;
	int with_a, with_beta, s_is_a;
	enum aur_dtype type;
};

static const struct variety varieties[] = {
	{1, 1, 1, 0.0f, 1, 1, 0, AUR_F32},
	{2, 3, 7, 0.2f, 1, 1, 0, AUR_F32},
	{2, 5, 16, 0.0f, 1, 0, 1, AUR_F32},
	{2, 5, 16, 0.3f, 1, 1, 1, AUR_F32},
	{3, 7, 13, 0.0f, 0, 1, 0, AUR_F32},
	{3, 7, 13, 0.5f, 0, 0, 0, AUR_F32},
	{2, 67, 129, 0.1f, 1, 1, 0, AUR_F32},
	{1, 5, 2053, 0.1f, 1, 1, 1, AUR_F32},
	{2, 3, 7, 0.2f, 1, 1, 0, AUR_BF16},
	{2, 5, 16, 0.0f, 1, 0, 1, AUR_BF16},
	{3, 7, 13, 0.0f, 0, 1, 0, AUR_BF16},
	{3, 7, 13, 0.5f, 0, 0, 0, AUR_BF16},
	{1, 5, 2053, 0.1f, 1, 1, 1, AUR_BF16},
};
enum { VARIETIES = sizeof varieties / sizeof *varieties };

static int64_t rows_of(const struct variety *v)
{
	return v->batch * v->positions;
}

static struct aur_backend *open_for(const struct variety *v)
{
	return ops_open(&(struct aur_backend_limits){.batch = v->batch,
		.positions = v->positions,
		.width = v->columns,
		.heads = 1,
		.activations = v->type,
		.training = 1});
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
	struct inputs in = {.a = ops_round(v->type, ops_random(count, 1, 1.0f), count),
		.b = ops_round(v->type, ops_random(count, 2, 2.0f), count),
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

/* s as the forward pass leaves it for the backward pass: rounded to its type. */
static float *kept_s(const struct variety *v, const struct inputs *in)
{
	const int64_t count = rows_of(v) * v->columns;
	const double *s = reference_s(v, in);
	float *kept = ops_memory((size_t)count * sizeof *kept);
	for (int64_t i = 0; i < count; i++)
		kept[i] = (float)s[i];
	return ops_round(v->type, kept, count);
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
	void *a = v->with_a ? ops_put_as(backend, v->type, in->a, count) : NULL;
	void *s = v->s_is_a ? a : v->with_a || v->p > 0.0f ? ops_put_as(backend, v->type, NULL, count) : NULL;
	void *b = ops_put_as(backend, v->type, in->b, count), *y = ops_put_as(backend, v->type, NULL, count);
	float *mean = ops_put(backend, NULL, rows), *rstd = ops_put(backend, NULL, rows);
	const struct aur_residual_norm_forward op = {.a = aur_view2_of(a, v->type, rows, columns),
		.b = aur_view2_of(b, v->type, rows, columns),
		.s = aur_view2_of(s, v->type, rows, columns),
		.y = aur_view2_of(y, v->type, rows, columns),
		.gamma = aur_view1(ops_put(backend, in->gamma, columns), columns),
		.beta = aur_view1(v->with_beta ? ops_put(backend, in->beta, columns) : NULL, columns),
		.mean = aur_view1(mean, rows),
		.rstd = aur_view1(rstd, rows),
		.sequence = v->positions,
		.dropout = device_dropout(backend, v->p)};
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_OK, "");
	return (struct forward_results){s ? ops_get_as(backend, v->type, s, count) : NULL,
		ops_get_as(backend, v->type, y, count), ops_get(backend, mean, rows), ops_get(backend, rstd, rows)};
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
		ops_assert_close_as("s", v->type, got.s, s, rows * n, tolerance);
	ops_assert_close("mean", got.mean, mean, rows, tolerance);
	ops_assert_close("rstd", got.rstd, rstd, rows, tolerance);
	ops_assert_close_as("y", v->type, got.y, y, rows * n, tolerance);
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
	const struct variety v = {1, 4, 300, 0.0f, 0, 0, 0, AUR_F32};
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
	const struct variety v = {1, 3, 20, 0.0f, 1, 1, 0, AUR_F32};
	struct aur_backend *backend = open_for(&v);
	struct inputs in = inputs_of(&v);
	in.a[25] = NAN;
	const struct forward_results got = run_forward(backend, &v, &in);
	for (int i = 0; i < 60; i++)
		assert_int_equal(isnan(got.y[i]) != 0, i / 20 == 1);
	ops_close(&backend);
}

static void check_again(const struct variety *v)
{
	const int64_t rows = rows_of(v), count = rows * v->columns;
	struct variety of_s = *v;
	of_s.with_a = of_s.s_is_a = 0;
	of_s.p = 0.0f;
	struct aur_backend *backend = open_for(v);
	struct inputs in = inputs_of(v);
	const struct forward_results first = run_forward(backend, v, &in);
	in.b = first.s;
	const struct forward_results again = run_forward(backend, &of_s, &in);
	ops_assert_same_bits("y", again.y, first.y, (size_t)count * sizeof(float));
	ops_assert_same_bits("mean", again.mean, first.mean, (size_t)rows * sizeof(float));
	ops_assert_same_bits("rstd", again.rstd, first.rstd, (size_t)rows * sizeof(float));
	ops_close(&backend);
}

/* system.recompute: light makes y again from the s that was kept, on a path without a sum. */
static void the_norm_of_a_kept_sum_repeats(void **state)
{
	(void)state;
	const struct variety wider[] = {{1, 9, 39, 0.2f, 1, 1, 0, AUR_F32}, {1, 9, 384, 0.0f, 1, 1, 0, AUR_F32},
		{1, 9, 768, 0.1f, 1, 0, 0, AUR_F32}, {1, 3, 1541, 0.0f, 1, 1, 0, AUR_F32}};
	for (int i = 0; i < VARIETIES; i++)
		if (varieties[i].type == AUR_F32 && (varieties[i].with_a || varieties[i].p > 0.0f))
			check_again(&varieties[i]);
	for (int i = 0; i < 4; i++)
		check_again(&wider[i]);
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

static void *put_random(struct aur_backend *backend, const struct variety *v, uint32_t seed)
{
	const int64_t count = rows_of(v) * v->columns;
	return ops_put_as(backend, v->type, ops_random(count, seed, 1.0f), count);
}

static struct gradients run_backward(
	struct aur_backend *backend, const struct variety *v, const struct backward_variety *w, const struct inputs *in)
{
	const enum aur_dtype type = v->type;
	const int64_t rows = rows_of(v), n = v->columns, count = rows * n;
	const float *s = kept_s(v, in);
	const double *wide = ops_doubles(s, count);
	float *mean = ops_memory((size_t)rows * sizeof *mean), *rstd = ops_memory((size_t)rows * sizeof *rstd);
	for (int64_t r = 0; r < rows; r++) {
		double m, d;
		reference_row(wide + r * n, n, &m, &d);
		mean[r] = (float)m;
		rstd[r] = (float)d;
	}
	void *d_y = put_random(backend, v, 11);
	void *d_y2 = w->with_y2 ? put_random(backend, v, 12) : NULL;
	void *d_residual = w->with_residual ? put_random(backend, v, 13) : NULL;
	void *targets[] = {NULL, d_y, d_y2, d_residual};
	void *d_a = w->alias ? targets[w->alias] : ops_put_as(backend, type, NULL, count);
	void *d_b = w->with_b ? ops_put_as(backend, type, NULL, count) : NULL;
	float *d_gamma = begun_sums(backend, n), *d_beta = w->with_beta ? begun_sums(backend, n) : NULL;
	const struct aur_residual_norm_backward op = {.d_y = aur_view2_of(d_y, type, rows, n),
		.d_y2 = aur_view2_of(d_y2, type, rows, n),
		.d_residual = aur_view2_of(d_residual, type, rows, n),
		.s = aur_view2_of(ops_put_as(backend, type, s, count), type, rows, n),
		.gamma = aur_view1(ops_put(backend, in->gamma, n), n),
		.mean = aur_view1(ops_put(backend, mean, rows), rows),
		.rstd = aur_view1(ops_put(backend, rstd, rows), rows),
		.d_a = aur_view2_of(d_a, type, rows, n),
		.d_b = aur_view2_of(d_b, type, rows, n),
		.d_gamma = aur_view1(d_gamma, n),
		.d_beta = aur_view1(d_beta, n),
		.sequence = v->positions,
		.dropout = device_dropout(backend, v->p)};
	ops_assert_status(backend->ops->residual_norm_backward(backend, &op), AUR_OK, "");
	return (struct gradients){ops_get_as(backend, type, d_a, count), d_b ? ops_get_as(backend, type, d_b, count) : NULL,
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
	const float *first = ops_round(v->type, ops_random(count, 11, 1.0f), count);
	const float *second = ops_round(v->type, ops_random(count, 12, w->with_y2 ? 1.0f : 0.0f), count);
	const float *residual = ops_round(v->type, ops_random(count, 13, w->with_residual ? 1.0f : 0.0f), count);
	struct function f = {rows_of(v), n, ops_doubles(first, count), ops_doubles(residual, count)};
	for (int64_t i = 0; i < count; i++)
		f.weights[i] += (double)second[i];
	double *x = ops_memory((size_t)all * sizeof *x), *gradient = ops_memory((size_t)all * sizeof *gradient);
	memcpy(x, ops_doubles(kept_s(v, in), count), (size_t)count * sizeof *x);
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
	ops_assert_close_as("d_a", v->type, got.d_a, want, count, 1e-5);
	for (int64_t i = 0; i < 2 * n; i++)
		want[count + i] += (double)begun;
	ops_assert_close("d_gamma", got.d_gamma, want + count, n, 1e-5);
	if (got.d_beta)
		ops_assert_close("d_beta", got.d_beta, want + count + n, n, 1e-5);
	for (int64_t i = 0; i < count; i++)
		want[i] *= factor_at(v, i / n, i % n);
	if (got.d_b)
		ops_assert_close_as("d_b", v->type, got.d_b, want, count, 1e-5);
	ops_close(&backend);
}

static void backward_matches_finite_differences(void **state)
{
	(void)state;
	const struct variety small[] = {{2, 3, 7, 0.2f, 1, 1, 0, AUR_F32}, {1, 5, 16, 0.0f, 1, 1, 0, AUR_F32},
		{2, 2, 37, 0.4f, 1, 1, 0, AUR_F32}, {1, 5, 16, 0.0f, 1, 1, 0, AUR_BF16}, {2, 2, 37, 0.4f, 1, 1, 0, AUR_BF16}};
	for (int i = 0; i < 5; i++)
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

static float *pattern(enum aur_dtype type, int64_t n, int64_t stride)
{
	float *x = ops_memory((size_t)n * sizeof *x);
	for (int64_t i = 0; i < n; i++)
		x[i] = (float)(i * stride % 1021 - 510) / 128.0f;
	return ops_round(type, x, n);
}

/* d_a and d_b of the first `shown` elements. */
static struct gradients backward_of_pattern(struct aur_backend *backend, const struct variety *v, int64_t shown)
{
	const enum aur_dtype type = v->type;
	const int64_t rows = rows_of(v), n = v->columns, count = rows * n;
	void *d_y = ops_put_as(backend, type, pattern(type, count, 3), count),
		 *d_a = ops_put_as(backend, type, NULL, count);
	void *s = ops_put_as(backend, type, pattern(type, count, 5), count), *d_b = ops_put_as(backend, type, NULL, count);
	const struct aur_residual_norm_backward op = {.d_y = aur_view2_of(d_y, type, rows, n),
		.s = aur_view2_of(s, type, rows, n),
		.gamma = aur_view1(ops_put(backend, ops_random(n, 3, 1.0f), n), n),
		.mean = aur_view1(ops_put_zeros(backend, rows), rows),
		.rstd = aur_view1(ops_put(backend, pattern(AUR_F32, rows, 0), rows), rows),
		.d_a = aur_view2_of(d_a, type, rows, n),
		.d_b = aur_view2_of(d_b, type, rows, n),
		.d_gamma = aur_view1(ops_put_zeros(backend, n), n),
		.sequence = v->positions,
		.dropout = device_dropout(backend, v->p)};
	ops_assert_status(backend->ops->residual_norm_backward(backend, &op), AUR_OK, "");
	return (struct gradients){
		.d_a = ops_get_as(backend, type, d_a, shown), .d_b = ops_get_as(backend, type, d_b, shown)};
}

static void check_large(const struct variety *few, int64_t batch)
{
	struct variety many = *few;
	many.batch = ops_emulated() ? 12 : batch;
	const int64_t count = rows_of(&many) * many.columns, shown = rows_of(few) * few->columns;
	const size_t bytes = (size_t)shown * sizeof(float);
	struct aur_backend *backend = open_for(&many);
	const struct inputs in = {pattern(few->type, count, 7), pattern(few->type, count, 11),
		ops_random(few->columns, 3, 1.0f), ops_random(few->columns, 4, 1.0f)};
	const struct forward_results large = run_forward(backend, &many, &in), small = run_forward(backend, few, &in);
	ops_assert_same_bits("s", large.s, small.s, bytes);
	ops_assert_same_bits("y", large.y, small.y, bytes);
	const struct gradients of_large = backward_of_pattern(backend, &many, shown);
	const struct gradients of_small = backward_of_pattern(backend, few, shown);
	ops_assert_same_bits("d_a", of_large.d_a, of_small.d_a, bytes);
	ops_assert_same_bits("d_b", of_large.d_b, of_small.d_b, bytes);
	ops_close(&backend);
}

/* Results of 8 MiB and more are written past the caches: the first rows of many are those of few. */
static void large_results_are_the_same_as_small_ones(void **state)
{
	(void)state;
	check_large(&(struct variety){1, 8, 1541, 0.1f, 1, 1, 0, AUR_F32}, 180);
	check_large(&(struct variety){1, 8, 1541, 0.1f, 1, 1, 0, AUR_BF16}, 350);
}

static void bits_do_not_depend_on_threads(void **state)
{
	(void)state;
	const struct variety v = {1, 509, 300, 0.1f, 1, 1, 0, AUR_F32};
	ops_assert_thread_independent("residual_norm", run_all, &v, (3 * 509 * 300 + 600) * sizeof(float));
}

static void wrong_shapes_are_refused(void **state)
{
	(void)state;
	const struct variety v = {1, 8, 8, 0.0f, 0, 0, 0, AUR_F32};
	struct aur_backend *backend = open_for(&v);
	float *x = ops_put_zeros(backend, 64), *y = ops_put_zeros(backend, 64);
	float *gamma = ops_put_zeros(backend, 8), *mean = ops_put_zeros(backend, 8), *rstd = ops_put_zeros(backend, 8);
	struct aur_residual_norm_forward op = {.b = aur_view2(x, 8, 8),
		.y = aur_view2(y, 8, 8),
		.gamma = aur_view1(gamma, 8),
		.mean = aur_view1(mean, 8),
		.rstd = aur_view1(rstd, 8)};
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_OK, "");
	op.y = aur_view2_of(y, AUR_BF16, 8, 8);
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_SHAPE, "residual_norm_forward: ");
	op.y = aur_view2(y, 8, 8);
	op.a = aur_view2(x, 8, 8);
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_SHAPE, "residual_norm_forward: ");
	op.a = aur_view2(NULL, 8, 8);
	op.gamma = aur_view1(gamma, 7);
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_SHAPE, "residual_norm_forward: ");
	const struct aur_residual_norm_backward back = {.d_y = aur_view2(x, 8, 8),
		.s = aur_view2(x, 8, 8),
		.gamma = aur_view1(gamma, 8),
		.mean = aur_view1(mean, 8),
		.rstd = aur_view1(rstd, 8),
		.d_a = aur_view2(y, 8, 8),
		.d_gamma = aur_view1(gamma, 7)};
	ops_assert_status(backend->ops->residual_norm_backward(backend, &back), AUR_SHAPE, "residual_norm_backward: ");
	ops_close(&backend);
}

/* Partial sums would run over the end of the scratch memory. */
static void shapes_beyond_the_reserved_are_refused(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	float *x = ops_put_zeros(backend, 64), *row = ops_put_zeros(backend, 8);
	const struct aur_residual_norm_backward op = {.d_y = aur_view2(x, 8, 8),
		.s = aur_view2(x, 8, 8),
		.gamma = aur_view1(row, 8),
		.mean = aur_view1(row, 8),
		.rstd = aur_view1(row, 8),
		.d_a = aur_view2(ops_put_zeros(backend, 64), 8, 8),
		.d_gamma = aur_view1(ops_put_zeros(backend, 8), 8)};
	ops_assert_status(backend->ops->residual_norm_backward(backend, &op), AUR_SHAPE, "residual_norm_backward: needs");
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_matches_float64),
		cmocka_unit_test(large_mean_keeps_the_variance),
		cmocka_unit_test(the_norm_of_a_kept_sum_repeats),
		cmocka_unit_test(nan_reaches_its_whole_row_and_no_other),
		cmocka_unit_test(backward_matches_finite_differences),
		cmocka_unit_test(large_results_are_the_same_as_small_ones),
		cmocka_unit_test(bits_do_not_depend_on_threads),
		cmocka_unit_test(wrong_shapes_are_refused),
		cmocka_unit_test(shapes_beyond_the_reserved_are_refused),
	};
	return ops_main("residual_norm", tests, sizeof tests / sizeof *tests);
}
