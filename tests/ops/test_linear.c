#include "oracle.h"

struct shape {
	int64_t n, inputs, outputs;
};

/* 1, primes, what no vector width divides, and sizes that are cut into several blocks. With the fourth, OpenBLAS takes
 * another kernel for halves of the product, so that blocks which follow the threads would show. */
static const struct shape shapes[] = {
	{1, 1, 1}, {7, 13, 5}, {3, 17, 31}, {100, 33, 439}, {64, 128, 384}, {193, 131, 257}, {512, 96, 64}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Sums of up to 512 products in fp32: each is off by at most 512 * 2^-24, and by far less when errors do not line up.
 */
static const double sum_tolerance = 4e-6;

struct arrays {
	float *x, *w, *bias, *d_y, *d_w, *d_bias;
};

static struct arrays arrays_of(struct shape s)
{
	return (struct arrays){.x = ops_random(s.n * s.inputs, 1, 1.0f),
		.w = ops_random(s.outputs * s.inputs, 2, 0.5f),
		.bias = ops_random(s.outputs, 3, 1.0f),
		.d_y = ops_random(s.n * s.outputs, 4, 1.0f),
		.d_w = ops_random(s.outputs * s.inputs, 5, 1.0f),
		.d_bias = ops_random(s.outputs, 6, 1.0f)};
}

/* c[i,j] = start[j or i,j] + sum over l of a(i,l) b(l,j), in fp64. */
static double *product(
	int64_t m, int64_t n, int64_t k, const float *a, int64_t a_i, int64_t a_l, const float *b, int64_t b_l, int64_t b_j)
{
	double *c = ops_memory((size_t)(m * n) * sizeof *c);
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++)
			for (int64_t l = 0; l < k; l++)
				c[i * n + j] += (double)a[i * a_i + l * a_l] * (double)b[l * b_l + j * b_j];
	return c;
}

static void check_forward(struct shape s, int with_bias)
{
	struct aur_backend *backend = ops_open(NULL);
	const struct arrays a = arrays_of(s);
	float *y = ops_put(backend, NULL, s.n * s.outputs);
	struct aur_linear_forward op = {.x = aur_view2(ops_put(backend, a.x, s.n * s.inputs), s.n, s.inputs),
		.w = aur_view2(ops_put(backend, a.w, s.outputs * s.inputs), s.outputs, s.inputs),
		.y = aur_view2(y, s.n, s.outputs)};
	if (with_bias)
		op.bias = aur_view1(ops_put(backend, a.bias, s.outputs), s.outputs);
	ops_assert_status(backend->ops->linear_forward(backend, &op), AUR_OK, "");
	double *want = product(s.n, s.outputs, s.inputs, a.x, s.inputs, 1, a.w, 1, s.inputs);
	for (int64_t i = 0; with_bias && i < s.n * s.outputs; i++)
		want[i] += (double)a.bias[i % s.outputs];
	ops_assert_close("y", ops_get(backend, y, s.n * s.outputs), want, s.n * s.outputs, sum_tolerance);
	ops_close(&backend);
}

static void output_is_the_product_plus_the_bias(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES; i++) {
		check_forward(shapes[i], 0);
		check_forward(shapes[i], 1);
	}
}

struct results {
	float *y, *d_x, *d_w, *d_bias;
};

static struct results run_backward(struct aur_backend *backend, struct shape s, const struct arrays *a)
{
	struct results r = {.d_x = ops_put(backend, NULL, s.n * s.inputs),
		.d_w = ops_put(backend, a->d_w, s.outputs * s.inputs),
		.d_bias = ops_put(backend, a->d_bias, s.outputs)};
	const struct aur_linear_backward op = {.d_y = aur_view2(ops_put(backend, a->d_y, s.n * s.outputs), s.n, s.outputs),
		.x = aur_view2(ops_put(backend, a->x, s.n * s.inputs), s.n, s.inputs),
		.w = aur_view2(ops_put(backend, a->w, s.outputs * s.inputs), s.outputs, s.inputs),
		.d_x = aur_view2(r.d_x, s.n, s.inputs),
		.d_w = aur_view2(r.d_w, s.outputs, s.inputs),
		.d_bias = aur_view1(r.d_bias, s.outputs)};
	ops_assert_status(backend->ops->linear_backward(backend, &op), AUR_OK, "");
	return r;
}

/* d_w and d_bias start from numbers other than 0: parameters' gradients accumulate. */
static void gradients_are_written_for_inputs_and_added_for_parameters(void **state)
{
	(void)state;
	for (int k = 0; k < SHAPES; k++) {
		const struct shape s = shapes[k];
		struct aur_backend *backend = ops_open(NULL);
		const struct arrays a = arrays_of(s);
		const struct results r = run_backward(backend, s, &a);
		const double *d_x = product(s.n, s.inputs, s.outputs, a.d_y, s.outputs, 1, a.w, s.inputs, 1);
		double *d_w = product(s.outputs, s.inputs, s.n, a.d_y, 1, s.outputs, a.x, s.inputs, 1);
		double *d_bias = ops_doubles(a.d_bias, s.outputs);
		for (int64_t i = 0; i < s.outputs * s.inputs; i++)
			d_w[i] += (double)a.d_w[i];
		for (int64_t i = 0; i < s.n * s.outputs; i++)
			d_bias[i % s.outputs] += (double)a.d_y[i];
		ops_assert_close("d_x", ops_get(backend, r.d_x, s.n * s.inputs), d_x, s.n * s.inputs, sum_tolerance);
		ops_assert_close(
			"d_w", ops_get(backend, r.d_w, s.outputs * s.inputs), d_w, s.outputs * s.inputs, sum_tolerance);
		ops_assert_close("d_bias", ops_get(backend, r.d_bias, s.outputs), d_bias, s.outputs, sum_tolerance);
		ops_close(&backend);
	}
}

static void run_both(const void *argument, void *result)
{
	const struct shape s = *(const struct shape *)argument;
	struct aur_backend *backend = ops_open(NULL);
	const struct arrays a = arrays_of(s);
	float *y = ops_put(backend, NULL, s.n * s.outputs);
	const struct aur_linear_forward op = {.x = aur_view2(ops_put(backend, a.x, s.n * s.inputs), s.n, s.inputs),
		.w = aur_view2(ops_put(backend, a.w, s.outputs * s.inputs), s.outputs, s.inputs),
		.bias = aur_view1(ops_put(backend, a.bias, s.outputs), s.outputs),
		.y = aur_view2(y, s.n, s.outputs)};
	ops_assert_status(backend->ops->linear_forward(backend, &op), AUR_OK, "");
	const struct results r = run_backward(backend, s, &a);
	float *out = result;
	ops_get_bytes(backend, out, y, (size_t)(s.n * s.outputs) * sizeof *out);
	out += s.n * s.outputs;
	ops_get_bytes(backend, out, r.d_x, (size_t)(s.n * s.inputs) * sizeof *out);
	out += s.n * s.inputs;
	ops_get_bytes(backend, out, r.d_w, (size_t)(s.outputs * s.inputs) * sizeof *out);
	out += s.outputs * s.inputs;
	ops_get_bytes(backend, out, r.d_bias, (size_t)s.outputs * sizeof *out);
	ops_close(&backend);
}

static void bits_do_not_depend_on_the_number_of_threads(void **state)
{
	(void)state;
	static const struct shape large = {768, 200, 700};
	const int64_t floats = large.n * (large.inputs + large.outputs) + large.outputs * (large.inputs + 1);
	ops_assert_thread_independent("linear", run_both, &large, (size_t)floats * sizeof(float));
	for (int i = 0; i < SHAPES; i++) {
		const struct shape s = shapes[i];
		const int64_t all = s.n * (s.inputs + s.outputs) + s.outputs * (s.inputs + 1);
		ops_assert_thread_independent("linear", run_both, &s, (size_t)all * sizeof(float));
	}
}

static void shapes_that_disagree_are_refused(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	float *data = ops_put_zeros(backend, 64);
	struct aur_linear_forward forward = {
		.x = aur_view2(data, 2, 3), .w = aur_view2(data, 4, 5), .y = aur_view2(data, 2, 4)};
	ops_assert_status(backend->ops->linear_forward(backend, &forward), AUR_SHAPE, "linear_forward: w");
	forward.w = aur_view2(data, 4, 3);
	forward.y = aur_view2(data, 2, 5);
	ops_assert_status(backend->ops->linear_forward(backend, &forward), AUR_SHAPE, "linear_forward: y");
	forward.y = aur_view2(data, 2, 4);
	forward.bias = aur_view1(data, 3);
	ops_assert_status(backend->ops->linear_forward(backend, &forward), AUR_SHAPE, "linear_forward: bias");
	forward.x.data = NULL;
	ops_assert_status(backend->ops->linear_forward(backend, &forward), AUR_SHAPE, "linear_forward: x is absent");
	struct aur_linear_backward backward = {.d_y = aur_view2(data, 2, 4),
		.x = aur_view2(data, 2, 3),
		.w = aur_view2(data, 4, 3),
		.d_x = aur_view2(data + 32, 3, 2),
		.d_w = aur_view2(data, 4, 3)};
	ops_assert_status(backend->ops->linear_backward(backend, &backward), AUR_SHAPE, "linear_backward: d_x");
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_is_the_product_plus_the_bias),
		cmocka_unit_test(gradients_are_written_for_inputs_and_added_for_parameters),
		cmocka_unit_test(bits_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(shapes_that_disagree_are_refused),
	};
	return ops_main("linear", tests, sizeof tests / sizeof *tests);
}
