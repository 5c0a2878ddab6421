#include "trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Nanoseconds: a step, the end of its kernel, and the begin of its update; in a tenth of the step nothing runs. */
enum { STEP = 100000, KERNEL = 80000, UPDATE = 90000 };

/* Steps whose update is so many launches. */
static void add_steps(struct trace *trace, int steps, int launches)
{
	const uint64_t one = (STEP - UPDATE) / (uint64_t)launches;
	for (int i = 0; i < steps; i++) {
		const uint64_t begin = (uint64_t)(i + 1) * STEP;
		assert_int_equal(trace_add(trace, "product", begin, begin + KERNEL), 0);
		for (int k = 0; k < launches; k++) {
			const uint64_t at = begin + UPDATE + (uint64_t)k * one;
			assert_int_equal(trace_add(trace, "adamw_step", at, at + one), 0);
		}
	}
}

/* Takes the trace. The caller frees the text. */
static char *report_of(struct trace *trace)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	assert_non_null(file);
	trace_report(trace, file);
	assert_int_equal(fclose(file), 0);
	trace_free(trace);
	return text;
}

static void assert_says(struct trace *trace, const char *window, const char *busy)
{
	char *text = report_of(trace);
	if (!strstr(text, window) || !strstr(text, busy))
		fail_msg("not `%s`, `%s` but:\n%s", window, busy, text);
	free(text);
}

/* The first steps measure algorithms and record graphs. */
static void the_first_five_steps_are_left_out(void **state)
{
	(void)state;
	struct trace trace = {0};
	add_steps(&trace, 8, 1);
	assert_says(&trace, "window      100.0 us each of 3 steps", "busy         90.0 us, 90.00%");
}

/* One launch updates a limited number of tensors: a larger model's step ends with several. */
static void an_update_in_several_launches_ends_one_step(void **state)
{
	(void)state;
	struct trace trace = {0};
	add_steps(&trace, 8, 2);
	assert_says(&trace, "window      100.0 us each of 3 steps", "busy         90.0 us, 90.00%");
}

static void as_many_steps_are_left_out_as_asked(void **state)
{
	(void)state;
	static const char *const asked[] = {"0", "2", "nonsense"};
	static const char *const window[] = {"of 8 steps, 16 kernels", "of 6 steps, 12 kernels", "of 3 steps, 6 kernels"};
	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
		struct trace trace = {0};
		add_steps(&trace, 8, 1);
		assert_int_equal(setenv("AURELIUS_GPU_TRACE_SKIP", asked[i], 1), 0);
		assert_says(&trace, window[i], "busy         90.0 us");
	}
	assert_int_equal(unsetenv("AURELIUS_GPU_TRACE_SKIP"), 0);
}

/* Streams run beside each other. */
static void time_in_which_two_run_counts_once(void **state)
{
	(void)state;
	struct trace trace = {0};
	assert_int_equal(trace_add(&trace, "b", 20000, 50000), 0);
	assert_int_equal(trace_add(&trace, "a", 10000, 40000), 0);
	assert_int_equal(trace_add(&trace, "c", 90000, 110000), 0);
	assert_says(&trace, "window      100.0 us each of 0 steps, 3 kernels", "busy         60.0 us, 60.00%");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_five_steps_are_left_out),
		cmocka_unit_test(an_update_in_several_launches_ends_one_step),
		cmocka_unit_test(as_many_steps_are_left_out_as_asked),
		cmocka_unit_test(time_in_which_two_run_counts_once),
	};
	return cmocka_run_group_tests_name("gpu trace", tests, NULL, NULL);
}
