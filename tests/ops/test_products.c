#include "oracle.h"

#include "cuda/choices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How the CUDA backend computes a product is chosen once per shape and travels as text. A text can also ask for a way
 * that this library would not have been asked for, so that each way is tested wherever one runs. */

struct shape {
	int64_t n, inputs, outputs;
};

/* Whole tiles of the own kernel and parts of them, and odd sizes. */
static const struct shape shapes[] = {{256, 40, 24}, {384, 64, 72}, {100, 33, 40}, {7, 5, 3}, {130, 70, 65}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* As cuda/product.cuh has them. */
enum form { LIBRARY = 0, OWN = 4 };

/* Sums of up to 70 products in fp32. */
static const double sum_tolerance = 4e-6;

static struct aur_backend *open_backend(void)
{
	return ops_open(&(struct aur_backend_limits){.batch = 1,
		.positions = 384,
		.width = 72,
		.heads = 1,
		.mlp_width = 72,
		.vocabulary = 2,
		.activations = AUR_BF16,
		.training = 1});
}

struct arrays {
	float *x, *w, *bias;
};

static struct arrays arrays_of(struct shape s)
{
	return (struct arrays){.x = ops_round(AUR_BF16, ops_random(s.n * s.inputs, 1, 1.0f), s.n * s.inputs),
		.w = ops_round(AUR_BF16, ops_random(s.outputs * s.inputs, 2, 0.5f), s.outputs * s.inputs),
		.bias = ops_round(AUR_BF16, ops_random(s.outputs, 3, 1.0f), s.outputs)};
}

/* y = bf16(x w^T + bias) */
static float *run(struct aur_backend *backend, struct shape s, const struct arrays *a)
{
	const int64_t count = s.n * s.outputs;
	void *y = ops_put_bytes(backend, NULL, (size_t)count * aur_dtype_bytes(AUR_BF16));
	const struct aur_linear_forward op = {
		.x = aur_view2_of(ops_put_as(backend, AUR_BF16, a->x, s.n * s.inputs), AUR_BF16, s.n, s.inputs),
		.w = aur_view2_of(ops_put_as(backend, AUR_BF16, a->w, s.outputs * s.inputs), AUR_BF16, s.outputs, s.inputs),
		.bias = aur_view1_of(ops_put_as(backend, AUR_BF16, a->bias, s.outputs), AUR_BF16, s.outputs),
		.y = aur_view2_of(y, AUR_BF16, s.n, s.outputs)};
	ops_assert_status(backend->ops->linear_forward(backend, &op), AUR_OK, "");
	return ops_get_as(backend, AUR_BF16, y, count);
}

static double *reference(struct shape s, const struct arrays *a)
{
	double *y = ops_memory((size_t)(s.n * s.outputs) * sizeof *y);
	for (int64_t i = 0; i < s.n * s.outputs; i++) {
		const int64_t row = i / s.outputs, column = i % s.outputs;
		y[i] = (double)a->bias[column];
		for (int64_t l = 0; l < s.inputs; l++)
			y[i] += (double)a->x[row * s.inputs + l] * (double)a->w[column * s.inputs + l];
	}
	return y;
}

static char *choices_of(struct aur_backend *backend)
{
	char *text = NULL;
	ops_assert_status(aur_cuda_choices_write(backend, &text), AUR_OK, "");
	char *copy = ops_memory(strlen(text) + 256);
	strcpy(copy, text);
	free(text);
	return copy;
}

/* The line of this product up to its form: the backend's memory begins at multiples of 256 bytes. */
static char *key_of(struct shape s)
{
	char *line = ops_memory(256);
	snprintf(line, 256, "\n%d %d %d %d %d %d 0 1 %d %d 0 256 0 256 256 256 ", (int)s.n, (int)s.outputs, (int)s.inputs,
		(int)s.inputs, (int)s.inputs, (int)s.outputs, (int)AUR_BF16, (int)AUR_BF16);
	return line;
}

static enum form form_of(const char *text, struct shape s)
{
	const char *key = key_of(s);
	const char *line = strstr(text, key);
	if (!line)
		fail_msg("`%s` is not in `%s`", key, text);
	return (enum form)strtol(line + strlen(key), NULL, 10);
}

static void the_way_that_is_chosen_rounds_once(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES; i++) {
		const struct shape s = shapes[i];
		struct aur_backend *backend = open_backend();
		const struct arrays a = arrays_of(s);
		const float *y = run(backend, s, &a);
		ops_assert_close_as("y", AUR_BF16, y, reference(s, &a), s.n * s.outputs,
			ops_biased_tolerance(s.inputs, s.outputs, sum_tolerance));
		/* The emulated library has all of these shapes; cuBLASLt may refuse the odd ones. */
		if (ops_emulated())
			assert_int_equal(form_of(choices_of(backend), s), LIBRARY);
		ops_close(&backend);
	}
}

/* In this form, which needs no algorithm of the library. */
static void check_forced(struct shape s, enum form form)
{
	struct aur_backend *backend = open_backend();
	const struct arrays a = arrays_of(s);
	char *text = choices_of(backend);
	sprintf(text + strlen(text) - 1, "%s%d 0 0 0 0 0 0 0 0\n", key_of(s), (int)form);
	ops_assert_status(aur_cuda_choices_read(backend, text), AUR_OK, "");
	ops_assert_close_as("y", AUR_BF16, run(backend, s, &a), reference(s, &a), s.n * s.outputs, sum_tolerance);
	assert_int_equal(form_of(choices_of(backend), s), form);
	ops_close(&backend);
}

static void the_own_kernel_rounds_once_too(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES; i++)
		check_forced(shapes[i], OWN);
}

/* y = x w^T in fp32 */
static float *run_fp32(struct aur_backend *backend, struct shape s, const struct arrays *a)
{
	const int64_t count = s.n * s.outputs;
	float *y = ops_put(backend, NULL, count);
	const struct aur_linear_forward op = {
		.x = aur_view2(ops_put(backend, a->x, s.n * s.inputs), s.n, s.inputs),
		.w = aur_view2(ops_put(backend, a->w, s.outputs * s.inputs), s.outputs, s.inputs),
		.y = aur_view2(y, s.n, s.outputs),
	};
	ops_assert_status(backend->ops->linear_forward(backend, &op), AUR_OK, "");
	return ops_get(backend, y, count);
}

/* 1 + 2^-12 is 1 in ten bits. Both ways are chosen for separately: the same backend may be told anew. */
static void tf32_rounds_the_operands_of_fp32(void **state)
{
	(void)state;
	const struct shape s = {64, 32, 16};
	struct arrays a = arrays_of(s);
	for (int64_t i = 0; i < s.n * s.inputs; i++)
		a.x[i] = 1.0f + 0x1p-12f;
	for (int64_t i = 0; i < s.outputs * s.inputs; i++)
		a.w[i] = 1.0f;
	struct aur_backend *backend = open_backend();
	assert_int_equal(backend->tf32, 0);
	assert_true(run_fp32(backend, s, &a)[0] == 32.0f + 0x1p-7f);
	backend->tf32 = backend->fast_tf32;
	/* A library may compute so small a product in fp32 all the same. */
	const float rounded = run_fp32(backend, s, &a)[0];
	assert_true(rounded == 32.0f || (!ops_emulated() && rounded == 32.0f + 0x1p-7f));
	ops_close(&backend);
}

static void choices_survive_being_written_and_read(void **state)
{
	(void)state;
	struct aur_backend *first = open_backend(), *second = NULL;
	for (int i = 0; i < SHAPES; i++) {
		const struct arrays a = arrays_of(shapes[i]);
		run(first, shapes[i], &a);
	}
	char *text = choices_of(first);
	char *kept = strdup(text);
	ops_close(&first);
	second = open_backend();
	ops_assert_status(aur_cuda_choices_read(second, kept), AUR_OK, "");
	assert_string_equal(choices_of(second), kept);
	free(kept);
	ops_close(&second);
}

static void damaged_and_foreign_choices_are_refused(void **state)
{
	(void)state;
	static const char *const damages[] = {"1 2 3\n", "nonsense\n",
		"0 1 1 1 1 1 0 1 1 1 0 256 0 256 256 256 4 0 0 0 0 0 0 0 0\n",
		"8 8 8 8 8 8 0 1 1 1 0 256 0 256 256 256 9 0 0 0 0 0 0 0 0\n",
		"8 8 8 8 8 8 0 1 1 1 0 256 0 256 256 256 -1 0 0 0 0 0 0 0 0\n",
		"8 8 8 8 8 8 0 1 1 0 0 8 0 256 256 256 0 0 0 0 0 0 0 0 0\n",
		"8 8 8 8 8 8 0 1 1 1 0 256 0 256 256 256 4 0 0 0 0 0 0 0 0 7\n"};
	struct aur_backend *backend = open_backend();
	char *header = choices_of(backend);
	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		char *text = ops_memory(strlen(header) + strlen(damages[i]) + 1);
		sprintf(text, "%s%s", header, damages[i]);
		ops_assert_status(aur_cuda_choices_read(backend, text), AUR_INPUT, "algorithms of products: line 2 is damaged");
	}
	ops_assert_status(aur_cuda_choices_read(backend, "aurelius-products 1 cublaslt 1 gpu Other\n"), AUR_INPUT,
		"algorithms of products: they were chosen for `aurelius-products 1 cublaslt 1 gpu Other`");
	ops_assert_status(aur_cuda_choices_read(backend, ""), AUR_INPUT, "algorithms of products: they were chosen for ``");
	assert_string_equal(choices_of(backend), header);
	ops_close(&backend);
}

/* Checkpoints of earlier versions have them, and between them lines that would still do. */
static void choices_of_forms_that_are_no_more_are_not_taken(void **state)
{
	(void)state;
	const struct shape s = shapes[0], other = shapes[1];
	for (int form = LIBRARY + 1; form < OWN; form++) {
		struct aur_backend *backend = open_backend();
		const struct arrays a = arrays_of(s);
		char *header = choices_of(backend), *text = ops_memory(strlen(header) + 1024);
		sprintf(
			text, "%s%s%d 0 0 0 0 0 0 0 0%s%d 0 0 0 0 0 0 0 0\n", header, key_of(other) + 1, (int)OWN, key_of(s), form);
		ops_assert_status(aur_cuda_choices_read(backend, text), AUR_INPUT,
			"algorithms of products: they were chosen for forms that this version has no longer (line 3)");
		assert_string_equal(choices_of(backend), header);
		ops_assert_close_as("y", AUR_BF16, run(backend, s, &a), reference(s, &a), s.n * s.outputs, sum_tolerance);
		ops_close(&backend);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_way_that_is_chosen_rounds_once),
		cmocka_unit_test(the_own_kernel_rounds_once_too),
		cmocka_unit_test(tf32_rounds_the_operands_of_fp32),
		cmocka_unit_test(choices_survive_being_written_and_read),
		cmocka_unit_test(damaged_and_foreign_choices_are_refused),
		cmocka_unit_test(choices_of_forms_that_are_no_more_are_not_taken),
	};
	return ops_main("products", tests, sizeof tests / sizeof *tests);
}
