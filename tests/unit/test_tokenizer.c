#include "text/tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct aur_tokenizer *train(const char *kind, const char *clean, int lowercase, const char *text)
{
	struct aur_tokenizer *tokenizer = NULL;
	const struct aur_tokenizer_options options = {.kind = kind, .clean = clean, .lowercase = lowercase};
	if (aur_tokenizer_train(&options, text, strlen(text), &tokenizer) != AUR_OK)
		fail_msg("%s", aur_error_message());
	return tokenizer;
}

static void assert_token(const struct aur_tokenizer *tokenizer, int32_t id, const char *expected)
{
	size_t bytes;
	const char *piece = aur_tokenizer_piece(tokenizer, id, 1, &bytes);
	assert_non_null(piece);
	assert_int_equal(bytes, strlen(expected));
	assert_memory_equal(piece, expected, bytes);
}

static struct aur_ids encode(const struct aur_tokenizer *tokenizer, const char *text)
{
	struct aur_ids ids = {0};
	assert_int_equal(aur_tokenizer_encode(tokenizer, text, strlen(text), &ids), AUR_OK);
	return ids;
}

static void assert_encoded(
	const struct aur_tokenizer *tokenizer, const char *text, const int32_t *expected, int64_t count)
{
	struct aur_ids ids = encode(tokenizer, text);
	assert_int_equal(ids.count, count);
	assert_memory_equal(ids.ids, expected, (size_t)count * sizeof *expected);
	aur_ids_clear(&ids);
}

#define ASSERT_ENCODED(tokenizer, text, ...)                                                                           \
	assert_encoded(tokenizer, text, (const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / 4)

static void assert_round_trip(const struct aur_tokenizer *tokenizer, const char *text, const char *expected)
{
	struct aur_ids ids = encode(tokenizer, text);
	char *decoded;
	assert_int_equal(aur_tokenizer_decode(tokenizer, ids.ids, ids.count, &decoded), AUR_OK);
	assert_string_equal(decoded, expected);
	free(decoded);
	aur_ids_clear(&ids);
}

/* ---- characters ---- */

static void characters_are_code_points_in_order(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("char", "none", 0,
		"b\xc3\xa9"
		"a\xf0\x9f\x98\x80"
		"b\n");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 6);
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->unknown, 0);
	assert_token(tokenizer, 0, "\xef\xbf\xbd");
	assert_token(tokenizer, 1, "\n");
	assert_token(tokenizer, 2, "a");
	assert_token(tokenizer, 3, "b");
	assert_token(tokenizer, 4, "\xc3\xa9");
	assert_token(tokenizer, 5, "\xf0\x9f\x98\x80");
	ASSERT_ENCODED(tokenizer,
		"\xf0\x9f\x98\x80\xc3\xa9"
		"ab\n",
		5, 4, 2, 3, 1);
	assert_round_trip(tokenizer, "ba\n\xc3\xa9", "ba\n\xc3\xa9");
	aur_tokenizer_destroy(&tokenizer);
}

static void unknown_characters_become_the_unknown_token_and_are_counted(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("char", "none", 0, "ab");
	struct aur_ids ids = encode(tokenizer, "a\xc3\xa9xb");
	assert_int_equal(ids.count, 4);
	assert_int_equal(ids.ids[1], 0);
	assert_int_equal(ids.ids[2], 0);
	assert_int_equal(ids.unknown, 2);
	assert_string_equal(ids.first_unknown, "\xc3\xa9");
	aur_ids_clear(&ids);
	aur_tokenizer_destroy(&tokenizer);
}

/* The replacement character in a text is the unknown token, not a second token that looks the same. */
static void replacement_character_is_not_doubled(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("char", "none", 0, "a\xef\xbf\xbd");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 2);
	ASSERT_ENCODED(tokenizer, "\xef\xbf\xbd", 0);
	aur_tokenizer_destroy(&tokenizer);
}

static void lower_case_is_applied_to_the_text_and_to_prompts(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("char", "none", 1, "aB\xc3\x89");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 4);
	assert_round_trip(tokenizer, "BA\xc3\x89", "ba\xc3\xa9");
	aur_tokenizer_destroy(&tokenizer);
}

static void original_characters_are_thirty_and_the_rest_is_dropped(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("char", "original", 0, "anything");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 30);
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->unknown, -1);
	struct aur_ids ids = encode(tokenizer, "Az .!?,\n\xc3\xa9"
										   "a");
	const int32_t expected[] = {29, 0, 1, 2, 3, 4};
	assert_int_equal(ids.count, 6);
	assert_memory_equal(ids.ids, expected, sizeof expected);
	assert_int_equal(ids.unknown, 4);
	assert_string_equal(ids.first_unknown, "A");
	aur_ids_clear(&ids);
	aur_tokenizer_destroy(&tokenizer);
}

static void cleaning_is_applied_to_prompts(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("char", "basic", 0,
		"\xef\xbb\xbf"
		"a\r\nb  \r\n");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 4);
	assert_round_trip(tokenizer, "a\r\n\r\n\r\nb ", "a\n\nb");
	aur_tokenizer_destroy(&tokenizer);
}

/* ---- words ---- */

static void words_are_split_at_unicode_white_space_and_sorted(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("word", "none", 0,
		" to be\tor\xc2\xa0not\xe3\x80\x80to\x1c"
		"be\n\xc3\xa9 ");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 6);
	assert_token(tokenizer, 0, "<unk>");
	assert_token(tokenizer, 1, "be");
	assert_token(tokenizer, 2, "not");
	assert_token(tokenizer, 4, "to");
	assert_token(tokenizer, 5, "\xc3\xa9");
	ASSERT_ENCODED(tokenizer, "be not\n what", 1, 2, 0);
	assert_round_trip(tokenizer, "\n not  to be", "not to be");
	aur_tokenizer_destroy(&tokenizer);
}

/* Zero-width space and the like are no white space. */
static void format_characters_do_not_end_words(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("word", "none", 0,
		"a\xe2\x80\x8b"
		"b");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 2);
	aur_tokenizer_destroy(&tokenizer);
}

static void unknown_token_in_the_text_is_not_doubled(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("word", "none", 0, "a <unk> b");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 3);
	ASSERT_ENCODED(tokenizer, "<unk>", 0);
	aur_tokenizer_destroy(&tokenizer);
}

static void original_words_are_lower_case_and_hold_no_digit(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("word", "original", 0, "\xef\xbb\xbfThe the a1 4th x\xc2\xb2 end.");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 3);
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->unknown, -1);
	assert_token(tokenizer, 0, "end.");
	assert_token(tokenizer, 1, "the");
	assert_token(tokenizer, 2, "\xef\xbb\xbfthe");
	aur_tokenizer_destroy(&tokenizer);
}

/* Pieces between single spaces that hold a line end or a tab are not in the vocabulary, though their words are. */
static void original_words_are_split_at_single_spaces(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("word", "original", 0, "one two\nthree  ONE four\t");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 4);
	ASSERT_ENCODED(tokenizer, "one two\nthree  ONE four\t", 1, 1);
	ASSERT_ENCODED(tokenizer, "Two three", 3, 2);
	struct aur_ids ids = encode(tokenizer, "  two  ");
	assert_int_equal(ids.unknown, 0);
	aur_ids_clear(&ids);
	aur_tokenizer_destroy(&tokenizer);
}

/* Python's lower(), which defined the original vocabulary: a capital sigma at a word's end is a final one, a dotted
 * capital I becomes two code points. */
static void lower_case_follows_unicode_where_it_depends_on_the_neighbours(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("word", "original", 0,
		"\xce\x9f\xce\x94\xce\x9f\xce\xa3 \xce\xa3\xce\x91 \xce\xa3 \xce\x91\xce\xa3. \xce\x91\xce\xa3'\xce\x91 "
		"\xc4\xb0");
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 6);
	assert_token(tokenizer, 0, "i\xcc\x87");
	assert_token(tokenizer, 1, "\xce\xb1\xcf\x82.");
	assert_token(tokenizer, 2, "\xce\xb1\xcf\x83'\xce\xb1");
	assert_token(tokenizer, 3, "\xce\xbf\xce\xb4\xce\xbf\xcf\x82");
	assert_token(tokenizer, 4, "\xcf\x83");
	assert_token(tokenizer, 5, "\xcf\x83\xce\xb1");
	aur_tokenizer_destroy(&tokenizer);
}

static void rare_words_become_unknown(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = NULL;
	const struct aur_tokenizer_options options = {.kind = "word", .clean = "none", .min_count = 2};
	const char *text = "a b a c c a";
	assert_int_equal(aur_tokenizer_train(&options, text, strlen(text), &tokenizer), AUR_OK);
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 3);
	ASSERT_ENCODED(tokenizer, "a b c", 1, 0, 2);
	aur_tokenizer_destroy(&tokenizer);
}

/* ---- several texts ---- */

/* Each document has its own byte-order mark, and its last word does not run into the next one's first. */
static void documents_are_cleaned_and_split_apart(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = NULL;
	const struct aur_tokenizer_options options = {.kind = "word", .clean = "basic"};
	const struct aur_text texts[] = {{"\xef\xbb\xbfone", 6}, {"\xef\xbb\xbftwo", 6}};
	assert_int_equal(aur_tokenizer_train_texts(&options, texts, 2, &tokenizer), AUR_OK);
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, 3);
	assert_token(tokenizer, 1, "one");
	assert_token(tokenizer, 2, "two");
	aur_tokenizer_destroy(&tokenizer);
}

/* ---- pieces ---- */

static void streamed_pieces_make_the_decoded_text(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("word", "none", 0, "to be or not");
	size_t bytes;
	assert_memory_equal(aur_tokenizer_piece(tokenizer, 4, 1, &bytes), "to", 2);
	assert_int_equal(bytes, 2);
	assert_memory_equal(aur_tokenizer_piece(tokenizer, 1, 0, &bytes), " be", 3);
	assert_int_equal(bytes, 3);
	assert_null(aur_tokenizer_piece(tokenizer, 5, 0, &bytes));
	assert_null(aur_tokenizer_piece(tokenizer, -1, 0, &bytes));
	aur_tokenizer_destroy(&tokenizer);
}

/* ---- failures ---- */

static void text_that_is_not_utf8_is_refused_with_the_byte(void **state)
{
	(void)state;
	static const char *const bad[] = {"0123456789\xff", "0123456789\xc3", "0123456789\xc0\xaf",
		"0123456789\xed\xa0\x80", "0123456789\xf4\x90\x80\x80", "0123456789\x80", "0123456789\xe2\x82"};
	struct aur_tokenizer *tokenizer = train("char", "none", 0, "0123456789");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct aur_ids ids = {0};
		assert_int_equal(aur_utf8_check(bad[i], strlen(bad[i])), 10);
		assert_int_equal(aur_tokenizer_encode(tokenizer, bad[i], strlen(bad[i]), &ids), AUR_INPUT);
		assert_non_null(strstr(aur_error_message(), "byte 10"));
		assert_null(ids.ids);
	}
	assert_int_equal(aur_utf8_check("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 12345678", 18), -1);
	aur_tokenizer_destroy(&tokenizer);
}

static void numbers_outside_the_vocabulary_do_not_decode(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("char", "none", 0, "ab");
	char *text;
	assert_int_equal(aur_tokenizer_decode(tokenizer, (int32_t[]){1, 3}, 2, &text), AUR_INPUT);
	assert_non_null(strstr(aur_error_message(), "3"));
	assert_int_equal(aur_tokenizer_decode(tokenizer, (int32_t[]){-1}, 1, &text), AUR_INPUT);
	aur_tokenizer_destroy(&tokenizer);
}

static void options_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	static const struct aur_tokenizer_options wrong[] = {{.kind = "syllable", .clean = "none"},
		{.kind = "char", .clean = "deep"}, {.kind = "char", .clean = "original", .lowercase = 1},
		{.kind = "char", .clean = "none", .min_count = 2}, {.kind = "word", .clean = "original", .min_count = 2},
		{.kind = "word", .clean = "none", .min_count = -1}, {.kind = "word", .clean = "none", .vocab_size = 300},
		{.kind = "bpe", .clean = "none"}, {.kind = "bpe", .clean = "none", .vocab_size = 255},
		{.kind = "bpe", .clean = "none", .vocab_size = INT64_MAX},
		{.kind = "bpe", .clean = "none", .vocab_size = 256, .specials = "<a>"},
		{.kind = "bpe", .clean = "none", .vocab_size = 300, .specials = "<a>,<a>"},
		{.kind = "bpe", .clean = "none", .vocab_size = 300, .specials = "<a>,"},
		{.kind = "bpe", .clean = "none", .vocab_size = 300, .specials = "a"},
		{.kind = "bpe", .clean = "none", .vocab_size = 300, .specials = "\xff\xff"},
		{.kind = "bpe", .clean = "original", .vocab_size = 300}};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct aur_tokenizer *tokenizer = NULL;
		assert_int_equal(aur_tokenizer_train(&wrong[i], "a b", 3, &tokenizer), AUR_USAGE);
		assert_null(tokenizer);
	}
}

static void text_without_tokens_is_refused(void **state)
{
	(void)state;
	static const struct aur_tokenizer_options options[] = {
		{.kind = "char", .clean = "none"}, {.kind = "word", .clean = "none"}, {.kind = "word", .clean = "original"}};
	static const char *const texts[] = {"", " \n ", "12 3rd"};
	for (size_t i = 0; i < 3; i++) {
		struct aur_tokenizer *tokenizer = NULL;
		assert_int_equal(aur_tokenizer_train(&options[i], texts[i], strlen(texts[i]), &tokenizer), AUR_INPUT);
	}
}

static struct aur_vocab vocab_of(const char *kind, char *bytes, int64_t *offsets, int64_t size)
{
	struct aur_vocab vocab = {.clean = "none", .unknown = -1, .size = size, .bytes = bytes, .offsets = offsets};
	strcpy(vocab.kind, kind);
	return vocab;
}

/* Vocabularies come from files, and files may be damaged. */
static void damaged_vocabularies_are_refused(void **state)
{
	(void)state;
	const struct aur_vocab wrong[] = {
		vocab_of("rune", (char[]){"ab"}, (int64_t[]){0, 1, 2}, 2),
		vocab_of("char", (char[]){"aa"}, (int64_t[]){0, 1, 2}, 2),
		vocab_of("char", (char[]){"abc"}, (int64_t[]){0, 2, 3}, 2),
		vocab_of("char", (char[]){"ab"}, (int64_t[]){0, 0, 2}, 2),
		vocab_of("char", (char[]){"a\xff"}, (int64_t[]){0, 1, 2}, 2),
		vocab_of("char", (char[]){"ab"}, (int64_t[]){0, 2, 1}, 2),
		vocab_of("word", (char[]){"aa"}, (int64_t[]){0, 1, 2}, 2),
		vocab_of("word", (char[]){"a"}, (int64_t[]){0, 1, 1}, 2),
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct aur_tokenizer *tokenizer = NULL;
		assert_int_equal(aur_tokenizer_create(&wrong[i], &tokenizer), AUR_INPUT);
		assert_null(tokenizer);
	}
}

static void stored_vocabulary_makes_the_same_tokenizer(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("word", "basic", 1, "One two\r\nthree"), *again = NULL;
	assert_int_equal(aur_tokenizer_create(aur_tokenizer_vocab(tokenizer), &again), AUR_OK);
	assert_int_equal(aur_vocab_hash(aur_tokenizer_vocab(again)), aur_vocab_hash(aur_tokenizer_vocab(tokenizer)));
	aur_tokenizer_destroy(&tokenizer);
	ASSERT_ENCODED(again, "THREE four two", 2, 0, 3);
	aur_tokenizer_destroy(&again);
	aur_tokenizer_destroy(&again);
	aur_tokenizer_destroy(NULL);
}

static void empty_text_gives_no_tokens(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("word", "none", 0, "a");
	struct aur_ids ids = encode(tokenizer, "");
	char *text;
	assert_int_equal(ids.count, 0);
	assert_int_equal(aur_tokenizer_decode(tokenizer, ids.ids, 0, &text), AUR_OK);
	assert_string_equal(text, "");
	free(text);
	aur_ids_clear(&ids);
	aur_tokenizer_destroy(&tokenizer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters_are_code_points_in_order),
		cmocka_unit_test(unknown_characters_become_the_unknown_token_and_are_counted),
		cmocka_unit_test(replacement_character_is_not_doubled),
		cmocka_unit_test(lower_case_is_applied_to_the_text_and_to_prompts),
		cmocka_unit_test(original_characters_are_thirty_and_the_rest_is_dropped),
		cmocka_unit_test(cleaning_is_applied_to_prompts),
		cmocka_unit_test(words_are_split_at_unicode_white_space_and_sorted),
		cmocka_unit_test(format_characters_do_not_end_words),
		cmocka_unit_test(unknown_token_in_the_text_is_not_doubled),
		cmocka_unit_test(original_words_are_lower_case_and_hold_no_digit),
		cmocka_unit_test(original_words_are_split_at_single_spaces),
		cmocka_unit_test(lower_case_follows_unicode_where_it_depends_on_the_neighbours),
		cmocka_unit_test(rare_words_become_unknown),
		cmocka_unit_test(documents_are_cleaned_and_split_apart),
		cmocka_unit_test(streamed_pieces_make_the_decoded_text),
		cmocka_unit_test(text_that_is_not_utf8_is_refused_with_the_byte),
		cmocka_unit_test(numbers_outside_the_vocabulary_do_not_decode),
		cmocka_unit_test(options_that_do_not_fit_are_refused),
		cmocka_unit_test(text_without_tokens_is_refused),
		cmocka_unit_test(damaged_vocabularies_are_refused),
		cmocka_unit_test(stored_vocabulary_makes_the_same_tokenizer),
		cmocka_unit_test(empty_text_gives_no_tokens),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
