/* Splitting of texts into the pieces of byte-level BPE. */
#include "pretokenize.h"

#include "core/rng.h"
#include "rounds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A pattern ready to split with. */
struct splitter {
	struct aur_pattern *pattern;
	struct aur_pretokenizer *pretokenizer;
};

static struct splitter open_splitter(const char *pattern)
{
	struct splitter splitter;
	if (aur_pattern_create(pattern, &splitter.pattern) != AUR_OK ||
		aur_pretokenizer_create(splitter.pattern, &splitter.pretokenizer) != AUR_OK)
		fail_msg("%s", aur_error_message());
	return splitter;
}

static void close_splitter(struct splitter *splitter)
{
	aur_pretokenizer_destroy(&splitter->pretokenizer);
	aur_pattern_destroy(&splitter->pattern);
}

static struct aur_text next_piece(struct splitter *splitter, struct aur_text text, size_t *at)
{
	struct aur_text piece;
	if (aur_pretokenizer_next(splitter->pretokenizer, text, at, &piece) != AUR_OK)
		fail_msg("%s", aur_error_message());
	return piece;
}

/* The pieces of `bytes` have to be those of `wanted`, between '|'. */
static void assert_pieces_of(const char *pattern, const char *bytes, size_t size, const char *wanted)
{
	struct splitter splitter = open_splitter(pattern);
	char joined[256];
	size_t at = 0, used = 0;
	while (at < size) {
		const struct aur_text piece = next_piece(&splitter, (struct aur_text){bytes, size}, &at);
		used += (size_t)snprintf(
			joined + used, sizeof joined - used, "%s%.*s", used > 0 ? "|" : "", (int)piece.size, piece.bytes);
	}
	joined[used] = '\0';
	assert_string_equal(joined, wanted);
	close_splitter(&splitter);
}

static void assert_pieces(const char *pattern, const char *text, const char *wanted)
{
	assert_pieces_of(pattern, text, strlen(text), wanted);
}

static void gpt2_splits_words_numbers_and_signs(void **state)
{
	(void)state;
	assert_pieces("gpt2", "Hello world, it's 2024!\n\n  don't  you'LL",
		"Hello| world|,| it|'s| 2024|!|\n\n |"
		" don|'t| | you|'|LL");
	assert_pieces("gpt2", "na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87", "na\xc3\xafve| \xe4\xb8\xad\xe6\x96\x87");
}

static void gpt4_splits_words_numbers_and_signs(void **state)
{
	(void)state;
	assert_pieces("gpt4", "Hello world, it'S 123456!\n\n  don't you'LL",
		"Hello| world|,| it|'S| |123|456|!\n\n|"
		" | don|'t| you|'LL");
	assert_pieces("gpt4", "(word) \t\n x", "(word|)| \t\n| x");
	/* The long s is an s when case is folded. */
	assert_pieces("gpt4", "x'\xc5\xbf", "x|'\xc5\xbf");
}

static void white_space_leaves_its_last_character_to_a_word(void **state)
{
	(void)state;
	assert_pieces("gpt2", "a   b", "a|  | b");
	assert_pieces("gpt2", "a\t\tb", "a|\t|\t|b");
	assert_pieces("gpt2", "a   ", "a|   ");
	assert_pieces("gpt2", " \xc2\xa0\xe3\x80\x80x", " \xc2\xa0|\xe3\x80\x80|x");
}

/* It was taken out of White_Space in 2013, but is in PCRE2's own \s. */
static void the_mongolian_vowel_separator_is_no_white_space(void **state)
{
	(void)state;
	assert_pieces("gpt2", "a \xe1\xa0\x8e b", "a| \xe1\xa0\x8e| b");
	assert_pieces("gpt2", "a\xc2\x85 b", "a|\xc2\x85| b");
}

static void bytes_that_are_not_utf8_join_the_piece_before_them(void **state)
{
	(void)state;
	assert_pieces("gpt2", "ab\xff\x80 cd", "ab\xff\x80| cd");
	assert_pieces("gpt2", "\xe2\x82 cd", "\xe2\x82| cd");
	assert_pieces("gpt4", "ab  \xe2\x82", "ab|  \xe2\x82");
	assert_pieces("gpt2", "\xc3\xa9\xed\xa0\x80z", "\xc3\xa9\xed\xa0\x80|z");
	assert_pieces_of("gpt2", "a\0\0b", 4, "a||b"); /* two zeros are one piece, that printf cuts */
}

static void what_a_pattern_does_not_match_is_a_piece(void **state)
{
	(void)state;
	assert_pieces("\\d", "ab12 \xc3\xa9", "ab|1|2| \xc3\xa9");
	assert_pieces("x*",
		"abxx\xff\xff"
		"ab",
		"ab|xx\xff\xff|ab");
	assert_pieces("z",
		"ab\xff"
		"ab",
		"ab\xff|ab");
}

static void a_pattern_that_cannot_be_compiled_is_named(void **state)
{
	(void)state;
	struct aur_pattern *pattern = NULL;
	assert_int_equal(aur_pattern_create("a(b", &pattern), AUR_INPUT);
	assert_non_null(strstr(aur_error_message(), "a(b"));
	assert_null(pattern);
}

/* It would go on for longer than a life. */
static void a_runaway_pattern_is_stopped(void **state)
{
	(void)state;
	struct splitter splitter = open_splitter("(?:(?:a+)+)+[bc]");
	const struct aur_text text = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 64};
	struct aur_text piece;
	size_t at = 0;
	assert_int_equal(aur_pretokenizer_next(splitter.pretokenizer, text, &at, &piece), AUR_INPUT);
	assert_non_null(strstr(aur_error_message(), "limit"));
	close_splitter(&splitter);
}

/* ---- the quick way against the pattern ---- */

/* What random texts are made of: all that the patterns tell apart, and its neighbours. */
static const char *const parts[] = {"a", "b", "Z", "s", "S", "t", "re", "LL", "ve", "d", "m", "'", "'", "'s", "'Re",
	"1", "23", "4567", " ", " ", "  ", "\t", "\n", "\r", "\r\n", "\v", ".", ",", "!?", "(", "\x7f", "\x01", "\xc3\xa9",
	"\xc5\xbf", "\xe2\x84\xaa", "\xc2\xa0", "\xc2\x85", "\xe3\x80\x80", "\xe1\xa0\x8e", "\xd9\xa3", "\xc2\xb2",
	"\xcc\x81", "\xe2\x80\x8d", "\xf0\x9f\x98\x80", "\xe4\xb8\xad", "\xe0\xb8\x81\xe0\xb8\xb3", "\xff", "\x80", "\xe2",
	"\xf0\x9f", "\xc3"};

enum { PARTS = sizeof parts / sizeof *parts, ROUNDS = 20000, MOST_PARTS = 24 };

static size_t random_text(uint64_t number, char *text)
{
	size_t size = 0;
	for (uint32_t i = 0; i < MOST_PARTS; i++) {
		const uint32_t drawn = aur_philox(1, i, 0, number).v[0];
		const char *part = parts[drawn % PARTS];
		memcpy(text + size, part, strlen(part));
		size += strlen(part);
		if (drawn / PARTS % MOST_PARTS == 0)
			break;
	}
	return size;
}

static int same_piece(struct aur_text a, struct aur_text b)
{
	return a.bytes == b.bytes && a.size == b.size;
}

/* The same text, split with and without what is special to ASCII. */
static void assert_same_pieces(struct splitter *quick, struct splitter *plain, struct aur_text text, uint64_t number)
{
	size_t at = 0, at_plain = 0;
	while (at < text.size) {
		const struct aur_text piece = next_piece(quick, text, &at);
		if (!same_piece(piece, next_piece(plain, text, &at_plain)))
			fail_msg(
				"text %llu: another piece at byte %zu", (unsigned long long)number, (size_t)(piece.bytes - text.bytes));
	}
	assert_int_equal(at_plain, text.size);
}

static void assert_quick_is_plain(const char *name)
{
	static char text[MOST_PARTS * 8];
	struct splitter quick = open_splitter(name), plain = open_splitter(aur_pattern_regex(name));
	for (uint64_t number = 0; number < (uint64_t)rounds_of(ROUNDS); number++)
		assert_same_pieces(&quick, &plain, (struct aur_text){text, random_text(number, text)}, number);
	close_splitter(&quick);
	close_splitter(&plain);
}

static void the_quick_way_splits_as_the_pattern(void **state)
{
	(void)state;
	assert_quick_is_plain("gpt2");
	assert_quick_is_plain("gpt4");
}

/* ---- long runs ---- */

enum { LONG = 1 << 20 };

/* `LONG` times `unit` and then `last` are split as the first piece and what follows. */
static void assert_long_run(const char *pattern, const char *unit, const char *last, size_t first_piece)
{
	const size_t width = strlen(unit), size = LONG * width + strlen(last);
	char *text = malloc(size + 1);
	assert_non_null(text);
	for (size_t i = 0; i < LONG; i++)
		memcpy(text + i * width, unit, width);
	memcpy(text + LONG * width, last, strlen(last) + 1);
	struct splitter splitter = open_splitter(pattern);
	size_t at = 0;
	assert_int_equal(next_piece(&splitter, (struct aur_text){text, size}, &at).size, first_piece);
	close_splitter(&splitter);
	free(text);
}

static void long_runs_are_one_piece(void **state)
{
	(void)state;
	const char *const names[] = {"gpt2", "gpt4"};
	for (int i = 0; i < 2; i++) {
		assert_long_run(names[i], "a", "\xc3\xa9", LONG + 2);
		assert_long_run(names[i], " ", "x", LONG - 1);
		assert_long_run(names[i], "\xc2\xa0", "x", 2 * (LONG - 1));
		assert_long_run(names[i], "!", "", LONG);
		assert_long_run(names[i], "\xe4\xb8\xad", ".", 3 * LONG);
	}
	assert_long_run("gpt4", " ", "\n x", LONG + 1);
	/* A group that is repeated takes memory for every time: still no failure. */
	assert_long_run("(?:a|b)+", "ab", ".", 2 * LONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gpt2_splits_words_numbers_and_signs),
		cmocka_unit_test(gpt4_splits_words_numbers_and_signs),
		cmocka_unit_test(white_space_leaves_its_last_character_to_a_word),
		cmocka_unit_test(the_mongolian_vowel_separator_is_no_white_space),
		cmocka_unit_test(bytes_that_are_not_utf8_join_the_piece_before_them),
		cmocka_unit_test(what_a_pattern_does_not_match_is_a_piece),
		cmocka_unit_test(a_pattern_that_cannot_be_compiled_is_named),
		cmocka_unit_test(a_runaway_pattern_is_stopped),
		cmocka_unit_test(the_quick_way_splits_as_the_pattern),
		cmocka_unit_test(long_runs_are_one_piece),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
