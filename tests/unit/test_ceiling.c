/* What a training is compared with, and what it holds besides the trainer's plan. */

#include "core/process.h"
#include "cpu/cpu.h"
#include "train/ceiling.h"
#include "train/memory.h"
#include "train/model_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct aur_backend *open_cpu(void)
{
	struct aur_backend *backend = NULL;
	assert_int_equal(aur_backend_open("cpu", &backend), AUR_OK);
	return backend;
}

/* Measured twice, the best counts: a disturbed moment must not lower it. */
static void a_later_measurement_never_lowers_a_ceiling(void **state)
{
	(void)state;
	struct aur_backend *backend = open_cpu();
	struct aur_ceiling *ceiling = NULL;
	double rate = 0, best = 1e18;
	assert_int_equal(aur_ceiling_open(backend, AUR_F32, &ceiling), AUR_OK);
	assert_int_equal(aur_ceiling_run(ceiling, 0, &rate), AUR_OK);
	assert_true(rate > 0 && isfinite(rate));
	assert_int_equal(aur_ceiling_run(ceiling, 0, &best), AUR_OK);
	assert_true(best == 1e18);
	aur_ceiling_close(&ceiling);
	assert_null(ceiling);
	aur_ceiling_close(&ceiling);
	aur_backend_close(&backend);
}

static const struct aur_backend_ops *cpu_ops;
static struct aur_backend_ops watched_ops;
static int64_t zeros_multiplied, products;

/* Slower than the slowest GPU, so that the small matrices are taken. */
static aur_status multiply_watched(struct aur_backend *backend, const struct aur_linear_forward *op)
{
	const uint16_t *const matrices[] = {op->x.data, op->w.data};
	products++;
	usleep(1000);
	for (int i = 0; i < 2; i++)
		for (int64_t j = 0; j < aur_tensor_count(&op->x); j++)
			zeros_multiplied += (matrices[i][j] & 0x7fff) == 0;
	return cpu_ops->linear_forward(backend, op);
}

/* The CPU backend as one whose memory the host cannot read. */
static aur_status open_watched(struct aur_backend **backend)
{
	AUR_TRY(aur_backend_open("cpu", backend));
	cpu_ops = (*backend)->ops;
	watched_ops = *cpu_ops;
	watched_ops.linear_forward = multiply_watched;
	(*backend)->ops = &watched_ops;
	(*backend)->host_memory = 0;
	return AUR_OK;
}

/* Zeros take less current, and a device that is short of it multiplies them faster than anything else. */
static void a_device_multiplies_no_zeros(void **state)
{
	(void)state;
	const struct aur_backend watched = {.name = "watched"};
	struct aur_ceiling *ceiling = NULL;
	assert_int_equal(aur_ceiling_open(&watched, AUR_BF16, &ceiling), AUR_OK);
	assert_true(products > 0);
	assert_int_equal(zeros_multiplied, 0);
	aur_ceiling_close(&ceiling);
}

static void memory_besides(const char *yaml, struct aur_backend *backend, int ranks, struct aur_memory *memory)
{
	struct aur_config config;
	struct aur_model_config numbers;
	struct aur_model *model = NULL;
	aur_config_defaults(&config);
	assert_int_equal(aur_config_parse("test", yaml, strlen(yaml), &config), AUR_OK);
	assert_int_equal(aur_config_finish(&config), AUR_OK);
	aur_model_config_from(&config, 1000, &numbers);
	assert_int_equal(aur_model_create(&numbers, &model), AUR_OK);
	const struct aur_memory_rank rank = {
		.config = &config, .model = model, .backend = backend, .ranks = ranks, .chunk_bytes = 7};
	aur_memory_besides(&rank, memory);
	aur_model_destroy(&model);
}

/* The table of 1000 tokens of width 32 is the largest tensor: 128,000 bytes. */
static void only_ranks_that_collect_hold_a_tensor(void **state)
{
	(void)state;
	const char *yaml = "model: {n_layer: 1, n_head: 2, n_embd: 32, block_size: 16}\ntrain: {steps: 1, batch_size: 8}\n";
	struct aur_backend *backend = open_cpu();
	struct aur_memory one, two;
	memory_besides(yaml, backend, 1, &one);
	memory_besides(yaml, backend, 2, &two);
	assert_int_equal(two.saving - one.saving, 128000);
	/* 5 batches of 8 sequences of 16 tokens and 16 targets, 4 bytes each; half of it on each of two ranks. */
	assert_int_equal(one.batches, 5 * 8 * 32 * 4);
	assert_int_equal(two.batches, 5 * 4 * 32 * 4);
	assert_int_equal(two.staging, 0);
	assert_int_equal(aur_memory_sum(&two), two.saving + two.batches + 7);
	aur_backend_close(&backend);
}

static void fast_reduction_holds_buckets(void **state)
{
	(void)state;
	const char *yaml = "model: {n_layer: 1, n_head: 2, n_embd: 32, block_size: 16}\n"
					   "train: {steps: 1, batch_size: 8, reduction: fast}\nsystem: {allreduce_bucket_mb: 0.01}\n";
	struct aur_backend *backend = open_cpu();
	struct aur_memory one, two;
	memory_besides(yaml, backend, 1, &one);
	memory_besides(yaml, backend, 2, &two);
	assert_int_equal(one.staging, 0);
	assert_int_equal(two.staging, 20000);
	aur_backend_close(&backend);
}

/* What a process holds grows with what it touches, and its peak stays when that is gone. */
static void the_peak_outlives_what_made_it(void **state)
{
	(void)state;
	const size_t bytes = (size_t)64 << 20;
	const int64_t before = aur_process_resident();
	char *memory = malloc(bytes);
	assert_non_null(memory);
	memset(memory, 1, bytes);
	/* The compiler must not find out that nobody reads it. */
	__asm__ volatile("" : : "r"(memory) : "memory");
	assert_true(aur_process_resident() > before + (int64_t)bytes / 2);
	free(memory);
	assert_true(before > 0 && aur_process_peak() > before + (int64_t)bytes / 2);
}

int main(void)
{
	static const struct aur_backend_factory watched_factory = {.name = "watched", .open = open_watched};
	aur_backend_register(&aur_cpu_factory);
	aur_backend_register(&watched_factory);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_later_measurement_never_lowers_a_ceiling),
		cmocka_unit_test(a_device_multiplies_no_zeros),
		cmocka_unit_test(only_ranks_that_collect_hold_a_tensor),
		cmocka_unit_test(fast_reduction_holds_buckets),
		cmocka_unit_test(the_peak_outlives_what_made_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
