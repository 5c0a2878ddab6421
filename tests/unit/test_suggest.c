#include "core/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const names[] = {"val-fraction", "learning_rate", "min_learning_rate", "out", "seed", "tokenizer"};
enum { NAMES = sizeof names / sizeof *names };

static void swapped_letters_are_near(void **state)
{
	(void)state;
	assert_string_equal(aur_suggest("val-fractoin", names, NAMES), "val-fraction");
	assert_string_equal(aur_suggest("sede", names, NAMES), "seed");
}

static void missing_and_extra_letters_are_near(void **state)
{
	(void)state;
	assert_string_equal(aur_suggest("learning_rat", names, NAMES), "learning_rate");
	assert_string_equal(aur_suggest("tokeniser", names, NAMES), "tokenizer");
	assert_string_equal(aur_suggest("outt", names, NAMES), "out");
}

/* --val is how one abbreviates --val-fraction. */
static void beginning_of_a_name_is_near(void **state)
{
	(void)state;
	assert_string_equal(aur_suggest("val", names, NAMES), "val-fraction");
	assert_null(aur_suggest("va", names, NAMES));
}

static void nearest_of_several_wins(void **state)
{
	(void)state;
	assert_string_equal(aur_suggest("mn_learning_rate", names, NAMES), "min_learning_rate");
}

static void nothing_is_suggested_for_what_is_far(void **state)
{
	(void)state;
	assert_null(aur_suggest("banana", names, NAMES));
	assert_null(aur_suggest("", names, NAMES));
	assert_null(aur_suggest("seed", names, 0));
}

/* A pasted text instead of an option must neither overflow nor match. */
static void overlong_words_match_nothing(void **state)
{
	(void)state;
	char word[301];
	for (int i = 0; i < 300; i++)
		word[i] = 'a';
	word[300] = '\0';
	assert_null(aur_suggest(word, names, NAMES));
	const char *const longest[] = {word};
	assert_null(aur_suggest("aaaa", longest, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(swapped_letters_are_near),
		cmocka_unit_test(missing_and_extra_letters_are_near),
		cmocka_unit_test(beginning_of_a_name_is_near),
		cmocka_unit_test(nearest_of_several_wins),
		cmocka_unit_test(nothing_is_suggested_for_what_is_far),
		cmocka_unit_test(overlong_words_match_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
