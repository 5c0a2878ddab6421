#include "options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A command with one option of each kind, reset before every test. */
struct command {
	int flag;
	const char *text;
	int64_t integer;
	double real;
	struct aur_option table[4];
	struct aur_options options;
};

static struct command command;

static int reset(void **state)
{
	(void)state;
	command = (struct command){.text = "default", .integer = 7, .real = 0.5};
	command.table[0] = (struct aur_option){"compress", AUR_OPTION_FLAG, &command.flag, NULL, "flag", 0};
	command.table[1] = (struct aur_option){"out", AUR_OPTION_TEXT, &command.text, "FILE", "text", 0};
	command.table[2] = (struct aur_option){"min-count", AUR_OPTION_INTEGER, &command.integer, "N", "integer", 0};
	command.table[3] = (struct aur_option){"val-fraction", AUR_OPTION_REAL, &command.real, "X", "real", 0};
	command.options = (struct aur_options){.usage = "test FILE...",
		.about = "A command to test with.",
		.options = command.table,
		.n_options = 4,
		.argument = "FILE",
		.most_arguments = -1};
	return 0;
}

static int clear(void **state)
{
	(void)state;
	aur_options_clear(&command.options);
	return 0;
}

static aur_status parse(const char *const *words, int n)
{
	char *argv[16] = {(char[]){"test"}};
	for (int i = 0; i < n; i++)
		argv[i + 1] = (char *)(uintptr_t)words[i];
	return aur_options_parse(&command.options, n + 1, argv);
}

#define PARSE(...)                                                                                                     \
	parse((const char *const[]){__VA_ARGS__}, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void assert_message(const char *part)
{
	if (!strstr(aur_error_message(), part))
		fail_msg("'%s' is not in the message '%s'", part, aur_error_message());
}

static void values_follow_or_stand_behind_an_equals_sign(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--out", "a.h5", "--min-count=3", "--val-fraction", "0.1", "--compress"), AUR_OK);
	assert_string_equal(command.text, "a.h5");
	assert_int_equal(command.integer, 3);
	assert_true(command.real == 0.1);
	assert_int_equal(command.flag, 1);
}

static void defaults_stay_without_options(void **state)
{
	(void)state;
	assert_int_equal(PARSE("book.txt"), AUR_OK);
	assert_string_equal(command.text, "default");
	assert_int_equal(command.integer, 7);
	assert_int_equal(command.flag, 0);
}

static void last_of_two_equal_options_wins(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--out=a", "--out", "b"), AUR_OK);
	assert_string_equal(command.text, "b");
}

static void arguments_keep_their_order_among_options(void **state)
{
	(void)state;
	assert_int_equal(PARSE("one", "--compress", "two", "--", "--three", "-"), AUR_OK);
	assert_int_equal(command.options.n_arguments, 4);
	assert_string_equal(command.options.arguments[0], "one");
	assert_string_equal(command.options.arguments[1], "two");
	assert_string_equal(command.options.arguments[2], "--three");
	assert_string_equal(command.options.arguments[3], "-");
}

static void negative_numbers_are_values(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--min-count", "-3"), AUR_OK);
	assert_int_equal(command.integer, -3);
}

static void unknown_option_is_refused_with_the_nearest_one(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--val-fractoin", "0.1"), AUR_USAGE);
	assert_message("did you mean --val-fraction?");
	clear(NULL);
	assert_int_equal(PARSE("--banana"), AUR_USAGE);
	assert_message("--banana");
	clear(NULL);
	assert_int_equal(PARSE("-o", "x"), AUR_USAGE);
	assert_message("-o");
}

static void bad_numbers_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"--min-count=", "--min-count=3x", "--min-count=1.5", "--min-count= 3",
		"--min-count=99999999999999999999", "--val-fraction=half", "--val-fraction=nan", "--val-fraction=inf",
		"--val-fraction="};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(parse(&bad[i], 1), AUR_USAGE);
		assert_message(i < 5 ? "--min-count" : "--val-fraction");
		clear(NULL);
	}
	assert_int_equal(command.integer, 7);
}

static void missing_value_is_refused(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--out"), AUR_USAGE);
	assert_message("--out FILE");
	clear(NULL);
	assert_int_equal(PARSE("--out", "--compress"), AUR_USAGE);
	assert_message("--out FILE");
	clear(NULL);
	assert_int_equal(PARSE("--compress=yes"), AUR_USAGE);
	assert_message("takes no value");
}

static void required_option_is_named(void **state)
{
	(void)state;
	command.table[1].required = 1;
	assert_int_equal(PARSE("book.txt"), AUR_USAGE);
	assert_message("--out FILE");
}

static void wrong_number_of_arguments_is_refused(void **state)
{
	(void)state;
	command.options.least_arguments = 1;
	command.options.most_arguments = 1;
	assert_int_equal(PARSE("--compress"), AUR_USAGE);
	assert_message("needs FILE");
	clear(NULL);
	assert_int_equal(PARSE("one", "two"), AUR_USAGE);
	assert_message("'two'");
}

static void overrides_are_collected_in_order(void **state)
{
	(void)state;
	command.options.takes_overrides = 1;
	assert_int_equal(PARSE("--train.steps=5", "--out", "a", "--model.kind=gpt", "--train.steps=6"), AUR_OK);
	assert_int_equal(command.options.n_overrides, 3);
	assert_string_equal(command.options.overrides[0], "train.steps=5");
	assert_string_equal(command.options.overrides[2], "train.steps=6");
}

static void overrides_need_a_value_and_a_command_that_takes_them(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--train.steps=5"), AUR_USAGE);
	clear(NULL);
	command.options.takes_overrides = 1;
	assert_int_equal(PARSE("--train.steps"), AUR_USAGE);
	assert_message("--train.steps=VALUE");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_follow_or_stand_behind_an_equals_sign),
		TEST(defaults_stay_without_options),
		TEST(last_of_two_equal_options_wins),
		TEST(arguments_keep_their_order_among_options),
		TEST(negative_numbers_are_values),
		TEST(unknown_option_is_refused_with_the_nearest_one),
		TEST(bad_numbers_are_refused),
		TEST(missing_value_is_refused),
		TEST(required_option_is_named),
		TEST(wrong_number_of_arguments_is_refused),
		TEST(overrides_are_collected_in_order),
		TEST(overrides_need_a_value_and_a_command_that_takes_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
