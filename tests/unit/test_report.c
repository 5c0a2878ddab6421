#include "text/encoder.h"
#include "text/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct aur_text_report report_of(const char *kind, const char *clean, const char *text)
{
	struct aur_tokenizer *tokenizer = NULL;
	struct aur_encoder *encoder = NULL;
	uint16_t tokens[64];
	int64_t counts[64], count;
	struct aur_text_report report;
	const struct aur_tokenizer_options options = {.kind = kind, .clean = clean};
	const struct aur_text one = {text, strlen(text)};
	assert_int_equal(aur_tokenizer_train(&options, one.bytes, one.size, &tokenizer), AUR_OK);
	assert_in_range(aur_tokenizer_vocab(tokenizer)->size, 1, 64);
	assert_int_equal(aur_encoder_create(tokenizer, &one, 1, &encoder), AUR_OK);
	assert_int_equal(aur_encoder_next(encoder, 2, 64, tokens, &count), AUR_OK);
	assert_int_equal(aur_encoder_finish(encoder), AUR_OK);
	aur_encoder_tally(encoder, counts);
	assert_int_equal(aur_text_report_make(tokenizer, &one, 1, counts, &report), AUR_OK);
	aur_encoder_destroy(&encoder);
	aur_tokenizer_destroy(&tokenizer);
	return report;
}

static void sizes_are_those_of_the_text(void **state)
{
	(void)state;
	const struct aur_text_report report = report_of("char", "none",
		"\xc3\xa9"
		"a\nb");
	assert_int_equal(report.bytes, 5);
	assert_int_equal(report.characters, 4);
	assert_int_equal(report.lines, 2);
	assert_int_equal(report.tokens, 4);
	assert_int_equal(report.vocab_size, 5);
}

static void line_end_at_the_end_makes_no_further_line(void **state)
{
	(void)state;
	assert_int_equal(report_of("char", "none", "a\nb\n").lines, 2);
}

static void tokens_are_ordered_by_count_then_number(void **state)
{
	(void)state;
	const struct aur_text_report report = report_of("char", "none", "abbccc");
	assert_int_equal(report.n_most, 3);
	assert_int_equal(report.most[0].id, 3);
	assert_int_equal(report.most[0].count, 3);
	assert_int_equal(report.least[0].id, 1);
	assert_int_equal(report.least[0].count, 1);
	const struct aur_text_report even = report_of("char", "none", "ba");
	assert_int_equal(even.most[0].id, 1);
	assert_int_equal(even.least[0].id, 1);
}

static void at_most_ten_tokens_are_listed(void **state)
{
	(void)state;
	const struct aur_text_report report = report_of("char", "none", "abcdefghijklmn");
	assert_int_equal(report.n_most, AUR_REPORT_TOKENS);
	assert_int_equal(report.n_least, AUR_REPORT_TOKENS);
	assert_int_equal(report.least[9].id, 10);
}

/* Short words are counted before those with digits are taken out, by characters, not bytes. */
static void short_words_and_digits_are_counted_in_the_whole_text(void **state)
{
	(void)state;
	const struct aur_text_report report =
		report_of("word", "original", "The the a1 1234 \xc3\xa9\xc3\xa9\xc3\xa9 four end");
	assert_int_equal(report.words.distinct, 6);
	assert_int_equal(report.words.short_words, 4);
	assert_int_equal(report.words.digit_words, 2);
	assert_string_equal(report.words.short_examples, "the a1 end \xc3\xa9\xc3\xa9\xc3\xa9");
}

static void characters_have_no_words_to_report(void **state)
{
	(void)state;
	assert_int_equal(report_of("char", "none", "a b 1").words.distinct, 0);
}

static void assert_readable(const char *text, size_t bytes, size_t room, const char *expected)
{
	char shown[64];
	assert_string_equal(aur_text_readable(text, bytes, shown, room), expected);
}

static void characters_that_do_not_show_are_named(void **state)
{
	(void)state;
	assert_readable("a\n\t\r b", 6, 64, "a\\n\\t\\r b");
	assert_readable("\xef\xbb\xbfx", 4, 64, "U+FEFFx");
	assert_readable("\0\x7f", 2, 64, "U+0000U+007F");
	assert_readable("\xc2\xa0\xe2\x80\xa8", 5, 64, "U+00A0U+2028");
	assert_readable("a\xff", 2, 64, "a\\xFF");
	assert_readable("\xc3\xa9\xe2\x80\x94", 5, 64, "\xc3\xa9\xe2\x80\x94");
}

static void long_tokens_are_cut_between_characters(void **state)
{
	(void)state;
	assert_readable("abcdefgh", 8, 9, "abcdefgh");
	assert_readable("abcdefgh", 8, 8, "abcd...");
	assert_readable("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 8, 8, "\xc3\xa9\xc3\xa9...");
	assert_readable("abcdefgh", 8, 2, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_those_of_the_text),
		cmocka_unit_test(line_end_at_the_end_makes_no_further_line),
		cmocka_unit_test(tokens_are_ordered_by_count_then_number),
		cmocka_unit_test(at_most_ten_tokens_are_listed),
		cmocka_unit_test(short_words_and_digits_are_counted_in_the_whole_text),
		cmocka_unit_test(characters_have_no_words_to_report),
		cmocka_unit_test(characters_that_do_not_show_are_named),
		cmocka_unit_test(long_tokens_are_cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
