/* Causal attention, forward and backward, against float64. */

#include "attention_reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* fp32 sums over hundreds of keys; gradients are differences (dP - delta) of such sums. */
static const double tolerance = 1e-5, gradient_tolerance = 4e-5;

/* Of bf16, before the result is rounded. Weights, and gradients of scores, may be rounded to bf16 for the second
 * product: each is then off by up to 2^-9, so that a sum is off by as much of the sum of absolute values, which where
 * terms cancel is twenty times the root mean square. All in all such errors average out: to 2^-8 of it. */
static const double rounded_tolerance = 4e-2, rounded_mean_tolerance = 4e-3;

static const struct attention_case cases[] = {
	{1, 1, 1, 1, 1.0f, 0.0f, AUR_F32},
	{1, 1, 1, 1, 1.0f, 0.5f, AUR_F32},
	{2, 2, 3, 4, 0.5f, 0.0f, AUR_F32},
	{2, 7, 3, 5, 0.4f, 0.2f, AUR_F32},
	{1, 64, 2, 16, 0.25f, 0.1f, AUR_F32},
	{1, 67, 2, 17, 0.25f, 0.1f, AUR_F32},
	{2, 65, 3, 33, 0.2f, 0.0f, AUR_F32},
	{1, 64, 96, 4, 0.05f, 0.2f, AUR_F32},
	{1, 129, 1, 32, 0.2f, 0.3f, AUR_F32},
	{1, 256, 12, 32, 0.2f, 0.0f, AUR_F32},
	{12, 64, 4, 32, 0.2f, 0.0f, AUR_F32},
	{1, 257, 1, 4, 0.5f, 0.1f, AUR_F32},
	{1, 601, 2, 64, 0.125f, 0.1f, AUR_F32},
	{1, 130, 33, 8, 0.3f, 0.0f, AUR_F32},
	{1, 1024, 1, 64, 0.125f, 0.0f, AUR_F32},
	{1, 150, 1, 128, 0.1f, 0.0f, AUR_F32},
	{1, 130, 2, 80, 0.1f, 0.1f, AUR_F32},
	{1, 300, 1, 300, 0.05f, 0.0f, AUR_F32},
	{1, 37, 1, 523, 0.04f, 0.1f, AUR_F32},
	{1, 1, 1, 1, 1.0f, 0.0f, AUR_BF16},
	{2, 1, 3, 64, 0.1f, 0.0f, AUR_BF16},
	{2, 7, 3, 5, 0.4f, 0.2f, AUR_BF16},
	{1, 64, 96, 4, 0.05f, 0.2f, AUR_BF16},
	{12, 64, 4, 32, 0.2f, 0.0f, AUR_BF16},
	{2, 65, 3, 33, 0.2f, 0.0f, AUR_BF16},
	{1, 129, 1, 32, 0.2f, 0.3f, AUR_BF16},
	{1, 130, 2, 80, 0.1f, 0.1f, AUR_BF16},
	{1, 257, 1, 4, 0.5f, 0.1f, AUR_BF16},
	{1, 601, 2, 64, 0.125f, 0.1f, AUR_BF16},
	{1, 1024, 1, 64, 0.125f, 0.0f, AUR_BF16},
	{2, 133, 2, 128, 0.1f, 0.0f, AUR_BF16},
	{1, 150, 1, 116, 0.1f, 0.1f, AUR_BF16},
	{1, 100, 2, 64, -0.125f, 0.1f, AUR_BF16}, /* a scale may turn the order of scores round */
	{1, 100, 1, 24, -0.2f, 0.0f, AUR_BF16},
	{1, 70, 1, 8, 0.0f, 0.0f, AUR_BF16},
	{1, 70, 1, 8, -0.3f, 0.1f, AUR_F32},
	{1, 37, 1, 523, 0.04f, 0.1f, AUR_BF16},
};
enum { CASES = sizeof cases / sizeof *cases };

static struct aur_backend *open_for(const struct attention_case *c)
{
	return ops_open(&(struct aur_backend_limits){.batch = c->batch,
		.positions = c->positions,
		.width = attention_case_width(c),
		.heads = c->heads,
		.activations = c->type,
		.training = 1});
}

static struct aur_dropout device_dropout(struct aur_backend *backend, const struct attention_case *c)
{
	struct aur_dropout dropout = attention_case_dropout(c);
	dropout.state = ops_put_bytes(backend, dropout.state, sizeof *dropout.state);
	return dropout;
}

/* Pointers of the backend. */
struct run {
	struct aur_tensor qkv, out, lse, d_out, d_qkv;
};

/* [B*T, columns] of the case's type; NULL: NaN. */
static struct aur_tensor activation(
	struct aur_backend *backend, const struct attention_case *c, const float *host, int64_t columns)
{
	const int64_t rows = attention_case_rows(c);
	return aur_view2_of(ops_put_as(backend, c->type, host, rows * columns), c->type, rows, columns);
}

static struct aur_attention_forward forward_op(
	struct aur_backend *backend, const struct attention_case *c, const float *qkv, struct run *run)
{
	const int64_t rows = attention_case_rows(c), width = attention_case_width(c);
	run->qkv = activation(backend, c, qkv, 3 * width);
	run->out = activation(backend, c, NULL, width);
	run->lse = aur_view3(ops_put(backend, NULL, rows * c->heads), c->batch, c->heads, c->positions);
	return (struct aur_attention_forward){.qkv = run->qkv,
		.out = run->out,
		.lse = run->lse,
		.batch = c->batch,
		.positions = c->positions,
		.n_head = c->heads,
		.scale = c->scale,
		.dropout = device_dropout(backend, c)};
}

static void forward(struct aur_backend *backend, const struct attention_case *c, const float *qkv, struct run *run)
{
	const struct aur_attention_forward op = forward_op(backend, c, qkv, run);
	ops_assert_status(backend->ops->attention_forward(backend, &op), AUR_OK, "");
}

static struct aur_attention_backward backward_op(
	struct aur_backend *backend, const struct attention_case *c, const float *d_out, struct run *run)
{
	const int64_t width = attention_case_width(c);
	run->d_out = activation(backend, c, d_out, width);
	run->d_qkv = activation(backend, c, NULL, 3 * width);
	return (struct aur_attention_backward){.qkv = run->qkv,
		.out = run->out,
		.lse = run->lse,
		.d_out = run->d_out,
		.d_qkv = run->d_qkv,
		.batch = c->batch,
		.positions = c->positions,
		.n_head = c->heads,
		.n_kv_head = c->heads,
		.scale = c->scale,
		.dropout = device_dropout(backend, c)};
}

static void backward(struct aur_backend *backend, const struct attention_case *c, const float *d_out, struct run *run)
{
	const struct aur_attention_backward op = backward_op(backend, c, d_out, run);
	ops_assert_status(backend->ops->attention_backward(backend, &op), AUR_OK, "");
}

static double *doubles(int64_t n)
{
	return ops_memory((size_t)n * sizeof(double));
}

/* Of results of the case's type. */
static void check_close(
	const char *what, const struct attention_case *c, const float *got, const double *want, int64_t n, double allowed)
{
	double error = 0.0, size = 0.0;
	char named[96];
	snprintf(named, sizeof named, "%s of %lld x %lld x %lld x %lld, scale %g", what, (long long)c->batch,
		(long long)c->positions, (long long)c->heads, (long long)c->head, (double)c->scale);
	ops_assert_close_as(named, c->type, got, want, n, c->type == AUR_BF16 ? rounded_tolerance : allowed);
	for (int64_t i = 0; i < n; i++) {
		error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
		size += want[i] * want[i];
	}
	if (c->type == AUR_BF16 && sqrt(error) > rounded_mean_tolerance * sqrt(size))
		fail_msg("%s of %lld x %lld: off by %.3g of its size on the average", what, (long long)c->positions,
			(long long)c->head, sqrt(error / size));
}

static void check_forward(const struct attention_case *c, double allowed)
{
	struct aur_backend *backend = open_for(c);
	struct run run;
	const int64_t rows = attention_case_rows(c), width = attention_case_width(c);
	const float *qkv = ops_round(c->type, ops_random(rows * 3 * width, 1, 1.0f), rows * 3 * width);
	double *out = doubles(rows * width), *lse = doubles(rows * c->heads);
	forward(backend, c, qkv, &run);
	attention_reference(c, ops_doubles(qkv, rows * 3 * width), out, lse);
	const float *got = ops_get_as(backend, c->type, run.out.data, rows * width);
	check_close("out", c, got, out, rows * width, allowed);
	ops_assert_close("lse", ops_get(backend, run.lse.data, rows * c->heads), lse, rows * c->heads, allowed);
	ops_close(&backend);
}

static void forward_matches_float64(void **state)
{
	(void)state;
	for (int i = 0; i < CASES; i++) {
		const struct attention_case c = attention_case_sized(&cases[i]);
		check_forward(&c, tolerance);
	}
}

/* Scores of hundreds, whose exponentials alone are beyond fp32; the largest comes in a late block of keys. A score of
 * 300 is rounded to 3e-5, and so are the weights, relatively. */
static void large_scores_do_not_overflow(void **state)
{
	(void)state;
	check_forward(&(struct attention_case){1, ops_sized(530, 128), 1, 8, 100.0f, 0.0f, AUR_F32}, 1e-3);
	const struct attention_case c = {1, ops_sized(600, 128), 1, 32, 0.2f, 0.0f, AUR_F32};
	const int64_t n = c.positions;
	struct aur_backend *backend = open_for(&c);
	struct run run;
	float *qkv = ops_random(n * 96, 4, 1.0f);
	for (int64_t t = 0; t < n; t++)
		for (int d = 0; d < 64; d++)
			qkv[t * 96 + d] = 0.5f + 2.4f / (float)n * (float)t;
	double *out = doubles(n * 32), *lse = doubles(n);
	forward(backend, &c, qkv, &run);
	attention_reference(&c, ops_doubles(qkv, n * 96), out, lse);
	ops_assert_close("out", ops_get(backend, run.out.data, n * 32), out, n * 32, 1e-3);
	ops_assert_close("lse", ops_get(backend, run.lse.data, n), lse, n, 1e-3);
	ops_close(&backend);
}

static void check_backward(const struct attention_case *c)
{
	struct aur_backend *backend = open_for(c);
	struct run run;
	const int64_t rows = attention_case_rows(c), width = attention_case_width(c);
	const float *qkv = ops_round(c->type, ops_random(rows * 3 * width, 1, 1.0f), rows * 3 * width);
	const float *d_out = ops_round(c->type, ops_random(rows * width, 2, 1.0f), rows * width);
	double *want = doubles(rows * 3 * width);
	forward(backend, c, qkv, &run);
	backward(backend, c, d_out, &run);
	const float *out = ops_get_as(backend, c->type, run.out.data, rows * width);
	attention_reference_backward(
		c, ops_doubles(qkv, rows * 3 * width), ops_doubles(out, rows * width), ops_doubles(d_out, rows * width), want);
	const float *got = ops_get_as(backend, c->type, run.d_qkv.data, rows * 3 * width);
	check_close("d_qkv", c, got, want, rows * 3 * width, gradient_tolerance);
	ops_close(&backend);
}

static void backward_matches_float64(void **state)
{
	(void)state;
	for (int i = 0; i < CASES; i++) {
		const struct attention_case c = attention_case_sized(&cases[i]);
		check_backward(&c);
	}
}

struct weighted {
	const struct attention_case *c;
	const double *d_out;
	double *out;
};

static double weighted_sum(const double *qkv, void *argument)
{
	const struct weighted *w = argument;
	double sum = 0.0;
	attention_reference(w->c, qkv, w->out, NULL);
	for (int64_t i = 0; i < attention_case_rows(w->c) * attention_case_width(w->c); i++)
		sum += w->d_out[i] * w->out[i];
	return sum;
}

/* The gradient is that of the forward function, whatever formula either side uses. */
static void backward_matches_finite_differences(void **state)
{
	(void)state;
	static const struct attention_case small[] = {{1, 1, 1, 1, 1.0f, 0.0f, AUR_F32}, {1, 5, 2, 3, 0.7f, 0.3f, AUR_F32}};
	for (int i = 0; i < 2; i++) {
		const struct attention_case *c = &small[i];
		const int64_t rows = attention_case_rows(c), width = attention_case_width(c), n = rows * 3 * width;
		struct aur_backend *backend = open_for(c);
		struct run run;
		const float *qkv = ops_random(n, 5, 1.0f), *d_out = ops_random(rows * width, 6, 1.0f);
		struct weighted weighted = {c, ops_doubles(d_out, rows * width), doubles(rows * width)};
		double *want = doubles(n);
		ops_gradient(weighted_sum, &weighted, ops_doubles(qkv, n), n, want);
		forward(backend, c, qkv, &run);
		backward(backend, c, d_out, &run);
		ops_assert_close("d_qkv", ops_get(backend, run.d_qkv.data, n), want, n, gradient_tolerance);
		ops_close(&backend);
	}
}

static void run_both(const void *argument, void *result)
{
	const struct attention_case *c = argument;
	struct aur_backend *backend = open_for(c);
	struct run run;
	const int64_t rows = attention_case_rows(c), width = attention_case_width(c);
	forward(backend, c, ops_random(rows * 3 * width, 1, 1.0f), &run);
	backward(backend, c, ops_random(rows * width, 2, 1.0f), &run);
	float *to = result;
	memcpy(to, ops_get_as(backend, c->type, run.out.data, rows * width), (size_t)(rows * width) * sizeof *to);
	memcpy(to + rows * width, ops_get_as(backend, c->type, run.d_qkv.data, rows * 3 * width),
		(size_t)(rows * 3 * width) * sizeof *to);
	ops_close(&backend);
}

static void bits_do_not_depend_on_threads(void **state)
{
	(void)state;
	static const struct attention_case threaded[] = {{1, 300, 2, 32, 0.2f, 0.1f, AUR_F32},
		{2, 70, 3, 7, 0.2f, 0.0f, AUR_F32}, {1, 64, 96, 4, 0.1f, 0.2f, AUR_F32}, {1, 600, 1, 64, 0.1f, 0.1f, AUR_BF16},
		{1, 70, 3, 20, 0.2f, 0.0f, AUR_BF16}, {1, 300, 2, 4, 0.2f, 0.0f, AUR_BF16}};
	for (size_t i = 0; i < sizeof threaded / sizeof *threaded; i++) {
		const struct attention_case c = attention_case_sized(&threaded[i]);
		const int64_t numbers = 4 * attention_case_rows(&c) * attention_case_width(&c);
		ops_assert_thread_independent("attention", run_both, &c, (size_t)numbers * sizeof(float));
	}
}

/* The queries that see a spoilt key show it; those before it do not. */
static void nan_of_a_key_reaches_the_queries_after_it(void **state)
{
	(void)state;
	static const struct attention_case both[] = {{1, 200, 1, 32, 0.2f, 0.0f, AUR_F32},
		{1, 200, 1, 4, 0.2f, 0.0f, AUR_F32}, {1, 200, 1, 32, 0.2f, 0.0f, AUR_BF16}};
	for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
		const int64_t head = both[i].head;
		struct aur_backend *backend = open_for(&both[i]);
		struct run run;
		float *qkv = ops_random(200 * 3 * head, 1, 1.0f);
		qkv[130 * 3 * head + head] = NAN;
		forward(backend, &both[i], qkv, &run);
		const float *out = ops_get_as(backend, both[i].type, run.out.data, 200 * head);
		const float *lse = ops_get(backend, run.lse.data, 200);
		for (int t = 0; t < 200; t++) {
			assert_int_equal(isnan(out[t * head]) != 0, t >= 130);
			assert_int_equal(isnan(lse[t]) != 0, t >= 130);
		}
		backward(backend, &both[i], ops_random(200 * head, 2, 1.0f), &run);
		assert_true(isnan(ops_get_as(backend, both[i].type, run.d_qkv.data, 200 * 3 * head)[150 * 3 * head]));
		ops_close(&backend);
	}
}

static void wrong_shapes_are_refused(void **state)
{
	(void)state;
	const struct attention_case c = {1, 8, 2, 4, 1.0f, 0.0f, AUR_F32};
	struct aur_backend *backend = open_for(&c);
	struct run run;
	const float *zeros = ops_memory(8 * 24 * sizeof *zeros);
	struct aur_attention_forward op = forward_op(backend, &c, zeros, &run);
	op.n_head = 3;
	ops_assert_status(backend->ops->attention_forward(backend, &op), AUR_SHAPE, "attention_forward: ");
	op.n_head = 2;
	op.n_kv_head = 1;
	ops_assert_status(backend->ops->attention_forward(backend, &op), AUR_SHAPE, "attention_forward: ");
	op.n_kv_head = 0;
	op.lse = aur_view1(run.lse.data, 15);
	ops_assert_status(backend->ops->attention_forward(backend, &op), AUR_SHAPE, "attention_forward: ");
	struct aur_attention_backward back = backward_op(backend, &c, zeros, &run);
	back.d_qkv = aur_view2(run.d_qkv.data, 8, 23);
	ops_assert_status(backend->ops->attention_backward(backend, &back), AUR_SHAPE, "attention_backward: ");
	op.lse = run.lse;
	op.out.dtype = AUR_BF16;
	ops_assert_status(backend->ops->attention_forward(backend, &op), AUR_SHAPE, "attention_forward: ");
	back.d_qkv = run.d_qkv;
	back.d_out.dtype = AUR_BF16;
	ops_assert_status(backend->ops->attention_backward(backend, &back), AUR_SHAPE, "attention_backward: ");
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_matches_float64),
		cmocka_unit_test(large_scores_do_not_overflow),
		cmocka_unit_test(backward_matches_float64),
		cmocka_unit_test(backward_matches_finite_differences),
		cmocka_unit_test(bits_do_not_depend_on_threads),
		cmocka_unit_test(nan_of_a_key_reaches_the_queries_after_it),
		cmocka_unit_test(wrong_shapes_are_refused),
	};
	return ops_main("attention", tests, sizeof tests / sizeof *tests);
}
