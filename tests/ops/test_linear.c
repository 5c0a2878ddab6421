#include "oracle.h"

struct shape {
	int64_t n, inputs, outputs;
};

/* 1, primes, what no vector width divides, sizes that are cut into several blocks, and depths beyond one partial sum,
 * of numbers (256) and of pairs (512), even and odd. Then what the CPU reads in place over several partial sums, and
 * rows that lie so far apart that it does not. The last three end where their memory ends, in panels that whole
 * registers reach beyond: what reads on is seen by AddressSanitizer. */
static const struct shape shapes[] = {{1, 1, 1}, {1, 300, 1031}, {4, 47, 131}, {7, 13, 5}, {3, 17, 31}, {100, 33, 439},
	{64, 128, 384}, {193, 131, 257}, {512, 96, 64}, {19, 1031, 23}, {600, 45, 519}, {70, 64, 700}, {35, 1024, 64},
	{64, 33, 15}, {64, 24, 7}, {64, 40, 16}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const enum aur_dtype types[] = {AUR_F32, AUR_BF16};
enum { TYPES = sizeof types / sizeof *types };

/* Sums of up to 1031 products in fp32: each is off by at most 1031 * 2^-24, and by far less when errors do not line up.
 */
static const double sum_tolerance = 4e-6;

static struct aur_backend *open_for(struct shape s, enum aur_dtype type)
{
	const int64_t widest = s.inputs > s.outputs ? s.inputs : s.outputs;
	return ops_open(&(struct aur_backend_limits){.batch = 1,
		.positions = s.n,
		.width = widest,
		.heads = 1,
		.mlp_width = widest,
		.activations = type,
		.training = 1});
}

struct arrays {
	float *x, *w, *bias, *d_y, *d_w, *d_bias;
};

static struct arrays arrays_of(struct shape s, enum aur_dtype type)
{
	return (struct arrays){.x = ops_round(type, ops_random(s.n * s.inputs, 1, 1.0f), s.n * s.inputs),
		.w = ops_round(type, ops_random(s.outputs * s.inputs, 2, 0.5f), s.outputs * s.inputs),
		.bias = ops_round(type, ops_random(s.outputs, 3, 1.0f), s.outputs),
		.d_y = ops_round(type, ops_random(s.n * s.outputs, 4, 1.0f), s.n * s.outputs),
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

struct results {
	void *y, *d_x;
	float *d_w, *d_bias;
};

/* A new activation of the backend's memory, NaN throughout. */
static void *output_of(struct aur_backend *backend, enum aur_dtype type, int64_t n)
{
	return ops_put_bytes(backend, NULL, (size_t)n * aur_dtype_bytes(type));
}

static void *run_forward(
	struct aur_backend *backend, struct shape s, enum aur_dtype type, const struct arrays *a, int with_bias)
{
	void *y = output_of(backend, type, s.n * s.outputs);
	struct aur_linear_forward op = {
		.x = aur_view2_of(ops_put_as(backend, type, a->x, s.n * s.inputs), type, s.n, s.inputs),
		.w = aur_view2_of(ops_put_as(backend, type, a->w, s.outputs * s.inputs), type, s.outputs, s.inputs),
		.y = aur_view2_of(y, type, s.n, s.outputs)};
	if (with_bias)
		op.bias = aur_view1_of(ops_put_as(backend, type, a->bias, s.outputs), type, s.outputs);
	ops_assert_status(backend->ops->linear_forward(backend, &op), AUR_OK, "");
	return y;
}

static void check_forward(struct shape s, enum aur_dtype type, int with_bias)
{
	struct aur_backend *backend = open_for(s, type);
	const struct arrays a = arrays_of(s, type);
	const int64_t count = s.n * s.outputs;
	const void *y = run_forward(backend, s, type, &a, with_bias);
	double *want = product(s.n, s.outputs, s.inputs, a.x, s.inputs, 1, a.w, 1, s.inputs);
	for (int64_t i = 0; with_bias && i < count; i++)
		want[i] += (double)a.bias[i % s.outputs];
	const double allowed =
		type == AUR_BF16 && with_bias ? ops_biased_tolerance(s.inputs, s.outputs, sum_tolerance) : sum_tolerance;
	ops_assert_close_as("y", type, ops_get_as(backend, type, y, count), want, count, allowed);
	ops_close(&backend);
}

static void output_is_the_product_plus_the_bias(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES * TYPES; i++) {
		check_forward(shapes[i / TYPES], types[i % TYPES], 0);
		check_forward(shapes[i / TYPES], types[i % TYPES], 1);
	}
}

/* Overwritten, d_w is NaN before. */
static struct results run_backward(
	struct aur_backend *backend, struct shape s, enum aur_dtype type, const struct arrays *a, int overwrite)
{
	const int64_t weights = s.outputs * s.inputs;
	struct results r = {.d_x = output_of(backend, type, s.n * s.inputs),
		.d_w = overwrite ? output_of(backend, AUR_F32, weights) : ops_put(backend, a->d_w, weights),
		.d_bias = ops_put(backend, a->d_bias, s.outputs)};
	const struct aur_linear_backward op = {
		.d_y = aur_view2_of(ops_put_as(backend, type, a->d_y, s.n * s.outputs), type, s.n, s.outputs),
		.x = aur_view2_of(ops_put_as(backend, type, a->x, s.n * s.inputs), type, s.n, s.inputs),
		.w = aur_view2_of(ops_put_as(backend, type, a->w, s.outputs * s.inputs), type, s.outputs, s.inputs),
		.d_x = aur_view2_of(r.d_x, type, s.n, s.inputs),
		.d_w = aur_view2(r.d_w, s.outputs, s.inputs),
		.d_bias = aur_view1(r.d_bias, s.outputs),
		.overwrite = overwrite};
	ops_assert_status(backend->ops->linear_backward(backend, &op), AUR_OK, "");
	return r;
}

/* d_w and d_bias start from numbers other than 0: parameters' gradients accumulate, d_w unless it is overwritten. */
static void check_backward(struct shape s, enum aur_dtype type, int overwrite)
{
	struct aur_backend *backend = open_for(s, type);
	const struct arrays a = arrays_of(s, type);
	const struct results r = run_backward(backend, s, type, &a, overwrite);
	const int64_t weights = s.outputs * s.inputs, inputs = s.n * s.inputs;
	const double *d_x = product(s.n, s.inputs, s.outputs, a.d_y, s.outputs, 1, a.w, s.inputs, 1);
	double *d_w = product(s.outputs, s.inputs, s.n, a.d_y, 1, s.outputs, a.x, s.inputs, 1);
	double *d_bias = ops_doubles(a.d_bias, s.outputs);
	for (int64_t i = 0; !overwrite && i < weights; i++)
		d_w[i] += (double)a.d_w[i];
	for (int64_t i = 0; i < s.n * s.outputs; i++)
		d_bias[i % s.outputs] += (double)a.d_y[i];
	ops_assert_close_as("d_x", type, ops_get_as(backend, type, r.d_x, inputs), d_x, inputs, sum_tolerance);
	ops_assert_close("d_w", ops_get(backend, r.d_w, weights), d_w, weights, sum_tolerance);
	ops_assert_close("d_bias", ops_get(backend, r.d_bias, s.outputs), d_bias, s.outputs, sum_tolerance);
	ops_close(&backend);
}

static void gradients_are_written_for_inputs_and_added_for_parameters(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES * TYPES; i++)
		check_backward(shapes[i / TYPES], types[i % TYPES], 0);
}

static void a_weight_gradient_can_be_overwritten(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES * TYPES; i++)
		check_backward(shapes[i / TYPES], types[i % TYPES], 1);
}

struct both {
	struct shape shape;
	enum aur_dtype type;
};

static size_t bytes_of_both(const struct both *b)
{
	const struct shape s = b->shape;
	return (size_t)(s.n * (s.inputs + s.outputs)) * aur_dtype_bytes(b->type) +
		   (size_t)(s.outputs * (s.inputs + 1)) * sizeof(float);
}

static void run_both(const void *argument, void *result)
{
	const struct both *b = argument;
	const struct shape s = b->shape;
	struct aur_backend *backend = open_for(s, b->type);
	const struct arrays a = arrays_of(s, b->type);
	const size_t element = aur_dtype_bytes(b->type);
	const void *y = run_forward(backend, s, b->type, &a, 1);
	const struct results r = run_backward(backend, s, b->type, &a, 0);
	const struct {
		const void *from;
		size_t bytes;
	} parts[] = {{y, (size_t)(s.n * s.outputs) * element}, {r.d_x, (size_t)(s.n * s.inputs) * element},
		{r.d_w, (size_t)(s.outputs * s.inputs) * sizeof(float)}, {r.d_bias, (size_t)s.outputs * sizeof(float)}};
	char *out = result;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		ops_get_bytes(backend, out, parts[i].from, parts[i].bytes);
		out += parts[i].bytes;
	}
	ops_close(&backend);
}

static void bits_do_not_depend_on_the_number_of_threads(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES * TYPES; i++) {
		const struct both both = {shapes[i / TYPES], types[i % TYPES]};
		ops_assert_thread_independent("linear", run_both, &both, bytes_of_both(&both));
	}
	for (int i = 0; i < TYPES; i++) {
		const struct both large = {{ops_sized(768, 64), 200, 700}, types[i]};
		ops_assert_thread_independent("linear", run_both, &large, bytes_of_both(&large));
	}
}

/* How a product is cut into blocks may then follow the shape and the threads. A library that chooses its algorithm by
 * the shape does not promise that. */
static void bits_of_a_row_do_not_depend_on_the_rows_beside_it(void **state)
{
	(void)state;
	if (!ops_on_cpu()) {
		print_message("SKIP: a library may choose its algorithm by the number of rows\n");
		skip();
	}
	for (int i = 0; i < TYPES; i++) {
		const enum aur_dtype type = types[i];
		const struct shape all = {97, 300, 130}, part = {5, 300, 130};
		struct aur_backend *backend = open_for(all, type);
		struct arrays a = arrays_of(all, type);
		const char *y = run_forward(backend, all, type, &a, 1);
		const int64_t first = 61;
		a.x += first * all.inputs;
		const void *rows = run_forward(backend, part, type, &a, 1);
		const size_t row = (size_t)all.outputs * aur_dtype_bytes(type);
		ops_assert_same_bits("rows", y + (size_t)first * row, rows, (size_t)part.n * row);
		ops_close(&backend);
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
	forward.bias = aur_view1_of(data, AUR_BF16, 4);
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
		cmocka_unit_test(a_weight_gradient_can_be_overwritten),
		cmocka_unit_test(bits_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(bits_of_a_row_do_not_depend_on_the_rows_beside_it),
		cmocka_unit_test(shapes_that_disagree_are_refused),
	};
	return ops_main("linear", tests, sizeof tests / sizeof *tests);
}
