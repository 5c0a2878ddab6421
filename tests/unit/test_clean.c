#include "text/clean.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_cleaned(const char *kind, const char *text, const char *expected)
{
	char *cleaned;
	size_t bytes;
	assert_int_equal(aur_clean(kind, text, strlen(text), &cleaned, &bytes), AUR_OK);
	assert_string_equal(cleaned, expected);
	assert_int_equal(bytes, strlen(expected));
	free(cleaned);
}

static void none_and_original_change_nothing(void **state)
{
	(void)state;
	assert_cleaned("none", "\xef\xbb\xbf a \r\n\n\n\nb ", "\xef\xbb\xbf a \r\n\n\n\nb ");
	assert_cleaned("original", "\xef\xbb\xbf a \r\n\n\n\nb ", "\xef\xbb\xbf a \r\n\n\n\nb ");
}

static void basic_removes_the_byte_order_mark_at_the_beginning_only(void **state)
{
	(void)state;
	assert_cleaned("basic", "\xef\xbb\xbfone\xef\xbb\xbf", "one\xef\xbb\xbf");
	assert_cleaned("basic", "\xef\xbb", "\xef\xbb");
}

static void basic_makes_every_line_end_a_line_feed(void **state)
{
	(void)state;
	assert_cleaned("basic", "a\r\nb\rc\nd\r", "a\nb\nc\nd\n");
}

static void basic_removes_blanks_at_line_ends(void **state)
{
	(void)state;
	assert_cleaned("basic", "a  \t\n  b \r\nc d ", "a\n  b\nc d");
}

static void basic_keeps_one_of_several_blank_lines(void **state)
{
	(void)state;
	assert_cleaned("basic", "a\n\n\n \n\t\nb\n\nc\n", "a\n\nb\n\nc\n");
	assert_cleaned("basic", "\n\n\na", "\na");
}

/* Cleaning what is clean must change nothing: prompts may have been cleaned before. */
static void basic_is_idempotent(void **state)
{
	(void)state;
	char *once, *twice;
	size_t once_bytes, twice_bytes;
	const char *text = "\xef\xbb\xbf\r\r a\t\n\n\n b \r\n \r\n c";
	assert_int_equal(aur_clean("basic", text, strlen(text), &once, &once_bytes), AUR_OK);
	assert_int_equal(aur_clean("basic", once, once_bytes, &twice, &twice_bytes), AUR_OK);
	assert_string_equal(once, twice);
	free(once);
	free(twice);
}

static void empty_text_stays_empty(void **state)
{
	(void)state;
	assert_cleaned("none", "", "");
	assert_cleaned("basic", "", "");
}

static void unknown_kind_is_refused_by_name(void **state)
{
	(void)state;
	char *cleaned;
	size_t bytes;
	assert_false(aur_clean_known("thorough"));
	assert_int_equal(aur_clean("thorough", "a", 1, &cleaned, &bytes), AUR_USAGE);
	assert_non_null(strstr(aur_error_message(), "thorough"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_and_original_change_nothing),
		cmocka_unit_test(basic_removes_the_byte_order_mark_at_the_beginning_only),
		cmocka_unit_test(basic_makes_every_line_end_a_line_feed),
		cmocka_unit_test(basic_removes_blanks_at_line_ends),
		cmocka_unit_test(basic_keeps_one_of_several_blank_lines),
		cmocka_unit_test(basic_is_idempotent),
		cmocka_unit_test(empty_text_stays_empty),
		cmocka_unit_test(unknown_kind_is_refused_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
