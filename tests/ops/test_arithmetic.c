#include "oracle.h"

#include "../../src/cpu/vector_math.h"

/* What the CPU backend's operations stand on: exponentials. */

/* In units of the last place of the true result. */
static double error_of(float got, double want)
{
	const float nearest = (float)want;
	if (isnan(want) || isinf(nearest))
		return isnan(want) ? (isnan(got) ? 0.0 : INFINITY) : ((double)got == (double)nearest ? 0.0 : INFINITY);
	const float size = fabsf(nearest);
	return fabs((double)got - want) / ((double)nextafterf(size, INFINITY) - (double)size);
}

/* Every 1,009th of all fp32 numbers, NaN and infinities among them. */
static void exp_keeps_its_stated_accuracy(void **state)
{
	(void)state;
	double worst = 0.0;
	for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 1009) {
		const float x = aur_float_of((uint32_t)bits);
		worst = fmax(worst, error_of(aur_expf(x), exp((double)x)));
	}
	assert_true(worst <= 1.1);
}

/* Stated for fused multiply-add; this file is compiled without, where the product with log2(e) is rounded too. */
static void exp_of_what_is_below_zero_keeps_its_accuracy(void **state)
{
	(void)state;
	for (uint64_t bits = 0x80000000u; bits <= UINT32_MAX; bits += 1009) {
		const float x = aur_float_of((uint32_t)bits);
		if (x < -87.0f)
			assert_true(aur_exp_below(x) <= 2e-38f);
		else if (!isnan(x))
			assert_true(error_of(aur_exp_below(x), exp((double)x)) <= 3.0 + 1.5 * (double)fabsf(x));
	}
	assert_true(isnan(aur_exp_below(NAN)) && aur_exp_below(-INFINITY) == 0.0f && aur_exp_below(0.0f) == 1.0f);
}

static void power_of_two_keeps_its_accuracy(void **state)
{
	(void)state;
	for (float x = -126.0f; x < 127.0f; x += 0.000917f)
		assert_true(fabs((double)aur_exp2_within(x) / exp2((double)x) - 1.0) <= 2e-7);
}

static void exp_meets_its_limits(void **state)
{
	(void)state;
	assert_true(aur_expf(-INFINITY) == 0.0f && aur_expf(-1e30f) == 0.0f && aur_expf(0.0f) == 1.0f);
	assert_true(isinf(aur_expf(INFINITY)) && isinf(aur_expf(88.73f)) && isfinite(aur_expf(88.72f)));
	assert_true(isnan(aur_expf(NAN)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exp_keeps_its_stated_accuracy),
		cmocka_unit_test(exp_meets_its_limits),
		cmocka_unit_test(exp_of_what_is_below_zero_keeps_its_accuracy),
		cmocka_unit_test(power_of_two_keeps_its_accuracy),
	};
	return ops_main("arithmetic", tests, sizeof tests / sizeof *tests);
}
