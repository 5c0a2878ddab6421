#include "oracle.h"

#include <math.h>
#include <string.h>

struct shape {
	int64_t batch, positions, width, vocabulary;
	int bias, overwrite;
};

/* The last three have more rows than one chunk: 1024 rows, and 64 of a vocabulary so large that a chunk is 192. */
static const struct shape shapes[] = {{1, 1, 1, 1, 1, 0}, {2, 3, 5, 7, 0, 0}, {3, 11, 16, 65, 1, 1},
	{2, 17, 33, 1031, 1, 0}, {2, 19, 24, 1096, 1, 1}, {9, 131, 8, 29, 1, 0}, {9, 131, 8, 29, 1, 1},
	{2, 128, 2, 65537, 0, 0}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* The last would take the emulator minutes. */
static struct shape shape_of(int i)
{
	return ops_emulated() && i == SHAPES - 1 ? (struct shape){1, 70, 2, 20011, 0, 0} : shapes[i];
}

static const float gradient_scale = 0.37f;

/* fp32 logits of a few units are off by 1e-7 of their size, so exp by as much; sums of up to 1,200 such. */
static const double tolerance = 5e-6;

struct sizes {
	int64_t rows, x, w, loss;
	size_t bytes; /* of losses, then d_x, d_w, d_bias */
};

static struct sizes sizes_of(struct shape s)
{
	const int64_t rows = s.batch * s.positions;
	struct sizes z = {.rows = rows, .x = rows * s.width, .w = s.vocabulary * s.width, .loss = s.batch};
	z.bytes = (size_t)z.loss * sizeof(double) + (size_t)(z.x + z.w + s.vocabulary) * sizeof(float);
	return z;
}

static struct aur_backend *open_for(struct shape s, enum aur_dtype type)
{
	return ops_open(&(struct aur_backend_limits){.batch = s.batch,
		.positions = s.positions,
		.width = s.width,
		.heads = 1,
		.mlp_width = s.width,
		.vocabulary = s.vocabulary,
		.activations = type,
		.training = 1});
}

/* NaN where it is to be overwritten. */
static float *weight_gradient(struct aur_backend *backend, struct shape s, int64_t count)
{
	return ops_put(backend, s.overwrite ? NULL : ops_random(count, 5, 0.1f), count);
}

static void run_with_gradients(const void *argument, void *result)
{
	const struct shape s = *(const struct shape *)argument;
	const struct sizes z = sizes_of(s);
	struct aur_backend *backend = open_for(s, AUR_F32);
	double *loss = ops_put_bytes(backend, NULL, (size_t)z.loss * sizeof *loss);
	float *d_x = ops_put(backend, NULL, z.x);
	float *d_w = weight_gradient(backend, s, z.w);
	float *d_bias = ops_put(backend, ops_random(s.vocabulary, 6, 0.1f), s.vocabulary);
	struct aur_head_loss op = {.x = aur_view2(ops_put(backend, ops_random(z.x, 1, 1.0f), z.x), z.rows, s.width),
		.w = aur_view2(ops_put(backend, ops_random(z.w, 2, 0.7f), z.w), s.vocabulary, s.width),
		.targets = aur_view_tokens(
			ops_put_tokens(backend, ops_random_tokens(z.rows, 4, s.vocabulary), z.rows), s.batch, s.positions),
		.loss = ops_view_f64(loss, z.loss),
		.d_x = aur_view2(d_x, z.rows, s.width),
		.d_w = aur_view2(d_w, s.vocabulary, s.width),
		.overwrite = s.overwrite,
		.gradient_scale = gradient_scale};
	if (s.bias) {
		op.bias = aur_view1(ops_put(backend, ops_random(s.vocabulary, 3, 1.0f), s.vocabulary), s.vocabulary);
		op.d_bias = aur_view1(d_bias, s.vocabulary);
	}
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_OK, "");
	char *out = result;
	ops_get_bytes(backend, out, loss, (size_t)z.loss * sizeof(double));
	out += (size_t)z.loss * sizeof(double);
	ops_get_bytes(backend, out, d_x, (size_t)z.x * sizeof(float));
	out += (size_t)z.x * sizeof(float);
	ops_get_bytes(backend, out, d_w, (size_t)z.w * sizeof(float));
	out += (size_t)z.w * sizeof(float);
	ops_get_bytes(backend, out, d_bias, (size_t)s.vocabulary * sizeof(float));
	ops_close(&backend);
}

struct reference {
	const double *x, *w, *bias; /* bias may be NULL */
	const int32_t *targets;
	double *loss, *d_x, *d_w, *d_bias;
};

/* One row: its loss, and its gradient in `g`. */
static double reference_row(const struct reference *r, struct shape s, int64_t n, double *g)
{
	double max = -INFINITY;
	double sum = 0.0;
	for (int64_t v = 0; v < s.vocabulary; v++) {
		g[v] = r->bias ? r->bias[v] : 0.0;
		for (int64_t c = 0; c < s.width; c++)
			g[v] += r->x[n * s.width + c] * r->w[v * s.width + c];
		max = fmax(max, g[v]);
	}
	const double chosen = g[r->targets[n]];
	for (int64_t v = 0; v < s.vocabulary; v++)
		sum += exp(g[v] - max);
	for (int64_t v = 0; v < s.vocabulary; v++)
		g[v] = (exp(g[v] - max) / sum - (v == r->targets[n])) * (double)gradient_scale;
	return log(sum) + max - chosen;
}

static void reference_all(const struct reference *r, struct shape s)
{
	double *g = ops_memory((size_t)s.vocabulary * sizeof *g);
	for (int64_t n = 0; n < s.batch * s.positions; n++) {
		r->loss[n / s.positions] += reference_row(r, s, n, g);
		for (int64_t v = 0; v < s.vocabulary; v++) {
			r->d_bias[v] += r->bias ? g[v] : 0.0;
			for (int64_t c = 0; c < s.width; c++) {
				r->d_x[n * s.width + c] += g[v] * r->w[v * s.width + c];
				r->d_w[v * s.width + c] += g[v] * r->x[n * s.width + c];
			}
		}
	}
}

static struct reference reference_of(struct shape s)
{
	const struct sizes z = sizes_of(s);
	struct reference r = {.x = ops_doubles(ops_random(z.x, 1, 1.0f), z.x),
		.w = ops_doubles(ops_random(z.w, 2, 0.7f), z.w),
		.bias = s.bias ? ops_doubles(ops_random(s.vocabulary, 3, 1.0f), s.vocabulary) : NULL,
		.targets = ops_random_tokens(z.rows, 4, s.vocabulary),
		.loss = ops_memory((size_t)z.loss * sizeof(double)),
		.d_x = ops_memory((size_t)z.x * sizeof(double)),
		.d_w = s.overwrite ? ops_memory((size_t)z.w * sizeof(double)) : ops_doubles(ops_random(z.w, 5, 0.1f), z.w),
		.d_bias = ops_doubles(ops_random(s.vocabulary, 6, 0.1f), s.vocabulary)};
	reference_all(&r, s);
	return r;
}

static void loss_and_gradients_follow_the_formula(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES; i++) {
		const struct shape s = shape_of(i);
		const struct sizes z = sizes_of(s);
		const struct reference r = reference_of(s);
		char *got = ops_memory(z.bytes);
		run_with_gradients(&s, got);
		const double *loss = (const double *)(const void *)got;
		const float *d_x = (const float *)(const void *)(loss + z.loss);
		/* The loss is a difference of numbers of a few units, each good to 1e-7. */
		ops_assert_close_f64("loss", loss, r.loss, z.loss, 1e-6);
		ops_assert_close("d_x", d_x, r.d_x, z.x, tolerance);
		ops_assert_close("d_w", d_x + z.x, r.d_w, z.w, tolerance);
		ops_assert_close("d_bias", d_x + z.x + z.w, r.d_bias, s.vocabulary, tolerance);
	}
}

static double *run_loss_alone(struct shape s)
{
	const struct sizes z = sizes_of(s);
	struct aur_backend *backend = open_for(s, AUR_F32);
	double *loss = ops_put_bytes(backend, NULL, (size_t)z.loss * sizeof *loss);
	float *d_w = ops_put(backend, ops_random(z.w, 5, 0.1f), z.w);
	struct aur_head_loss op = {.x = aur_view2(ops_put(backend, ops_random(z.x, 1, 1.0f), z.x), z.rows, s.width),
		.w = aur_view2(ops_put(backend, ops_random(z.w, 2, 0.7f), z.w), s.vocabulary, s.width),
		.targets = aur_view_tokens(
			ops_put_tokens(backend, ops_random_tokens(z.rows, 4, s.vocabulary), z.rows), s.batch, s.positions),
		.loss = ops_view_f64(loss, z.loss),
		.d_w = aur_view2(d_w, s.vocabulary, s.width)};
	if (s.bias)
		op.bias = aur_view1(ops_put(backend, ops_random(s.vocabulary, 3, 1.0f), s.vocabulary), s.vocabulary);
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_OK, "");
	ops_assert_same_bits("d_w", ops_random(z.w, 5, 0.1f), ops_get(backend, d_w, z.w), (size_t)z.w * sizeof(float));
	double *got = ops_get_doubles(backend, loss, z.loss);
	ops_close(&backend);
	return got;
}

/* The number that evaluation prints must be the one that training printed. */
static void loss_alone_equals_the_loss_with_gradients_and_touches_no_gradient(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES; i++) {
		const struct shape s = shape_of(i);
		const struct sizes z = sizes_of(s);
		char *with = ops_memory(z.bytes);
		run_with_gradients(&s, with);
		const double *alone = run_loss_alone(s);
		ops_assert_same_bits("loss", alone, with, (size_t)z.loss * sizeof *alone);
	}
}

static void bits_do_not_depend_on_the_number_of_threads(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES; i++) {
		const struct shape s = shape_of(i);
		ops_assert_thread_independent("head_loss", run_with_gradients, &s, sizes_of(s).bytes);
	}
}

static double loss_of_logits(const float *bias, int64_t vocabulary, int32_t target)
{
	struct aur_backend *backend = open_for((struct shape){1, 1, 1, vocabulary, 1, 0}, AUR_F32);
	double *loss = ops_put_bytes(backend, NULL, sizeof *loss);
	const struct aur_head_loss op = {.x = aur_view2(ops_put_zeros(backend, 1), 1, 1),
		.w = aur_view2(ops_put_zeros(backend, vocabulary), vocabulary, 1),
		.bias = aur_view1(ops_put(backend, bias, vocabulary), vocabulary),
		.targets = aur_view_tokens(ops_put_tokens(backend, &target, 1), 1, 1),
		.loss = ops_view_f64(loss, 1)};
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_OK, "");
	const double got = *ops_get_doubles(backend, loss, 1);
	ops_close(&backend);
	return got;
}

/* Logits far apart must neither overflow nor give log(0); a NaN must show, wherever in the row it lies. */
static void extreme_logits_give_the_true_loss(void **state)
{
	(void)state;
	float logits[67] = {0.0f};
	logits[3] = 1000.0f;
	assert_true(fabs(loss_of_logits(logits, 67, 5) - 1000.0) < 1e-6);
	assert_true(fabs(loss_of_logits(logits, 67, 3)) < 1e-6);
	logits[4] = -INFINITY;
	assert_true(fabs(loss_of_logits(logits, 67, 3)) < 1e-6);
	assert_true(isinf(loss_of_logits(logits, 67, 4)));
	for (int i = 0; i < 67; i++) {
		memset(logits, 0, sizeof logits);
		logits[i] = NAN;
		assert_true(isnan(loss_of_logits(logits, 67, 66 - i)));
	}
}

/* Nothing around the results is written then, and the next call works. */
static void targets_outside_the_vocabulary_are_refused(void **state)
{
	(void)state;
	static const int32_t wild[][2] = {{0, 4}, {-1, 0}, {0, INT32_MAX}};
	static const char *const messages[] = {
		"head_loss: targets[1] is 4", "head_loss: targets[0] is -1", "head_loss: targets[1] is 2147483647"};
	struct aur_backend *backend = open_for((struct shape){1, 2, 3, 4, 0, 0}, AUR_F32);
	const float *x = ops_random(6, 1, 1.0f), *w = ops_random(12, 2, 1.0f), *zeros = ops_memory(12 * sizeof *zeros);
	const struct ops_guarded d_x = ops_put_guarded(backend, zeros, 6), d_w = ops_put_guarded(backend, zeros, 12);
	double *loss = ops_put_bytes(backend, NULL, 2 * sizeof *loss);
	struct aur_head_loss op = {.x = aur_view2(ops_put(backend, x, 6), 2, 3),
		.w = aur_view2(ops_put(backend, w, 12), 4, 3),
		.loss = ops_view_f64(loss, 1),
		.d_x = aur_view2(d_x.data, 2, 3),
		.d_w = aur_view2(d_w.data, 4, 3)};
	for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
		op.targets = aur_view_tokens(ops_put_tokens(backend, wild[i], 2), 1, 2);
		ops_assert_input_refused(backend, backend->ops->head_loss(backend, &op), messages[i]);
		ops_assert_guards("d_x", backend, &d_x);
		ops_assert_guards("d_w", backend, &d_w);
	}
	ops_assert_same_bits("x", ops_get(backend, op.x.data, 6), x, 6 * sizeof *x);
	ops_assert_same_bits("w", ops_get(backend, op.w.data, 12), w, 12 * sizeof *w);
	op.targets = aur_view_tokens(ops_put_tokens(backend, (int32_t[]){0, 3}, 2), 1, 2);
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_OK, "");
	const double *losses = ops_get_doubles(backend, loss, 2);
	assert_true(isfinite(losses[0]) && isnan(losses[1]));
	ops_close(&backend);
}

static void wrong_shapes_are_refused(void **state)
{
	(void)state;
	struct aur_backend *backend = open_for((struct shape){1, 2, 3, 4, 1, 0}, AUR_F32);
	float *data = ops_put_zeros(backend, 128);
	double *loss = ops_put_bytes(backend, NULL, 2 * sizeof *loss);
	struct aur_head_loss op = {.x = aur_view2(data, 2, 3),
		.w = aur_view2(data, 4, 3),
		.targets = aur_view_tokens(ops_put_tokens(backend, (int32_t[]){0, 3}, 2), 1, 2),
		.loss = ops_view_f64(loss, 1)};
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_OK, "");
	op.loss = ops_view_f64(loss, 2);
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_SHAPE, "head_loss: loss");
	op.loss = ops_view_f64(loss, 1);
	op.x = aur_view2(data, 3, 2);
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_SHAPE, "head_loss: x");
	op.x = aur_view2(data, 2, 3);
	op.d_x = aur_view2(data + 64, 2, 3);
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_SHAPE, "head_loss: d_w is absent");
	ops_close(&backend);
}

struct outcome {
	double *loss;
	float *d_x, *d_w;
};

/* Of sequences [first, first + s.batch) of a text, with numbers that bf16 holds. */
static struct outcome outcome_of(struct shape s, int64_t first, enum aur_dtype type)
{
	const int64_t before = first * s.positions;
	const struct sizes z = sizes_of(s);
	struct aur_backend *backend = open_for(s, type);
	const int64_t x_before = before * s.width;
	float *x = ops_round(AUR_BF16, ops_random(x_before + z.x, 1, 1.0f), x_before + z.x) + x_before;
	const int32_t *targets = ops_random_tokens(before + z.rows, 4, s.vocabulary) + before;
	float *w = ops_round(AUR_BF16, ops_random(z.w, 2, 0.7f), z.w);
	double *loss = ops_put_bytes(backend, NULL, (size_t)z.loss * sizeof *loss);
	void *d_x = ops_put_bytes(backend, NULL, (size_t)z.x * aur_dtype_bytes(type));
	float *d_w = ops_put_zeros(backend, z.w);
	struct aur_head_loss op = {.x = aur_view2_of(ops_put_as(backend, type, x, z.x), type, z.rows, s.width),
		.w = aur_view2_of(ops_put_as(backend, type, w, z.w), type, s.vocabulary, s.width),
		.targets = aur_view_tokens(ops_put_tokens(backend, targets, z.rows), s.batch, s.positions),
		.loss = ops_view_f64(loss, z.loss),
		.d_x = aur_view2_of(d_x, type, z.rows, s.width),
		.d_w = aur_view2(d_w, s.vocabulary, s.width),
		.d_bias = aur_view1(ops_put_zeros(backend, s.vocabulary), s.vocabulary),
		.gradient_scale = gradient_scale};
	if (s.bias)
		op.bias = aur_view1(ops_put(backend, ops_random(s.vocabulary, 3, 1.0f), s.vocabulary), s.vocabulary);
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_OK, "");
	const struct outcome outcome = {
		ops_get_doubles(backend, loss, z.loss), ops_get_as(backend, type, d_x, z.x), ops_get(backend, d_w, z.w)};
	ops_close(&backend);
	return outcome;
}

/* Logits and losses are fp32 in both. The logits' gradient is rounded to bf16 before it is multiplied, and d_x again:
 * 2^-9 of each term of a sum. Its largest terms, of the targets, are some ten times as large as most sums. */
static void bf16_differs_by_the_rounding_of_gradients_alone(void **state)
{
	(void)state;
	for (int k = 0; k < SHAPES; k++) {
		const struct shape s = shape_of(k);
		const struct sizes z = sizes_of(s);
		const struct outcome exact = outcome_of(s, 0, AUR_F32), rounded = outcome_of(s, 0, AUR_BF16);
		ops_assert_close_f64("loss", rounded.loss, exact.loss, z.loss, tolerance);
		ops_assert_close("d_x", rounded.d_x, ops_doubles(exact.d_x, z.x), z.x, 8.0 / 512.0);
		ops_assert_close("d_w", rounded.d_w, ops_doubles(exact.d_w, z.w), z.w, 16.0 / 512.0);
	}
}

/* More rows than one chunk, whose number a device's memory allows to be large: there the parts are one chunk each. */
static void a_batch_gives_what_its_sequences_give(void **state)
{
	(void)state;
	/* Two orders of 65,537 fp32 terms differ by the root of their number at most, times 2^-24. */
	static const double orders = 2e-5;
	const int large = !ops_on_cpu() && !ops_emulated();
	const struct shape all = large ? (struct shape){4, 1024, 2, 65537, 0, 0} : (struct shape){4, 300, 3, 29, 0, 0};
	struct shape one = all;
	one.batch = 1;
	const struct sizes z = sizes_of(one);
	const struct outcome whole = outcome_of(all, 0, AUR_F32);
	double *sum = ops_memory((size_t)z.w * sizeof *sum);
	for (int64_t b = 0; b < all.batch; b++) {
		const struct outcome part = outcome_of(one, b, AUR_F32);
		ops_assert_close_f64("loss", whole.loss + b, part.loss, 1, 1e-6);
		ops_assert_close("d_x", whole.d_x + b * z.x, ops_doubles(part.d_x, z.x), z.x, large ? orders : tolerance);
		for (int64_t i = 0; i < z.w; i++)
			sum[i] += (double)part.d_w[i];
	}
	ops_assert_close("d_w", whole.d_w, sum, z.w, tolerance);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_and_gradients_follow_the_formula),
		cmocka_unit_test(loss_alone_equals_the_loss_with_gradients_and_touches_no_gradient),
		cmocka_unit_test(bits_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(extreme_logits_give_the_true_loss),
		cmocka_unit_test(targets_outside_the_vocabulary_are_refused),
		cmocka_unit_test(wrong_shapes_are_refused),
		cmocka_unit_test(bf16_differs_by_the_rounding_of_gradients_alone),
		cmocka_unit_test(a_batch_gives_what_its_sequences_give),
	};
	return ops_main("head_loss", tests, sizeof tests / sizeof *tests);
}
