/* Texts that a regular expression of unknown meaning splits, cut where it does not show. */
#include "pretokenize.h"
#include "text/cutter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* o200k's; GPT-4's and GPT-2's written as nobody writes them, so that they are foreign; some that look far ahead. */
static const char *const patterns[] = {
	"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|"
	"'d)?"
	"|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'"
	"ll|'d)?"
	"|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
	"(?i:'s|'t|'re|'ve|'m|'d|'ll)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
	"?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
	"|\\s+(?!\\S)|\\s+",
	"'s|'t|'re|'ve|'m|'d|'ll| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
	"\\p{L}+(?=.{0,5}\\p{N})|\\p{L}|\\s+(?= ?\\S{3})|\\s",
	"a(?=b*!)|[^a]",
	"Word|\\n\\n\\n",
};

enum { PATTERNS = sizeof patterns / sizeof *patterns, MOST = 2000 };

static const char *const bits[] = {" ", "  ", "\t", "\n", "\n\n\n", "\r\n", "\r", "a", "Word", "ΣΑΣ", "İ", "é",
	"\xe4\xb8\xad", "\xe2\x80\x83", "7", "123456", "don't", "'S", "x̄", "!", "//", "。", "'", "\xe3\x80\x80", "я",
	"\xf0\x9f\x98\x80"};

static uint32_t draw(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % below;
}

static size_t make_text(uint32_t *state, char text[MOST])
{
	size_t used = 0;
	const uint32_t n = 1 + draw(state, 100);
	for (uint32_t i = 0; i < n; i++) {
		const char *bit = bits[draw(state, sizeof bits / sizeof *bits)];
		memcpy(text + used, bit, strlen(bit));
		used += strlen(bit);
	}
	return used;
}

static struct aur_vocab vocab_of(const char *pattern)
{
	struct aur_vocab vocab = {.kind = "bpe", .clean = "none", .unknown = -1};
	snprintf(vocab.pattern, sizeof vocab.pattern, "%s", pattern);
	return vocab;
}

/* Marks where pieces end in text[begin, end), split by itself. */
static void mark(
	struct aur_pretokenizer *pretokenizer, const char *text, size_t begin, size_t end, unsigned char *marks)
{
	const struct aur_text part = {text + begin, end - begin};
	struct aur_text piece;
	for (size_t at = 0; at < part.size;) {
		assert_int_equal(aur_pretokenizer_next(pretokenizer, part, &at, &piece), AUR_OK);
		marks[begin + at] = 1;
	}
}

/* The place, as a reader finds it that sees more and more of the text. */
static size_t place_in(
	struct aur_cutter *cutter, uint32_t *state, struct aur_text rest, size_t from, int *any_before_end)
{
	size_t whole, place = 0;
	assert_int_equal(aur_cutter_place(cutter, rest, from, 1, &whole), AUR_OK);
	for (size_t seen = from; place == 0 && seen < rest.size; seen += 1 + draw(state, 20))
		assert_int_equal(aur_cutter_place(cutter, (struct aur_text){rest.bytes, seen}, from, 0, &place), AUR_OK);
	if (place > 0)
		assert_int_equal(place, whole);
	*any_before_end += place > 0;
	return whole;
}

static void cuts_do_not_show(void **state)
{
	(void)state;
	uint32_t random = 5;
	for (int i = 0; i < PATTERNS; i++) {
		const struct aur_vocab vocab = vocab_of(patterns[i]);
		struct aur_pattern *pattern;
		struct aur_pretokenizer *pretokenizer;
		struct aur_cutter *cutter;
		int cuts = 0, before_end = 0;
		assert_true(aur_cutter_fits(&vocab));
		assert_int_equal(aur_cutter_create(&vocab, &cutter), AUR_OK);
		assert_int_equal(aur_pattern_create(vocab.pattern, &pattern), AUR_OK);
		assert_int_equal(aur_pretokenizer_create(pattern, &pretokenizer), AUR_OK);
		for (int trial = 0; trial < 300; trial++) {
			char text[MOST];
			unsigned char whole[MOST + 1] = {0}, parts[MOST + 1] = {0};
			const size_t size = make_text(&random, text);
			mark(pretokenizer, text, 0, size, whole);
			for (size_t begin = 0, place; begin < size; begin += place) {
				const struct aur_text rest = {text + begin, size - begin};
				place = place_in(cutter, &random, rest, 1 + draw(&random, 60), &before_end);
				cuts += place > 0;
				place = place > 0 ? place : rest.size;
				mark(pretokenizer, text, begin, begin + place, parts);
			}
			assert_memory_equal(whole, parts, sizeof whole);
		}
		assert_true(cuts > 300 && before_end > 100);
		aur_cutter_destroy(&cutter);
		aur_pretokenizer_destroy(&pretokenizer);
		aur_pattern_destroy(&pattern);
	}
}

/* A text of `bytes` letters around the first place allowed, with something shorter in front and behind. */
static char *make_long(const char *unit, size_t bytes, size_t *size)
{
	static const char around[] = "It's 12345 words, no more.\n\n  Then, again,";
	const size_t n = strlen(unit);
	char *text = malloc(2 * sizeof around + bytes + n + 1);
	assert_non_null(text);
	char *at = text + sprintf(text, "%s ", around);
	for (const char *end = at + bytes; at < end; at += n)
		memcpy(at, unit, n);
	at += sprintf(at, " %s", around);
	*size = (size_t)(at - text);
	return text;
}

/* The piece around the place allowed is long, or there are many whose end hangs on what is behind them all: both are
 * passed, and what follows is split as in the whole text. */
static void long_stretches_are_passed(void **state)
{
	(void)state;
	enum { PIECE = 3 << 20, FROM = PIECE / 2, AHEAD = 4000 };
	static const struct {
		const char *pattern, *unit;
		size_t bytes, from;
	} cases[] = {{NULL, "z", PIECE, FROM}, {NULL, "\xe4\xb8\xad", PIECE, FROM}, {NULL, " ", PIECE, FROM},
		{"T(?=\\PN*\\pN)|Then|\\pL|\\PL", "word ", AHEAD, 100},
		{"T(?=\\PN*\\pN)|Then|.|\\n", "\xe4\xb8\xad", AHEAD, 100}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct aur_vocab vocab = vocab_of(cases[i].pattern ? cases[i].pattern : patterns[0]);
		struct aur_pattern *pattern;
		struct aur_pretokenizer *pretokenizer;
		struct aur_cutter *cutter;
		size_t size, place = 0, early = 0;
		char *text = make_long(cases[i].unit, cases[i].bytes, &size);
		unsigned char *whole = calloc(2, size + 1), *parts = whole + size + 1;
		assert_non_null(whole);
		assert_int_equal(aur_cutter_create(&vocab, &cutter), AUR_OK);
		assert_int_equal(aur_pattern_create(vocab.pattern, &pattern), AUR_OK);
		assert_int_equal(aur_pretokenizer_create(pattern, &pretokenizer), AUR_OK);
		const struct aur_text seen = {text, size - 20}, little = {text, 2 * cases[i].from};
		assert_int_equal(aur_cutter_place(cutter, little, cases[i].from, 0, &early), AUR_OK);
		assert_int_equal(aur_cutter_place(cutter, seen, cases[i].from, 0, &place), AUR_OK);
		assert_int_equal(early, 0);
		assert_in_range(place, cases[i].from, size - 21);
		mark(pretokenizer, text, 0, size, whole);
		mark(pretokenizer, text, 0, place, parts);
		mark(pretokenizer, text, place, size, parts);
		assert_memory_equal(whole, parts, size + 1);
		aur_cutter_destroy(&cutter);
		aur_pretokenizer_destroy(&pretokenizer);
		aur_pattern_destroy(&pattern);
		free(whole);
		free(text);
	}
}

/* A text that is not UTF-8 is cut where none of its characters is: what is wrong is then the byte that is. */
static void what_is_wrong_is_not_made_by_a_cut(void **state)
{
	(void)state;
	static const char text[] = "\xd0\xaf \xe4\xb8\xad\xf0\x9f\x98\x80 so\xff and on\x80\x80\x80\x80\x80.";
	const struct aur_vocab vocab = vocab_of(patterns[0]);
	struct aur_cutter *cutter;
	const int64_t wrong = aur_utf8_check(text, sizeof text - 1);
	assert_int_equal(wrong, 13);
	assert_int_equal(aur_cutter_create(&vocab, &cutter), AUR_OK);
	for (size_t from = 1; from < sizeof text - 1; from++)
		for (int at_end = 0; at_end < 2; at_end++) {
			size_t place = 0;
			assert_int_equal(
				aur_cutter_place(cutter, (struct aur_text){text, sizeof text - 1}, from, at_end, &place), AUR_OK);
			assert_in_range(place, from, from + 3);
			assert_int_equal(aur_utf8_check(text, place), place > (size_t)wrong ? wrong : -1);
		}
	aur_cutter_destroy(&cutter);
}

/* Where nothing is known to be safe texts are not cut. */
static void what_may_look_anywhere_is_not_cut(void **state)
{
	(void)state;
	static const char *const others[] = {"gpt2", "gpt4", "(?<=a)b|.", "\\bx|.", "^a|.", "a$|."};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		const struct aur_vocab vocab = vocab_of(others[i]);
		if (aur_cutter_fits(&vocab))
			fail_msg("'%s' is cut", others[i]);
	}
	struct aur_vocab cleaned = vocab_of(patterns[0]), found = vocab_of(patterns[0]);
	int64_t added[] = {0, 0};
	snprintf(cleaned.clean, sizeof cleaned.clean, "basic");
	found.n_added = 1;
	found.added = added;
	assert_false(aur_cutter_fits(&cleaned));
	assert_false(aur_cutter_fits(&found));
	added[1] = 1;
	assert_true(aur_cutter_fits(&found));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_do_not_show),
		cmocka_unit_test(long_stretches_are_passed),
		cmocka_unit_test(what_is_wrong_is_not_made_by_a_cut),
		cmocka_unit_test(what_may_look_anywhere_is_not_cut),
	};
	return cmocka_run_group_tests_name("cutter", tests, NULL, NULL);
}
