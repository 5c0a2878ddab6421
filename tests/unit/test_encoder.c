#include "rounds.h"

#include "text/clean.h"
#include "text/encoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Longer than a slice; around a slice's edge stands what a test puts there. */
enum { TEXT = 3 * AUR_SLICE_BYTES / 2, SHIFTS = 24 };

static char text[TEXT + 1], expected[TEXT + 1];
static size_t step = 1; /* from one shift to the next that is tried */

static struct aur_tokenizer *train(const char *kind, const char *clean, int lowercase, const char *from)
{
	struct aur_tokenizer *tokenizer = NULL;
	const struct aur_tokenizer_options options = {.kind = kind, .clean = clean, .lowercase = lowercase};
	if (aur_tokenizer_train(&options, from, strlen(from), &tokenizer) != AUR_OK)
		fail_msg("%s", aur_error_message());
	return tokenizer;
}

/* "ab cd ab cd ... ", with `middle` so that its byte `shift` is the first behind the first slice, if all could be cut
 * anywhere. */
static void fill(char *out, const char *middle, size_t shift)
{
	for (size_t i = 0; i < TEXT; i++)
		out[i] = "ab cd "[i % 6];
	memcpy(out + AUR_SLICE_BYTES - shift, middle, strlen(middle));
	/* A blank at the end would have the last slice cleaned thoroughly, whatever else it holds. */
	out[TEXT - 1] = 'd';
	out[TEXT] = '\0';
}

static void assert_decodes(const char *kind, const char *clean, int lowercase, const char *want)
{
	struct aur_tokenizer *tokenizer = train(kind, clean, lowercase, text);
	struct aur_ids ids = {0};
	char *decoded;
	assert_int_equal(aur_tokenizer_encode(tokenizer, text, TEXT, &ids), AUR_OK);
	assert_int_equal(ids.unknown, 0);
	assert_int_equal(aur_tokenizer_decode(tokenizer, ids.ids, ids.count, &decoded), AUR_OK);
	if (strcmp(decoded, want) != 0)
		fail_msg("%s, cleaning %s: the text comes back changed", kind, clean);
	free(decoded);
	aur_ids_clear(&ids);
	aur_tokenizer_destroy(&tokenizer);
}

/* ---- what lies across the edge of two slices ---- */

static void characters_across_a_slice_edge_stay_whole(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < SHIFTS; shift += step) {
		fill(text, "\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9", shift);
		assert_decodes("char", "none", 0, text);
	}
}

static void words_across_a_slice_edge_stay_whole(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < SHIFTS; shift += step) {
		fill(text,
			" una\xc3\xb1"
			"adidos-\xe2\x82\xac-x y ",
			shift);
		/* Blanks of the filling may meet those of the middle: words come back with one. */
		size_t used = 0;
		for (size_t i = 0; i < TEXT; i++)
			if (text[i] != ' ' || (used > 0 && expected[used - 1] != ' '))
				expected[used++] = text[i];
		expected[used] = '\0';
		assert_decodes("word", "none", 0, expected);
		assert_decodes("word", "original", 0, expected);
	}
}

/* The original's pieces end at spaces alone: a line end in one makes it unknown, and must not be cut at. */
static void original_pieces_are_not_cut_at_line_ends(void **state)
{
	(void)state;
	/* The middle may leave single letters of the filling's words. */
	struct aur_tokenizer *tokenizer = train("word", "original", 0, "ab cd cdd a b c d");
	for (size_t shift = 0; shift < SHIFTS; shift += step) {
		struct aur_ids ids = {0};
		fill(text, " ab\ncd\nab\ncd\nab\ncd ", shift);
		assert_int_equal(aur_tokenizer_encode(tokenizer, text, TEXT, &ids), AUR_OK);
		assert_int_equal(ids.unknown, 1);
		assert_string_equal(ids.first_unknown, "ab\ncd\nab\ncd\nab\ncd");
		aur_ids_clear(&ids);
	}
	aur_tokenizer_destroy(&tokenizer);
}

static void cleaning_sees_over_a_slice_edge(void **state)
{
	(void)state;
	static const char *const middles[] = {"x \t  \t \n\n\n\n\ny", "x\r\n\r\n\r\n\r\n\r\ny",
		"x\n \n\t\n \n\n \xef\xbb\xbfy", "x\r\r\r\n\n\r y  z", "x\n\n\ny\n\nz\nx\n\n\n\n", "x\n\n\n\ny",
		"x\xef\xbb\xbfy\n\xef\xbb\xbfz", "x\n\ny\n\nz"};
	for (size_t i = 0; i < sizeof middles / sizeof *middles; i++)
		for (size_t shift = 0; shift < SHIFTS; shift += step) {
			char *whole;
			size_t bytes;
			fill(text, middles[i], shift);
			assert_int_equal(aur_clean("basic", text, TEXT, &whole, &bytes), AUR_OK);
			assert_decodes("char", "basic", 0, whole);
			free(whole);
		}
}

/* A sigma's lower case depends on whether letters stand before and behind it. */
static void lower_case_sees_over_a_slice_edge(void **state)
{
	(void)state;
	for (size_t shift = 0; shift < SHIFTS; shift += step) {
		fill(text, " \xce\x91\xce\xa3'\xce\x91 \xce\x91.\xce\xa3 \xce\xa3 ", shift);
		fill(expected, " \xce\xb1\xcf\x83'\xce\xb1 \xce\xb1.\xcf\x82 \xcf\x83 ", shift);
		assert_decodes("char", "none", 1, expected);
	}
}

static void text_without_a_place_to_cut_is_one_slice(void **state)
{
	(void)state;
	memset(text, 'a', TEXT);
	assert_decodes("word", "none", 1, text);
	memset(text, '\t', TEXT);
	text[TEXT - 1] = 'a';
	assert_decodes("char", "basic", 0, text);
}

/* ---- runs ---- */

/* Tokens come alike in runs of any length and in both widths; documents begin anew. */
static void runs_make_the_tokens_of_the_texts(void **state)
{
	(void)state;
	static const struct aur_text texts[] = {{"\xef\xbb\xbf"
											 "one two\xc3\xa9\n",
												13},
		{"  ", 2}, {"", 0}, {"two", 3}};
	static const char *const kinds[] = {"char", "word"};
	for (int i = 0; i < 4; i++) {
		const int token_bytes = i < 2 ? 2 : 4;
		struct aur_tokenizer *tokenizer = train(kinds[i % 2], "basic", 0, "one two\xc3\xa9 three");
		for (int64_t room = 1; room < 6; room++) {
			struct aur_encoder *encoder = NULL;
			int64_t at = 0, count = room, total = 0, tokens;
			int32_t all[32];
			for (size_t t = 0; t < 4; t++) {
				struct aur_ids ids = {0};
				assert_int_equal(aur_tokenizer_encode(tokenizer, texts[t].bytes, texts[t].size, &ids), AUR_OK);
				memcpy(all + total, ids.ids, (size_t)ids.count * sizeof *all);
				total += ids.count;
				aur_ids_clear(&ids);
			}
			assert_int_equal(aur_encoder_create(tokenizer, texts, 4, &encoder), AUR_OK);
			for (; count == room; at += count) {
				uint16_t narrow[8];
				uint32_t wide[8];
				void *out = token_bytes == 2 ? (void *)narrow : (void *)wide;
				assert_int_equal(aur_encoder_next(encoder, token_bytes, room, out, &count), AUR_OK);
				for (int64_t k = 0; k < count; k++)
					assert_int_equal(token_bytes == 2 ? narrow[k] : wide[k], all[at + k]);
			}
			assert_int_equal(at, total);
			assert_int_equal(aur_encoder_count(encoder, 2, &tokens), AUR_OK);
			assert_int_equal(tokens, 0);
			aur_encoder_destroy(&encoder);
		}
		aur_tokenizer_destroy(&tokenizer);
	}
}

static void tally_has_every_token_that_was_written(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("char", "none", 0, "abc");
	const struct aur_text texts[] = {{"abcabcbbbbbbx", 13}};
	struct aur_encoder *encoder = NULL;
	uint16_t tokens[16];
	int64_t counts[4], count;
	assert_int_equal(aur_encoder_create(tokenizer, texts, 1, &encoder), AUR_OK);
	assert_int_equal(aur_encoder_next(encoder, 2, 5, tokens, &count), AUR_OK);
	assert_int_equal(aur_encoder_next(encoder, 2, 16, tokens, &count), AUR_OK);
	aur_encoder_tally(encoder, counts);
	assert_int_equal(counts[0], 1);
	assert_int_equal(counts[1], 2);
	assert_int_equal(counts[2], 8);
	assert_int_equal(counts[3], 2);
	aur_encoder_destroy(&encoder);
	aur_encoder_destroy(&encoder);
	aur_encoder_destroy(NULL);
	aur_tokenizer_destroy(&tokenizer);
}

/* What is dropped behind the last token is counted too. */
static void finishing_counts_dropped_pieces_and_finds_tokens_that_are_left(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("char", "original", 0, "a");
	const struct aur_text texts[] = {{"ab12", 4}};
	struct aur_encoder *encoder = NULL;
	uint16_t tokens[2];
	int64_t count;
	assert_int_equal(aur_encoder_create(tokenizer, texts, 1, &encoder), AUR_OK);
	assert_int_equal(aur_encoder_count(encoder, 0, &count), AUR_OK);
	assert_int_equal(count, 2);
	assert_int_equal(aur_encoder_next(encoder, 2, 2, tokens, &count), AUR_OK);
	assert_int_equal(aur_encoder_unknown(encoder), 0);
	assert_int_equal(aur_encoder_finish(encoder), AUR_OK);
	assert_int_equal(aur_encoder_unknown(encoder), 2);
	assert_string_equal(aur_encoder_first_unknown(encoder), "1");
	aur_encoder_destroy(&encoder);
	assert_int_equal(aur_encoder_create(tokenizer, texts, 1, &encoder), AUR_OK);
	assert_int_equal(aur_encoder_finish(encoder), AUR_INTERNAL);
	aur_encoder_destroy(&encoder);
	aur_tokenizer_destroy(&tokenizer);
}

static void texts_that_are_not_utf8_are_refused(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = train("char", "none", 0, "a");
	const struct aur_text texts[] = {{"a", 1}, {"abc\xff", 4}};
	struct aur_encoder *encoder = NULL;
	assert_int_equal(aur_encoder_create(tokenizer, texts, 2, &encoder), AUR_INPUT);
	assert_non_null(strstr(aur_error_message(), "byte 3"));
	assert_null(encoder);
	aur_tokenizer_destroy(&tokenizer);
}

int main(void)
{
	step = (size_t)(SHIFTS / rounds_of(SHIFTS));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters_across_a_slice_edge_stay_whole),
		cmocka_unit_test(words_across_a_slice_edge_stay_whole),
		cmocka_unit_test(original_pieces_are_not_cut_at_line_ends),
		cmocka_unit_test(cleaning_sees_over_a_slice_edge),
		cmocka_unit_test(lower_case_sees_over_a_slice_edge),
		cmocka_unit_test(text_without_a_place_to_cut_is_one_slice),
		cmocka_unit_test(runs_make_the_tokens_of_the_texts),
		cmocka_unit_test(tally_has_every_token_that_was_written),
		cmocka_unit_test(finishing_counts_dropped_pieces_and_finds_tokens_that_are_left),
		cmocka_unit_test(texts_that_are_not_utf8_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
