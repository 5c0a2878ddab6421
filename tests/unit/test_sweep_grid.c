#include "sweep_grid.h"
#include "sweep_report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static aur_status make(struct aur_grid *grid, const char *const *overrides, int n)
{
	return aur_grid_make(overrides, n, grid);
}

#define MAKE(grid, ...)                                                                                                \
	make(grid, (const char *const[]){__VA_ARGS__}, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void assert_point(const struct aur_grid *grid, int64_t point, const char *expected)
{
	char name[256];
	assert_int_equal(aur_grid_name(grid, point, name, sizeof name), AUR_OK);
	assert_string_equal(name, expected);
}

static void every_combination_is_a_point_and_the_last_axis_changes_fastest(void **state)
{
	(void)state;
	struct aur_grid grid;
	assert_int_equal(MAKE(&grid, "train.learning_rate=1e-2,1e-3", "train.steps=5", "model.block_size=4,8,16"), AUR_OK);
	assert_int_equal(grid.n_points, 6);
	assert_int_equal(grid.n_axes, 2);
	assert_int_equal(grid.n_fixed, 1);
	assert_string_equal(grid.fixed[0], "train.steps=5");
	assert_point(&grid, 0, "learning_rate-1e-2_block_size-4");
	assert_point(&grid, 1, "learning_rate-1e-2_block_size-8");
	assert_point(&grid, 3, "learning_rate-1e-3_block_size-4");
	assert_point(&grid, 5, "learning_rate-1e-3_block_size-16");
	aur_grid_clear(&grid);
}

/* File lists and prompts hold commas of their own. */
static void texts_are_never_axes(void **state)
{
	(void)state;
	struct aur_grid grid;
	assert_int_equal(
		MAKE(&grid, "data.train=a.h5,b.h5", "data.val=c.h5,d.h5", "train.sample_prompt=Well, then", "train.seed=1,2"),
		AUR_OK);
	assert_int_equal(grid.n_axes, 1);
	assert_int_equal(grid.n_fixed, 3);
	assert_string_equal(grid.axes[0].key, "train.seed");
	aur_grid_clear(&grid);
}

static void the_last_of_two_equal_keys_wins(void **state)
{
	(void)state;
	struct aur_grid grid;
	assert_int_equal(
		MAKE(&grid, "train.seed=1,2,3", "model.n_layer=1,2", "train.seed=7", "model.n_layer=3,4,5"), AUR_OK);
	assert_int_equal(grid.n_points, 3);
	assert_int_equal(grid.n_fixed, 1);
	assert_string_equal(grid.fixed[0], "train.seed=7");
	assert_string_equal(aur_grid_value(&grid, 2, 0), "5");
	aur_grid_clear(&grid);
}

static void assert_refused(const char *override, const char *part)
{
	struct aur_grid grid;
	assert_int_equal(MAKE(&grid, override), AUR_USAGE);
	if (!strstr(aur_error_message(), part))
		fail_msg("no '%s' in: %s", part, aur_error_message());
	aur_grid_clear(&grid);
}

static void bad_lists_are_refused(void **state)
{
	(void)state;
	assert_refused("train.seed=1,,2", "is empty");
	assert_refused("train.seed=1,2,", "is empty");
	assert_refused("train.seed=,", "is empty");
	assert_refused("train.seed=1,2,1", "comes twice");
	assert_refused("train.seed=1", "no key has several values");
}

/* A grid that nobody can train must be refused before its number of points overflows. */
static void too_large_a_grid_is_refused(void **state)
{
	(void)state;
	static const char list[] = "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29";
	static const char *const keys[] = {"train.seed", "train.steps", "model.n_layer", "model.n_head"};
	char overrides[4][256];
	const char *list_of[4];
	for (int i = 0; i < 4; i++) {
		snprintf(overrides[i], sizeof overrides[i], "%s=%s", keys[i], list);
		list_of[i] = overrides[i];
	}
	struct aur_grid grid;
	assert_int_equal(aur_grid_make(list_of, 4, &grid), AUR_USAGE);
	assert_non_null(strstr(aur_error_message(), "10000"));
	aur_grid_clear(&grid);
}

static void the_best_point_comes_last_and_those_without_a_loss_first(void **state)
{
	(void)state;
	const struct aur_point_result results[] = {
		{.state = AUR_POINT_FINISHED, .train_loss = 2.0, .best_val_loss = 1.5},
		{.state = AUR_POINT_DIVERGED, .train_loss = NAN, .best_val_loss = 1.0},
		{.state = AUR_POINT_FINISHED, .train_loss = 1.2, .best_val_loss = 1.4},
		{.state = AUR_POINT_WAITING, .train_loss = NAN, .best_val_loss = NAN},
		{.state = AUR_POINT_FINISHED, .train_loss = 1.45, .best_val_loss = NAN},
	};
	const int64_t expected[] = {1, 3, 0, 4, 2};
	int64_t order[5];
	aur_sweep_sort(results, 5, order);
	for (int i = 0; i < 5; i++)
		assert_int_equal(order[i], expected[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_is_a_point_and_the_last_axis_changes_fastest),
		cmocka_unit_test(texts_are_never_axes),
		cmocka_unit_test(the_last_of_two_equal_keys_wins),
		cmocka_unit_test(bad_lists_are_refused),
		cmocka_unit_test(too_large_a_grid_is_refused),
		cmocka_unit_test(the_best_point_comes_last_and_those_without_a_loss_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
