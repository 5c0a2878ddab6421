/* What system.precision becomes. */

#include "core/log.h"
#include "cpu/cpu.h"
#include "train/precision.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char said[4][1024];
static int lines;

static void keep_line(enum aur_log_level level, const char *line)
{
	(void)level;
	if (lines < 4)
		snprintf(said[lines], sizeof said[0], "%s", line);
	lines++;
}

static struct aur_config config_of(const char *yaml)
{
	struct aur_config config;
	aur_config_defaults(&config);
	assert_int_equal(aur_config_parse("test", yaml, strlen(yaml), &config), AUR_OK);
	return config;
}

struct expectation {
	const char *yaml;
	int fast_bf16, fast_tf32;
	enum aur_dtype dtype;
	const char *variant, *name;
	const char *line; /* that is said; NULL: nothing is */
};

static const struct expectation expectations[] = {
	{"system: {precision: fp32}", 1, 1, AUR_F32, "avx512 X", "fp32", NULL},
	{"system: {precision: bf16}", 1, 1, AUR_BF16, "avx512 X, bf16", "bf16", NULL},
	{"system: {precision: tf32}", 1, 1, AUR_F32, "avx512 X, tf32", "tf32", NULL},
	{"system: {precision: tf32}", 1, 0, AUR_F32, "avx512 X", "fp32",
		"system.precision: tf32 is a type of NVIDIA GPUs, which the backend any does not compute on; fp32 is used"},
	{"{model: {kind: bigram}, system: {precision: tf32}}", 1, 1, AUR_F32, "avx512 X", "fp32",
		"system.precision: a bigram has no matrix products; fp32 is used"},
	{"system: {precision: bf16}", 0, 1, AUR_F32, "avx512 X", "fp32",
		"system.precision: this processor's code path (avx512 X) has no instructions for products of bf16 "
		"(AVX512-BF16); fp32 is used"},
	{"{model: {kind: bigram}, system: {precision: bf16}}", 1, 0, AUR_F32, "avx512 X", "fp32",
		"system.precision: a bigram has no matrix products; fp32 is used"},
	{"{model: {kind: bigram}, system: {precision: bf16}}", 0, 0, AUR_F32, "avx512 X", "fp32",
		"system.precision: a bigram has no matrix products; fp32 is used"},
};

static void what_is_asked_is_used_where_it_is_fast(void **state)
{
	(void)state;
	aur_log_set_sink(keep_line);
	for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
		const struct expectation *expected = &expectations[i];
		const struct aur_config config = config_of(expected->yaml);
		struct aur_backend backend = {
			.name = "any", .variant = "avx512 X", .fast_bf16 = expected->fast_bf16, .fast_tf32 = expected->fast_tf32};
		char variant[AUR_VARIANT];
		lines = 0;
		aur_precision_tell(&config, &backend);
		aur_precision_say(&config, &backend);
		aur_precision_variant(&config, &backend, variant);
		assert_int_equal(aur_precision_of(&config, &backend), expected->dtype);
		assert_string_equal(variant, expected->variant);
		assert_string_equal(aur_precision_name(&config, &backend), expected->name);
		assert_int_equal(lines, expected->line ? 1 : 0);
		if (expected->line)
			assert_string_equal(said[0], expected->line);
	}
	aur_log_set_sink(NULL);
}

/* A variant of any length keeps the precision behind it: it is what tells two runs apart. */
static void a_long_variant_keeps_its_precision(void **state)
{
	(void)state;
	const struct aur_config config = config_of("system: {precision: bf16}");
	struct aur_backend backend = {.fast_bf16 = 1};
	char variant[AUR_VARIANT];
	memset(backend.variant, 'x', sizeof backend.variant - 1);
	aur_precision_variant(&config, &backend, variant);
	assert_string_equal(variant + strlen(variant) - 7, "x, bf16");
}

static void only_exact_reduction_asks_for_equal_bits(void **state)
{
	(void)state;
	struct aur_backend backend = {.deterministic = 0};
	struct aur_config config = config_of("train: {reduction: exact}");
	aur_precision_tell(&config, &backend);
	assert_int_equal(backend.deterministic, 1);
	config = config_of("train: {reduction: fast}");
	aur_precision_tell(&config, &backend);
	assert_int_equal(backend.deterministic, 0);
}

/* Its bits are others than the own kernels', whose reasons make no difference. */
static void a_library_of_attention_is_part_of_the_variant(void **state)
{
	(void)state;
	const struct aur_config config = config_of("system: {precision: bf16}");
	struct aur_backend backend = {.variant = "sm_90 X", .attention = "cuDNN 9.19.0", .fast_bf16 = 1};
	char variant[AUR_VARIANT];
	aur_precision_variant(&config, &backend, variant);
	assert_string_equal(variant, "sm_90 X, bf16, cuDNN 9.19.0");
	snprintf(backend.attention, sizeof backend.attention, "own kernels: no cuDNN");
	aur_precision_variant(&config, &backend, variant);
	assert_string_equal(variant, "sm_90 X, bf16");
}

static void weights_are_rounded_to_nearest_even(void **state)
{
	(void)state;
	const float weights[] = {1.0f, 1.00390625f, 1.01171875f, -0.1f, 3e38f};
	enum { COUNT = sizeof weights / sizeof *weights };
	struct aur_backend *backend;
	uint16_t rounded[COUNT] = {0};
	assert_int_equal(aur_cpu_factory.open(&backend), AUR_OK);
	assert_int_equal(aur_precision_round(backend, AUR_F32, weights, NULL, COUNT), AUR_OK);
	assert_int_equal(aur_precision_round(backend, AUR_BF16, weights, rounded, COUNT), AUR_OK);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(rounded[i], aur_bf16_from_f32(weights[i]));
	assert_int_equal(rounded[1], 0x3f80);
	assert_int_equal(rounded[2], 0x3f82);
	aur_backend_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_is_used_where_it_is_fast),
		cmocka_unit_test(a_long_variant_keeps_its_precision),
		cmocka_unit_test(only_exact_reduction_asks_for_equal_bits),
		cmocka_unit_test(a_library_of_attention_is_part_of_the_variant),
		cmocka_unit_test(weights_are_rounded_to_nearest_even),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
