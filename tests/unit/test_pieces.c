#include "rounds.h"

#include "text/jsonl.h"
#include "text/pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Texts of what decides about cuts: blanks, line ends of all kinds, letters whose lower case looks at its neighbours,
 * marks, digits, punctuation, and words. */
static const char *const bits[] = {" ", "  ", "\t", "\n", "\n\n\n", "\r\n", "\r", "a", "Word", "ΣΑΣ", "İ", "é",
	"\xe4\xb8\xad", "\xe2\x80\x83", "\x1c", "7", "don't", "\xef\xbb\xbf", "Σ", "x̄", "!", "。", "'", "\xc2\x85",
	"\xe3\x80\x80", "я"};

static uint32_t draw(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % below;
}

static struct aur_text make_text(uint32_t *state, char *buffer, size_t room)
{
	size_t used = 0;
	const uint32_t n = 1 + draw(state, 60);
	for (uint32_t i = 0; i < n; i++) {
		const char *bit = bits[draw(state, sizeof bits / sizeof *bits)];
		if (used + strlen(bit) >= room)
			break;
		memcpy(buffer + used, bit, strlen(bit));
		used += strlen(bit);
	}
	return (struct aur_text){buffer, used};
}

/* Cuts the text at random places that are allowed, and gives the pieces to `use`. */
static void cut(struct aur_text text, const struct aur_vocab *vocab, uint32_t *state,
	void (*use)(void *context, struct aur_text piece, int continued), void *context)
{
	size_t begin = 0;
	while (begin < text.size) {
		/* What lies before decides too: places are sought in the whole text, as a reader of files sees its
		 * surroundings. */
		const size_t from = begin + 1 + draw(state, 12);
		size_t place = from < text.size ? aur_text_place(vocab, text, from) : 0;
		if (place == 0)
			place = text.size;
		use(context, (struct aur_text){text.bytes + begin, place - begin}, begin > 0);
		begin = place;
	}
}

struct encoding {
	struct aur_pieces *pieces;
	uint32_t tokens[4096];
	int64_t count;
};

static void encode(void *context, struct aur_text piece, int continued)
{
	struct encoding *encoding = context;
	int64_t count;
	aur_pieces_begin(encoding->pieces, piece, continued);
	do {
		assert_int_equal(aur_pieces_next(encoding->pieces, 4, 3, encoding->tokens + encoding->count, &count), AUR_OK);
		encoding->count += count;
	} while (count == 3);
}

static void learn(void *context, struct aur_text piece, int continued)
{
	assert_int_equal(aur_vocab_trainer_add(context, piece, continued), AUR_OK);
}

static const struct aur_tokenizer_options kinds[] = {
	{.kind = "char", .clean = "none"},
	{.kind = "char", .clean = "basic"},
	{.kind = "char", .clean = "none", .lowercase = 1},
	{.kind = "char", .clean = "basic", .lowercase = 1},
	{.kind = "char", .clean = "original"},
	{.kind = "word", .clean = "none"},
	{.kind = "word", .clean = "basic", .min_count = 2},
	{.kind = "word", .clean = "none", .lowercase = 1},
	{.kind = "word", .clean = "basic", .lowercase = 1},
	{.kind = "word", .clean = "original"},
	{.kind = "bpe", .clean = "none", .vocab_size = 300, .specials = "<|endoftext|>"},
	{.kind = "bpe", .clean = "basic", .vocab_size = 280, .min_count = 2, .pattern = "gpt4"},
	{.kind = "bpe", .clean = "none", .lowercase = 1, .vocab_size = 400},
	{.kind = "bpe", .clean = "none", .vocab_size = 400, .pattern = "gpt4"},
	{.kind = "bpe", .clean = "basic", .vocab_size = 400},
};

enum { KINDS = sizeof kinds / sizeof *kinds, ROUNDS = 400 };

/* A character's trainer looks at all of Unicode in each round, so it gets a quarter of the rounds. */
static const struct aur_tokenizer_options *kind_of(int round)
{
	const struct aur_tokenizer_options *options = &kinds[round % KINDS];
	return strcmp(options->kind, "char") == 0 && round / KINDS % 4 != 0 ? NULL : options;
}

/* What prepare relies on: ranks, threads and units change nothing. */
static void pieces_have_the_tokens_of_the_whole(void **context)
{
	(void)context;
	uint32_t state = 7;
	char buffer[512];
	for (int round = 0; round < KINDS * rounds_of(ROUNDS); round++) {
		const struct aur_tokenizer_options *options = kind_of(round);
		const struct aur_text text = make_text(&state, buffer, sizeof buffer);
		struct aur_tokenizer *tokenizer = NULL;
		struct aur_ids ids = {0};
		static struct encoding encoding;
		encoding.count = 0;
		if (!options || aur_tokenizer_train(options, text.bytes, text.size, &tokenizer) != AUR_OK)
			continue;
		assert_int_equal(aur_tokenizer_encode(tokenizer, text.bytes, text.size, &ids), AUR_OK);
		assert_int_equal(aur_pieces_create(tokenizer, &encoding.pieces), AUR_OK);
		cut(text, aur_tokenizer_vocab(tokenizer), &state, encode, &encoding);
		assert_int_equal(encoding.count, ids.count);
		for (int64_t i = 0; i < ids.count; i++)
			assert_int_equal(encoding.tokens[i], ids.ids[i]);
		assert_int_equal(aur_pieces_unknown(encoding.pieces), ids.unknown);
		aur_pieces_destroy(&encoding.pieces);
		aur_ids_clear(&ids);
		aur_tokenizer_destroy(&tokenizer);
	}
}

/* As another process takes it in. */
static void carry(struct aur_vocab_trainer *from, struct aur_vocab_trainer *to)
{
	struct aur_text part;
	int64_t at = 0;
	do {
		assert_int_equal(aur_vocab_trainer_pack(from, &at, &part), AUR_OK);
		assert_int_equal(aur_vocab_trainer_unpack(to, part), AUR_OK);
	} while (part.size > 0);
}

/* More than one part, a word that is longer than a part, and a part that was cut. */
static void large_vocabularies_are_carried_in_parts(void **context)
{
	(void)context;
	enum { WORDS = 100000, LONG = 3 << 20 };
	const struct aur_tokenizer_options options = {.kind = "word", .clean = "none"};
	struct aur_vocab_trainer *trainers[2];
	struct aur_tokenizer *tokenizer;
	struct aur_text part;
	int64_t at = 0;
	char *text = malloc(LONG + 10 * WORDS), *end = text;
	assert_non_null(text);
	for (int i = 0; i < WORDS; i++)
		end += sprintf(end, "w%d ", i);
	memset(end, 'z', LONG);
	for (int i = 0; i < 2; i++)
		assert_int_equal(aur_vocab_trainer_create(&options, &trainers[i]), AUR_OK);
	learn(trainers[1], (struct aur_text){text, (size_t)(end - text) + LONG}, 0);
	carry(trainers[1], trainers[0]);
	assert_int_equal(aur_vocab_trainer_pack(trainers[1], &at, &part), AUR_OK);
	assert_in_range(part.size, 1000, 1 << 20);
	assert_int_equal(aur_vocab_trainer_unpack(trainers[1], (struct aur_text){part.bytes, part.size - 1}), AUR_INTERNAL);
	assert_int_equal(aur_vocab_trainer_finish(trainers[0], &tokenizer), AUR_OK);
	/* Beside the words there is the unknown one. */
	assert_int_equal(aur_tokenizer_vocab(tokenizer)->size, WORDS + 2);
	aur_tokenizer_destroy(&tokenizer);
	for (int i = 0; i < 2; i++)
		aur_vocab_trainer_destroy(&trainers[i]);
	free(text);
}

static void vocabulary_of_shared_pieces_is_that_of_the_whole(void **context)
{
	(void)context;
	uint32_t state = 11;
	char buffer[512];
	for (int round = 0; round < KINDS * rounds_of(ROUNDS); round++) {
		const struct aur_tokenizer_options *options = kind_of(round);
		const struct aur_text text = make_text(&state, buffer, sizeof buffer);
		struct aur_tokenizer *whole = NULL, *shared = NULL;
		struct aur_vocab_trainer *trainers[2];
		if (!options || aur_tokenizer_train(options, text.bytes, text.size, &whole) != AUR_OK)
			continue;
		for (int i = 0; i < 2; i++)
			assert_int_equal(aur_vocab_trainer_create(options, &trainers[i]), AUR_OK);
		const size_t half = aur_text_place(aur_vocab_trainer_vocab(trainers[0]), text, 1 + text.size / 2);
		const size_t first = half > 0 ? half : text.size;
		/* The later part first. */
		if (first < text.size)
			learn(trainers[0], (struct aur_text){text.bytes + first, text.size - first}, 1);
		learn(trainers[1], (struct aur_text){text.bytes, first}, 0);
		if (draw(&state, 2) == 0)
			assert_int_equal(aur_vocab_trainer_merge(trainers[0], trainers[1]), AUR_OK);
		else
			carry(trainers[1], trainers[0]);
		assert_int_equal(aur_vocab_trainer_finish(trainers[0], &shared), AUR_OK);
		assert_true(aur_vocab_hash(aur_tokenizer_vocab(whole)) == aur_vocab_hash(aur_tokenizer_vocab(shared)));
		assert_memory_equal(
			aur_tokenizer_figures(whole), aur_tokenizer_figures(shared), sizeof(struct aur_word_figures));
		for (int i = 0; i < 2; i++)
			aur_vocab_trainer_destroy(&trainers[i]);
		aur_tokenizer_destroy(&whole);
		aur_tokenizer_destroy(&shared);
	}
}

/* ---- JSON Lines ---- */

static void assert_line(const char *line, const char *field, const char *expected, size_t bytes)
{
	void *document;
	struct aur_text text;
	char why[128];
	assert_int_equal(aur_jsonl_text((struct aur_text){line, strlen(line)}, field, &document, &text, why), AUR_OK);
	assert_int_equal(text.size, bytes);
	assert_memory_equal(text.bytes, expected, bytes);
	aur_jsonl_release(document);
}

static void assert_no_document(const char *line, const char *expected)
{
	void *document;
	struct aur_text text;
	char why[128];
	assert_int_equal(aur_jsonl_text((struct aur_text){line, strlen(line)}, "text", &document, &text, why), AUR_INPUT);
	if (strncmp(why, expected, strlen(expected)) != 0 || strchr(why, '\n'))
		fail_msg("'%s' is not what '%s' begins with", expected, why);
}

static void texts_of_lines_are_unescaped(void **context)
{
	(void)context;
	assert_line("{\"text\": \"a\\n\\\"b\\\" \\u00e9\\ud83d\\ude00\"}", "text", "a\n\"b\" é😀", strlen("a\n\"b\" é😀"));
	assert_line("{\"id\": 7, \"body\": \"x\", \"text\": 5}\r", "body", "x", 1);
	assert_line("{\"text\": \"\"}", "text", "", 0);
	assert_line("{\"id\": 18446744073709551616, \"text\": \"x\"}", "text", "x", 1);
	assert_line("{\"text\": \"a\\u0000b\"}", "text", "a\0b", 3);
}

static void lines_without_a_document_say_why(void **context)
{
	(void)context;
	assert_no_document("{\"text\": \"a\"", "not JSON: ");
	assert_no_document("text", "not JSON: ");
	assert_no_document("{\"text\": \"\xff\"}", "not UTF-8");
	assert_no_document("{\"text\": \"\\ud800\"}", "not JSON: ");
	assert_no_document("[1]", "not a JSON object");
	assert_no_document("{\"txt\": \"a\"}", "no field \"text\"");
	assert_no_document("{\"text\": 1}", "its field \"text\" is no string");
	assert_true(aur_jsonl_blank((struct aur_text){" \t\r", 3}));
	assert_true(aur_jsonl_blank((struct aur_text){"", 0}));
	assert_false(aur_jsonl_blank((struct aur_text){" x", 2}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_have_the_tokens_of_the_whole),
		cmocka_unit_test(large_vocabularies_are_carried_in_parts),
		cmocka_unit_test(vocabulary_of_shared_pieces_is_that_of_the_whole),
		cmocka_unit_test(texts_of_lines_are_unescaped),
		cmocka_unit_test(lines_without_a_document_say_why),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
