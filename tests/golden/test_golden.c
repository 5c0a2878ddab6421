/* Tiny models against float64 values made with PyTorch (make_golden.py), under every instruction set the processor has,
 * with one and two threads. */

#include "golden.h"

#include "cpu/cpu.h"

#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const files[] = {"gpt2_style.h5", "original_style.h5", "bigram.h5"};
static const char *const variants[] = {"baseline", "avx2", "avx512", "avx512bf16"};
enum { FILES = sizeof files / sizeof *files, VARIANTS = sizeof variants / sizeof *variants };

/* A sum over positions of fp32 logarithms: their roundings, 6e-8 each, average out. */
static const double loss_tolerance = 1e-6;
/* A gradient is a product of some ten fp32 factors, each rounded to 6e-8, summed in fp32. */
static const double gradient_tolerance = 1e-5;
/* Where the true gradient is zero, as that of K's bias (softmax ignores a constant), what is left are the roundings of
 * sums of terms below one. */
static const double zero_floor = 1e-7;
/* AdamW divides by the gradient's own size: an element whose gradient is near zero moves by a full learning rate in the
 * direction of its rounding error, so errors of 1e-7 grow from step to step. */
static const double curve_tolerance = 5e-6;
/* Activations are rounded to 2^-9 of themselves, at random: a mean loss moves by far less than one of them. */
static const double bf16_tolerance = 0.02;

static struct aur_backend *open_variant(const char *variant)
{
	struct aur_backend *backend = NULL;
	setenv("AURELIUS_CPU_VARIANT", variant, 1);
	const aur_status status = aur_cpu_factory.open(&backend);
	if (status == AUR_OK)
		return backend;
	assert_int_equal(status, AUR_DEVICE);
	printf("SKIP %s: %s\n", variant, aur_error_message());
	return NULL;
}

static void check_relative(const char *what, int64_t index, double value, double truth, double tolerance)
{
	const double error = fabs(value - truth) / fabs(truth);
	if (!(error <= tolerance))
		fail_msg("%s %lld: %.10g instead of %.10g, relative error %.2g", what, (long long)index, value, truth, error);
}

/* Part `group` of a tensor whose rows are stacked: Q, K or V. */
static void check_group(
	const struct golden *golden, const float *gradients, const struct aur_parameter *item, int group)
{
	const int64_t count = item->count / item->row_groups;
	const int64_t begin = item->offset + group * count;
	double difference = 0;
	double truth = 0;
	for (int64_t i = begin; i < begin + count; i++) {
		difference += pow((double)gradients[i] - golden->gradients[i], 2);
		truth += golden->gradients[i] * golden->gradients[i];
	}
	const double allowed = fmax(gradient_tolerance * sqrt(truth), zero_floor);
	if (!(sqrt(difference) <= allowed))
		fail_msg("gradient of %s, row group %d: ||diff|| %.3g, ||true|| %.3g, allowed %.3g", item->name, group,
			sqrt(difference), sqrt(truth), allowed);
}

static void check_gradients(const struct golden *golden, const float *gradients)
{
	const struct aur_parameters *parameters = aur_model_parameters(golden->model);
	for (int64_t i = 0; i < parameters->n_items; i++)
		for (int group = 0; group < parameters->items[i].row_groups; group++)
			check_group(golden, gradients, &parameters->items[i], group);
}

static void check_result(const struct golden *golden, const struct golden_result *result)
{
	for (int64_t i = 0; i < golden->batch; i++)
		check_relative("loss of sequence", i, result->loss[i], golden->loss[i], loss_tolerance);
	check_gradients(golden, result->gradients);
	for (int decay = 0; decay < GOLDEN_DECAYS; decay++) {
		const struct golden_curve *curve = &result->curves[decay];
		for (int64_t i = 0; i < GOLDEN_STEPS; i++) {
			const char *name = decay ? "decay on all tensors, step" : "decay on matrices, step";
			check_relative(name, i, curve->loss[i], golden->curves[decay].loss[i], curve_tolerance);
			check_relative(name, i, curve->norm[i], golden->curves[decay].norm[i], curve_tolerance);
		}
	}
}

static void check_same_bits(
	const struct golden *golden, const struct golden_result *one, const struct golden_result *other)
{
	const size_t bytes = (size_t)aur_model_parameters(golden->model)->count * sizeof(float);
	assert_memory_equal(one->loss, other->loss, (size_t)golden->batch * sizeof(double));
	assert_memory_equal(one->gradients, other->gradients, bytes);
	assert_memory_equal(one->curves, other->curves, sizeof one->curves);
}

static void run_with_threads(
	const struct golden *golden, const char *variant, enum aur_dtype compute, int threads, struct golden_result *result)
{
	omp_set_num_threads(threads);
	struct aur_backend *backend = open_variant(variant);
	golden_run(golden, backend, compute, result);
	aur_backend_close(&backend);
}

static int has_variant(const char *variant)
{
	struct aur_backend *backend = open_variant(variant);
	const int has = backend != NULL;
	aur_backend_close(&backend);
	return has;
}

/* Losses, every gradient tensor and twenty AdamW steps are those of float64, to fp32's precision; a second thread
 * changes no bit of them. */
static void agrees_with_float64(void **state)
{
	struct golden golden;
	golden_read(*state, &golden);
	for (int i = 0; i < VARIANTS; i++) {
		struct golden_result one, two;
		if (!has_variant(variants[i]))
			continue;
		run_with_threads(&golden, variants[i], AUR_F32, 1, &one);
		run_with_threads(&golden, variants[i], AUR_F32, 2, &two);
		check_result(&golden, &one);
		check_same_bits(&golden, &one, &two);
		golden_result_clear(&one);
		golden_result_clear(&two);
	}
	golden_clear(&golden);
}

static void check_bf16_result(const struct golden *golden, const struct golden_result *result)
{
	for (int64_t i = 0; i < golden->batch; i++)
		check_relative("bf16: loss of sequence", i, result->loss[i], golden->loss[i], bf16_tolerance);
	for (int decay = 0; decay < GOLDEN_DECAYS; decay++)
		for (int64_t i = 0; i < GOLDEN_STEPS; i++)
			check_relative(
				"bf16: loss of step", i, result->curves[decay].loss[i], golden->curves[decay].loss[i], bf16_tolerance);
}

/* In bf16 the losses, and those of twenty steps, are close to float64's; a second thread changes no bit of them. */
static void bf16_comes_close(void **state)
{
	struct golden golden;
	golden_read(*state, &golden);
	for (int i = 0; i < VARIANTS; i++) {
		struct golden_result one, two;
		if (!has_variant(variants[i]))
			continue;
		run_with_threads(&golden, variants[i], AUR_BF16, 1, &one);
		run_with_threads(&golden, variants[i], AUR_BF16, 2, &two);
		check_bf16_result(&golden, &one);
		check_same_bits(&golden, &one, &two);
		golden_result_clear(&one);
		golden_result_clear(&two);
	}
	golden_clear(&golden);
}

int main(void)
{
	struct CMUnitTest tests[2 * FILES];
	char names[FILES][64];
	for (int i = 0; i < FILES; i++) {
		void *const name = (void *)(uintptr_t)files[i];
		snprintf(names[i], sizeof names[i], "%s in bf16", files[i]);
		tests[2 * i] = (struct CMUnitTest){.name = files[i], .test_func = agrees_with_float64, .initial_state = name};
		tests[2 * i + 1] = (struct CMUnitTest){.name = names[i], .test_func = bf16_comes_close, .initial_state = name};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
