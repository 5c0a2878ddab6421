#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "train/schedule.h"

#include <math.h>

static struct aur_config config_of(int schedule)
{
	struct aur_config config;
	aur_config_defaults(&config);
	config.train.schedule = schedule;
	config.train.learning_rate = 1.0;
	config.train.min_learning_rate = 0.1;
	config.train.warmup_steps = 10;
	config.train.decay_steps = 110;
	return config;
}

static void near(double value, double expected)
{
	if (!(fabs(value - expected) < 1e-12))
		fail_msg("%.17g is not %.17g", value, expected);
}

static void warm_up_climbs_in_equal_steps_and_never_starts_at_zero(void **state)
{
	(void)state;
	const struct aur_config config = config_of(AUR_SCHEDULE_COSINE);
	for (int64_t step = 0; step < 10; step++)
		near(aur_schedule_rate(&config, step), (double)(step + 1) / 11.0);
	near(aur_schedule_rate(&config, 10), 1.0);
}

static void cosine_falls_to_the_end_rate(void **state)
{
	(void)state;
	const struct aur_config config = config_of(AUR_SCHEDULE_COSINE);
	near(aur_schedule_rate(&config, 60), 0.55);
	near(aur_schedule_rate(&config, 35), 0.1 + 0.9 * 0.5 * (1.0 + sqrt(0.5)));
	near(aur_schedule_rate(&config, 110), 0.1);
	near(aur_schedule_rate(&config, 100000), 0.1);
}

static void linear_falls_in_a_line(void **state)
{
	(void)state;
	const struct aur_config config = config_of(AUR_SCHEDULE_LINEAR);
	near(aur_schedule_rate(&config, 35), 1.0 - 0.9 * 0.25);
	near(aur_schedule_rate(&config, 110), 0.1);
}

static void wsd_holds_and_then_falls_over_the_last_fifth(void **state)
{
	(void)state;
	const struct aur_config config = config_of(AUR_SCHEDULE_WSD);
	near(aur_schedule_rate(&config, 50), 1.0);
	near(aur_schedule_rate(&config, 88), 1.0);
	near(aur_schedule_rate(&config, 99), 0.55);
	near(aur_schedule_rate(&config, 110), 0.1);
}

static void constant_never_falls(void **state)
{
	(void)state;
	const struct aur_config config = config_of(AUR_SCHEDULE_CONSTANT);
	near(aur_schedule_rate(&config, 100000), 1.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(warm_up_climbs_in_equal_steps_and_never_starts_at_zero),
		cmocka_unit_test(cosine_falls_to_the_end_rate),
		cmocka_unit_test(linear_falls_in_a_line),
		cmocka_unit_test(wsd_holds_and_then_falls_over_the_last_fifth),
		cmocka_unit_test(constant_never_falls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
