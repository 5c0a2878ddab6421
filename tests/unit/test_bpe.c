/* Byte-level BPE. The small vocabulary of tests/golden serves where any will do. */
#include "bpe_kept.h"
#include "bpe_merge.h"
#include "core/crew.h"
#include "core/rng.h"
#include "io/file.h"
#include "regex.h"
#include "text/bpe.h"
#include "text/encoder.h"
#include "text/pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rounds.h"

#define VOCABULARY "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"Ġ\":3,\"ab\":4,\"abc\":5,\"Ġa\":6,\"ca\":7}"
#define MERGES "\"merges\":[\"a b\",\"ab c\",\"Ġ a\",\"c a\"]"
#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"
#define SPLITTING ",\"pre_tokenizer\":" BYTE_LEVEL

static struct aur_tokenizer *tokenizer_of(const struct aur_vocab *vocab)
{
	struct aur_tokenizer *tokenizer = NULL;
	if (aur_tokenizer_create(vocab, &tokenizer) != AUR_OK)
		fail_msg("%s", aur_error_message());
	return tokenizer;
}

static struct aur_tokenizer *tokenizer_of_json(const char *json)
{
	struct aur_vocab vocab = {0};
	if (aur_bpe_read_json(json, strlen(json), &vocab) != AUR_OK)
		fail_msg("%s", aur_error_message());
	struct aur_tokenizer *tokenizer = tokenizer_of(&vocab);
	aur_vocab_clear(&vocab);
	return tokenizer;
}

/* The 1,001 tokens of GPT-4's pattern. */
static void read_golden(struct aur_vocab *vocab)
{
	char *json;
	size_t bytes;
	if (aur_file_read("tests/golden/subwords-gpt4.json", INT32_MAX, &json, &bytes) != AUR_OK ||
		aur_bpe_read_json(json, bytes, vocab) != AUR_OK)
		fail_msg("%s", aur_error_message());
	free(json);
}

static void assert_ids_of(struct aur_tokenizer *tokenizer, const char *text, const int32_t *wanted, int64_t count)
{
	struct aur_ids ids = {0};
	assert_int_equal(aur_tokenizer_encode(tokenizer, text, strlen(text), &ids), AUR_OK);
	assert_int_equal(ids.count, count);
	assert_memory_equal(ids.ids, wanted, (size_t)count * sizeof *wanted);
	aur_ids_clear(&ids);
}

#define ASSERT_IDS(tokenizer, text, ...)                                                                               \
	assert_ids_of(tokenizer, text, (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / 4)

/* ---- merging ---- */

static void the_lowest_rank_is_merged_first_and_the_first_of_equal_ones(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer =
		tokenizer_of_json("{\"model\":{\"type\":\"BPE\"," VOCABULARY "," MERGES "}" SPLITTING "}");
	ASSERT_IDS(tokenizer, "abc", 5);
	ASSERT_IDS(tokenizer, "aab", 0, 4);
	ASSERT_IDS(tokenizer, "cab", 2, 4); /* "a b" comes before "c a" */
	ASSERT_IDS(tokenizer, "caca", 7, 7);
	ASSERT_IDS(tokenizer, "ab abcab a", 4, 3, 5, 4, 6);
	aur_tokenizer_destroy(&tokenizer);
}

enum { PIECE = 80 };

static int64_t rank_of(const struct aur_vocab *vocab, int64_t left, int64_t right)
{
	for (int64_t i = 0; i < vocab->n_merges; i++)
		if (vocab->merges[2 * i] == left && vocab->merges[2 * i + 1] == right)
			return i;
	return INT64_MAX;
}

static int64_t token_of(const struct aur_vocab *vocab, const char *bytes, int64_t size)
{
	for (int64_t id = 0; id < vocab->size; id++)
		if (vocab->offsets[id + 1] - vocab->offsets[id] == size &&
			memcmp(vocab->bytes + vocab->offsets[id], bytes, (size_t)size) == 0)
			return id;
	return -1;
}

/* As the mathematics says it: all pairs are looked at for every merge. begins[i] is where token i begins. */
static int64_t merge_plainly(const struct aur_vocab *vocab, const char *piece, int64_t size, int64_t *ids)
{
	int64_t begins[PIECE + 1], n = size;
	for (int64_t i = 0; i <= size; i++)
		begins[i] = i;
	for (int64_t i = 0; i < size; i++)
		ids[i] = token_of(vocab, piece + i, 1);
	for (;;) {
		int64_t best = INT64_MAX, at = 0;
		for (int64_t i = 0; i + 1 < n; i++)
			if (rank_of(vocab, ids[i], ids[i + 1]) < best) {
				best = rank_of(vocab, ids[i], ids[i + 1]);
				at = i;
			}
		if (best == INT64_MAX)
			return n;
		ids[at] = token_of(vocab, piece + begins[at], begins[at + 2] - begins[at]);
		memmove(&ids[at + 1], &ids[at + 2], (size_t)(n - at - 2) * sizeof *ids);
		memmove(&begins[at + 1], &begins[at + 2], (size_t)(n - at - 1) * sizeof *begins);
		n--;
	}
}

/* Short and long ones, which are merged in two ways. */
static void pieces_are_merged_as_the_mathematics_says(void **state)
{
	(void)state;
	static const char *const runs[] = {"th", "e", "ing", "and", "ou", "r", "s", "t", "hea", "l"};
	struct aur_vocab vocab = {0};
	read_golden(&vocab);
	struct aur_merges merges = {0};
	struct aur_merge_room room = {0};
	assert_int_equal(aur_merges_make(&vocab, &merges), AUR_OK);
	for (uint64_t number = 0; number < 120; number += (uint64_t)(120 / rounds_of(120))) {
		char piece[PIECE];
		int64_t wanted[PIECE], absent = 0;
		size_t size = 0, count;
		for (uint32_t i = 0; size < number % 60; i++) {
			const char *run = runs[aur_philox(3, i, 0, number).v[0] % 10];
			memcpy(piece + size, run, strlen(run));
			size += strlen(run);
		}
		const int64_t n = merge_plainly(&vocab, piece, (int64_t)size, wanted);
		assert_int_equal(aur_merge_piece(&merges, piece, size, &room, &count, &absent), AUR_OK);
		assert_int_equal(count, n);
		for (int64_t i = 0; i < n; i++)
			assert_int_equal(room.ids[i], wanted[i]);
	}
	aur_merge_room_clear(&room);
	aur_merges_clear(&merges);
	aur_vocab_clear(&vocab);
}

/* Long pieces are merged in parts, cut where no merge reaches over: the tokens are those of the whole. */
static void parts_of_long_pieces_do_not_show(void **state)
{
	(void)state;
	enum { BYTES = 300000, LETTERS = 26 };
	struct aur_vocab vocab = {0};
	struct aur_merges merges = {0};
	struct aur_merge_room room = {0};
	static char piece[BYTES];
	read_golden(&vocab);
	assert_int_equal(aur_merges_make(&vocab, &merges), AUR_OK);
	for (int trial = 0; trial < 20; trial += 20 / rounds_of(20)) {
		/* Of few letters, most of which are beside each other in some token, the parts are longer. */
		for (size_t i = 0; i < BYTES; i++)
			piece[i] = (char)('a' + aur_philox(7, (uint32_t)i, (uint32_t)trial, 0).v[0] % (LETTERS - (uint32_t)trial));
		int64_t absent = 0;
		size_t count, parts = 0, at = 0;
		assert_int_equal(aur_merge_piece(&merges, piece, BYTES, &room, &count, &absent), AUR_OK);
		uint32_t *whole = malloc(count * sizeof *whole);
		memcpy(whole, room.ids, count * sizeof *whole);
		for (size_t begin = 0, part, n; begin < BYTES; begin += part, parts++) {
			part = aur_merges_part(&merges, piece + begin, BYTES - begin);
			assert_int_equal(aur_merge_piece(&merges, piece + begin, part, &room, &n, &absent), AUR_OK);
			assert_true(at + n <= count);
			assert_memory_equal(whole + at, room.ids, n * sizeof *whole);
			at += n;
		}
		assert_int_equal(at, count);
		assert_true(trial > 5 || parts > 5);
		free(whole);
	}
	aur_merge_room_clear(&room);
	aur_merges_clear(&merges);
	aur_vocab_clear(&vocab);
}

static void merges_may_be_pairs(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer = tokenizer_of_json(
		"{\"model\":{\"type\":\"BPE\"," VOCABULARY ",\"merges\":[[\"a\",\"b\"],[\"ab\",\"c\"]]}" SPLITTING "}");
	ASSERT_IDS(tokenizer, "abc", 5);
	ASSERT_IDS(tokenizer, " a", 3, 0);
	aur_tokenizer_destroy(&tokenizer);
}

static void a_piece_that_is_a_token_may_pass_the_merges_by(void **state)
{
	(void)state;
	static const char *const json[] = {"{\"model\":{\"type\":\"BPE\",\"ignore_merges\":true," VOCABULARY
									   ",\"merges\":[]}" SPLITTING "}",
		"{\"model\":{\"type\":\"BPE\"," VOCABULARY ",\"merges\":[]}" SPLITTING "}"};
	struct aur_tokenizer *ignoring = tokenizer_of_json(json[0]), *merging = tokenizer_of_json(json[1]);
	ASSERT_IDS(ignoring, "abc a", 5, 6);
	ASSERT_IDS(merging, "abc a", 0, 1, 2, 3, 0);
	aur_tokenizer_destroy(&ignoring);
	aur_tokenizer_destroy(&merging);
}

static void bytes_without_a_token_are_dropped_and_counted(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer =
		tokenizer_of_json("{\"model\":{\"type\":\"BPE\"," VOCABULARY "," MERGES "}" SPLITTING "}");
	struct aur_ids ids = {0};
	assert_int_equal(aur_tokenizer_encode(tokenizer, "abxc ayz", 8, &ids), AUR_OK);
	assert_int_equal(ids.count, 2); /* abc, which the x does not part, and " a" */
	assert_int_equal(ids.unknown, 3);
	assert_string_equal(ids.first_unknown, "abxc");
	aur_ids_clear(&ids);
	aur_tokenizer_destroy(&tokenizer);
}

/* ---- added tokens ---- */

#define ADDED                                                                                                          \
	",\"added_tokens\":[{\"id\":8,\"content\":\"<x>\",\"special\":false},"                                             \
	"{\"id\":9,\"content\":\"<x>c\",\"special\":false},{\"id\":10,\"content\":\"<|endoftext|>\",\"special\":true}]"

static void added_tokens_are_found_the_longest_first_but_not_special_ones(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer =
		tokenizer_of_json("{\"model\":{\"type\":\"BPE\"," VOCABULARY "," MERGES "}" SPLITTING ADDED "}");
	ASSERT_IDS(tokenizer, "ab<x>ab<x>c<x>", 4, 8, 4, 9, 8);
	ASSERT_IDS(tokenizer, "a<|endoftext|>", 0); /* the rest has no tokens here */
	assert_int_equal(aur_vocab_end_of_text(aur_tokenizer_vocab(tokenizer)), 10);
	aur_tokenizer_destroy(&tokenizer);
}

/* ---- every text comes back ---- */

enum { ROUNDS = 3000, LONGEST = 60 };
#define TEXT ((size_t)rounds_of(3 << 20) / 3 * 3) /* bytes of a long one: several slices */

/* Bytes of any value, and now and then runs that patterns know. */
static size_t random_bytes(uint64_t number, size_t room, char *text)
{
	static const char *const runs[] = {
		" the", "  ", "\n", "\r\n", "'s", "123", "\xe4\xb8\xad", "\xc2\xa0", "word", " <x>"};
	size_t size = 0;
	for (uint32_t i = 0; size + 8 < room; i++) {
		const struct aur_random4 drawn = aur_philox(2, i, 0, number);
		if (drawn.v[0] % 4 == 0) {
			text[size++] = (char)(drawn.v[1] >> 24);
		} else {
			const char *run = runs[drawn.v[1] % 10];
			memcpy(text + size, run, strlen(run));
			size += strlen(run);
		}
	}
	return size;
}

static void random_bytes_come_back(void **state)
{
	(void)state;
	struct aur_vocab vocab = {0};
	read_golden(&vocab);
	struct aur_tokenizer *tokenizer = tokenizer_of(&vocab);
	for (uint64_t number = 0; number < (uint64_t)rounds_of(ROUNDS); number++) {
		char text[LONGEST], *decoded;
		struct aur_ids ids = {0};
		const size_t size = random_bytes(number, 9 + number % (LONGEST - 9), text);
		assert_int_equal(aur_tokenizer_encode(tokenizer, text, size, &ids), AUR_OK);
		assert_int_equal(aur_tokenizer_decode(tokenizer, ids.ids, ids.count, &decoded), AUR_OK);
		assert_memory_equal(decoded, text, size);
		assert_int_equal(decoded[size], '\0');
		free(decoded);
		aur_ids_clear(&ids);
	}
	aur_tokenizer_destroy(&tokenizer);
	aur_vocab_clear(&vocab);
}

/* ---- slices ---- */

struct stream {
	uint16_t *tokens;
	int64_t count;
};

/* In runs of odd sizes, so that they end within slices. */
static struct stream encode_all(struct aur_tokenizer *tokenizer, const struct aur_text *texts, int64_t n)
{
	enum { RUN = 9973 };
	struct aur_encoder *encoder = NULL;
	struct stream stream = {NULL, 0};
	size_t most = RUN; /* tokens: no byte is more than one */
	int64_t count, counted = 0;
	for (int64_t i = 0; i < n; i++)
		most += texts[i].size;
	stream.tokens = malloc(most * sizeof(uint16_t));
	assert_int_equal(aur_encoder_create(tokenizer, texts, n, &encoder), AUR_OK);
	for (int64_t i = 0; i < n; i++) {
		assert_int_equal(aur_encoder_count(encoder, i, &count), AUR_OK);
		counted += count;
	}
	do {
		assert_int_equal(aur_encoder_next(encoder, 2, RUN, stream.tokens + stream.count, &count), AUR_OK);
		stream.count += count;
	} while (count == RUN);
	assert_int_equal(stream.count, counted);
	assert_int_equal(aur_encoder_finish(encoder), AUR_OK);
	aur_encoder_destroy(&encoder);
	return stream;
}

static void assert_same_stream(struct stream wanted, struct stream other)
{
	assert_int_equal(other.count, wanted.count);
	assert_memory_equal(other.tokens, wanted.tokens, (size_t)wanted.count * sizeof *wanted.tokens);
	free(other.tokens);
}

/* Blanks are merged, so that it shows where a text was cut. */
static const char blank_merges[] =
	"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"w\":0,\"d\":1,\"!\":2,\"Ġ\":3,\"Ċ\":4,\"č\":5,\"ĠĠ\":6,"
	"\"ĊĊ\":7,\"!Ċ\":8,\"ĠĊ\":9,\"Ġ!\":10,\"Ġw\":11,\"čĊ\":12},"
	"\"merges\":[\"Ġ Ġ\",\"Ċ Ċ\",\"! Ċ\",\"Ġ Ċ\",\"Ġ !\",\"Ġ w\","
	"\"č Ċ\"]}" SPLITTING "}";

/* A regular expression of one's own is not cut: its tokens are those of the whole text at once. */
static void slices_do_not_show(void **state)
{
	(void)state;
	const char *const patterns[][2] = {
		{"gpt2", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"},
		{"gpt4", "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
				 "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}};
	enum { BLANKS = 5 * AUR_SLICE_BYTES };
	char *bytes = malloc(TEXT), *blanks = malloc(BLANKS);
	const struct aur_text text = {bytes, random_bytes(0, TEXT, bytes)};
	/* Short texts too, and empty ones, and one in which most blanks are no place to cut. */
	const struct aur_text texts[] = {{bytes, 5}, {bytes, 0}, {bytes + 100, 700}, text, {bytes, 1}, {blanks, BLANKS}};
	for (size_t i = 0; i < BLANKS; i++)
		blanks[i] = "word!  \n\n  \r\n !\n"[i % 17];
	struct aur_vocab vocab = {0};
	assert_int_equal(aur_bpe_read_json(blank_merges, strlen(blank_merges), &vocab), AUR_OK);
	for (int i = 0; i < 2; i++) {
		snprintf(vocab.pattern, sizeof vocab.pattern, "%s", patterns[i][1]);
		struct aur_tokenizer *whole = tokenizer_of(&vocab);
		snprintf(vocab.pattern, sizeof vocab.pattern, "%s", patterns[i][0]);
		struct aur_tokenizer *sliced = tokenizer_of(&vocab);
		const struct stream wanted = encode_all(whole, texts, 6);
		assert_same_stream(wanted, encode_all(sliced, texts, 6));
		free(wanted.tokens);
		aur_tokenizer_destroy(&whole);
		aur_tokenizer_destroy(&sliced);
	}
	aur_vocab_clear(&vocab);
	free(bytes);
	free(blanks);
}

/* Cut between "b" and " " the token would not be found. */
static void an_added_token_is_not_cut(void **state)
{
	(void)state;
	struct aur_vocab vocab = {0};
	static const char json[] = "{\"model\":{\"type\":\"BPE\"," VOCABULARY "," MERGES "}" SPLITTING
							   ",\"added_tokens\":[{\"id\":8,\"content\":\"b a\",\"special\":false}]}";
	assert_int_equal(aur_bpe_read_json(json, strlen(json), &vocab), AUR_OK);
	struct aur_tokenizer *tokenizer = tokenizer_of(&vocab);
	char *bytes = malloc(TEXT);
	for (size_t i = 0; i < TEXT; i++)
		bytes[i] = "b a"[i % 3];
	const struct aur_text text = {bytes, TEXT};
	const struct stream stream = encode_all(tokenizer, &text, 1);
	assert_int_equal(stream.count, TEXT / 3);
	free(stream.tokens);
	free(bytes);
	aur_tokenizer_destroy(&tokenizer);
	aur_vocab_clear(&vocab);
}

/* ---- training ---- */

static int times_asked;

static int stops_at_the_tenth(void)
{
	return ++times_asked > 9;
}

/* Merging takes long: a signal must not wait for its end. */
static void training_stops_when_it_is_asked_to(void **state)
{
	(void)state;
	struct aur_tokenizer_options options = {.kind = "bpe", .clean = "none", .vocab_size = 400};
	struct aur_tokenizer *tokenizer = NULL;
	static const char text[] = "the then there these they this that those thus than";
	assert_int_equal(aur_tokenizer_train(&options, text, strlen(text), &tokenizer), AUR_OK);
	assert_in_range(aur_tokenizer_vocab(tokenizer)->n_merges, 12, 100);
	aur_tokenizer_destroy(&tokenizer);
	options.wants_to_stop = stops_at_the_tenth;
	/* While pairs are counted, of ten words; and while they are merged. */
	for (int begin = 0; begin > -9; begin -= 8) {
		times_asked = begin;
		assert_int_equal(aur_tokenizer_train(&options, text, strlen(text), &tokenizer), AUR_STOPPED);
		assert_null(tokenizer);
		assert_int_equal(times_asked, 10);
	}
}

/* ---- threads ---- */

static struct aur_kept kept_of(uint64_t key, uint32_t id)
{
	return (struct aur_kept){.key = {key, 1}, .ids = {id, 0, 0}, .count = 1};
}

/* What is kept for all stays what it is, however much comes to its places. */
static void what_threads_share_is_written_once(void **state)
{
	(void)state;
	enum { MANY = 100 };
	struct aur_kept_pool *pool;
	assert_int_equal(aur_kept_pool_create(&pool), AUR_OK);
	uint32_t found = 0;
	for (uint32_t key = 0; key < MANY; key++) {
		struct aur_kept asked = kept_of(key, 0);
		assert_int_equal(aur_kept_pool_find(pool, 7, &asked), 0);
		const struct aur_kept kept = kept_of(key, 1000 + key);
		aur_kept_pool_add(pool, 7, &kept);
	}
	for (uint32_t key = 0; key < MANY; key++) {
		struct aur_kept asked = kept_of(key, 0);
		const int here = aur_kept_pool_find(pool, 7, &asked);
		assert_int_equal(asked.ids[0], here ? 1000 + key : 0);
		/* The first that came are there. */
		assert_true(!here || key == found);
		found += (uint32_t)here;
	}
	assert_in_range(found, 1, 16);
	aur_kept_pool_destroy(&pool);
}

enum { READERS = 4, SHARED_TEXT = 1 << 20 };

struct reader {
	const struct aur_tokenizer *tokenizer;
	struct aur_text text;
	uint16_t *tokens[READERS]; /* owned [SHARED_TEXT] */
	int64_t count[READERS];
};

static aur_status encode_beside_others(void *context, int member)
{
	struct reader *reader = context;
	struct aur_pieces *pieces = NULL;
	AUR_TRY(aur_pieces_create(reader->tokenizer, &pieces));
	aur_pieces_begin(pieces, reader->text, 0);
	const aur_status status = aur_pieces_next(pieces, 2, SHARED_TEXT, reader->tokens[member], &reader->count[member]);
	aur_pieces_destroy(&pieces);
	return status;
}

/* Threads take the tokens of short pieces from each other: the tokens are those of one thread alone. */
static void threads_do_not_show(void **state)
{
	(void)state;
	struct aur_vocab vocab = {0};
	read_golden(&vocab);
	struct aur_tokenizer *alone = tokenizer_of(&vocab), *shared = tokenizer_of(&vocab);
	char *bytes = malloc(SHARED_TEXT);
	struct reader reader = {.tokenizer = shared, .text = {bytes, random_bytes(3, SHARED_TEXT, bytes)}};
	const struct stream wanted = encode_all(alone, &reader.text, 1);
	struct aur_crew *crew;
	for (int i = 0; i < READERS; i++)
		reader.tokens[i] = malloc(SHARED_TEXT * sizeof(uint16_t));
	assert_int_equal(aur_crew_create(READERS, 1, &crew), AUR_OK);
	assert_int_equal(aur_crew_run(crew, encode_beside_others, &reader), AUR_OK);
	for (int i = 0; i < READERS; i++)
		assert_same_stream(wanted, (struct stream){reader.tokens[i], reader.count[i]});
	aur_crew_destroy(&crew);
	free(wanted.tokens);
	free(bytes);
	aur_tokenizer_destroy(&alone);
	aur_tokenizer_destroy(&shared);
	aur_vocab_clear(&vocab);
}

/* Merging looks at all neighbours only once. */
static void a_very_long_word_is_merged_in_a_moment(void **state)
{
	(void)state;
	struct aur_tokenizer *tokenizer =
		tokenizer_of_json("{\"model\":{\"type\":\"BPE\"," VOCABULARY "," MERGES "}" SPLITTING "}");
	char *bytes = malloc(TEXT);
	for (size_t i = 0; i < TEXT; i++)
		bytes[i] = "abc"[i % 3];
	struct aur_ids ids = {0};
	assert_int_equal(aur_tokenizer_encode(tokenizer, bytes, TEXT, &ids), AUR_OK);
	assert_int_equal(ids.count, TEXT / 3);
	aur_ids_clear(&ids);
	free(bytes);
	aur_tokenizer_destroy(&tokenizer);
}

/* ---- files ---- */

static void assert_refused(const char *json, const char *why)
{
	struct aur_vocab vocab = {0};
	assert_int_equal(aur_bpe_read_json(json, strlen(json), &vocab), AUR_INPUT);
	if (!strstr(aur_error_message(), why))
		fail_msg("'%s' does not say '%s'", aur_error_message(), why);
	aur_vocab_clear(&vocab);
}

#define MODEL "{\"model\":{\"type\":\"BPE\"," VOCABULARY "," MERGES "}"

static void what_is_not_supported_is_named(void **state)
{
	(void)state;
	assert_refused("{\"model\":{\"type\":\"WordPiece\"}}", "model WordPiece");
	assert_refused(
		"{\"model\":{\"type\":\"BPE\",\"dropout\":0.1," VOCABULARY "," MERGES "}" SPLITTING "}", "model dropout");
	assert_refused("{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true," VOCABULARY "," MERGES "}" SPLITTING "}",
		"byte_fallback");
	assert_refused(
		"{\"model\":{\"type\":\"BPE\",\"unk_token\":\"a\"," VOCABULARY "," MERGES "}" SPLITTING "}", "unk_token");
	assert_refused(MODEL SPLITTING ",\"normalizer\":{\"type\":\"NFC\"}}", "normalizer NFC");
	assert_refused(MODEL SPLITTING ",\"decoder\":{\"type\":\"Metaspace\"}}", "decoder Metaspace");
	assert_refused(MODEL "}", "pre_tokenizer null");
	assert_refused(MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\"}}", "pre_tokenizer Metaspace");
	assert_refused(MODEL ",\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}}", "add_prefix_space");
	assert_refused(MODEL
		",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"}," BYTE_LEVEL "]}}",
		"Digits");
	assert_refused(MODEL ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":"
						 "{\"Regex\":\"a\"},"
						 "\"behavior\":\"Isolated\",\"invert\":false}," BYTE_LEVEL "]}}",
		"splits once more");
	assert_refused(MODEL SPLITTING ",\"added_tokens\":[{\"id\":8,\"content\":\"x\",\"lstrip\":true}]}", "lstrip");
}

/* o200k's and such are taken; what PCRE2 reads otherwise than the engine they are written for is not. */
static void regular_expressions_have_one_meaning(void **state)
{
	(void)state;
	assert_int_equal(
		aur_regex_check("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{M}]*[\\p{Ll}]+(?i:'s|'t)?|\\p{N}{1,3}|\\s+(?!\\S)"), AUR_OK);
	static const char *const refused[] = {
		"\\w+", "[a[bc]]", "[\\p{L}&&[a-z]]", "^a", "a$", "\\p{N}{1,3}+", "\\bx", "[[:alpha:]]", "a\\"};
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (aur_regex_check(refused[i]) != AUR_INPUT)
			fail_msg("'%s' is taken", refused[i]);
}

static void what_is_damaged_is_told(void **state)
{
	(void)state;
	assert_refused("{\"model\":", "no JSON: line 1");
	assert_refused("[]", "no model");
	assert_refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}" SPLITTING "}",
		"both have the number 0");
	assert_refused(
		"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}" SPLITTING "}", "no number from 0");
	assert_refused(
		"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":9000000000},\"merges\":[]}" SPLITTING "}", "no number from 0");
	assert_refused(
		"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\u4e2d\":0},\"merges\":[]}" SPLITTING "}", "stands for no byte");
	assert_refused(
		"{\"model\":{\"type\":\"BPE\"," VOCABULARY ",\"merges\":[\"a x\"]}" SPLITTING "}", "merge 0: 'x' is no token");
	assert_refused("{\"model\":{\"type\":\"BPE\"," VOCABULARY ",\"merges\":[\"ab\"]}" SPLITTING "}", "no pair");
	assert_refused(MODEL SPLITTING ",\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]}", "both have the number 1");
}

/* The two tokens of a merge have to make a third: else merging would leave the vocabulary. */
static void a_merge_to_nothing_makes_no_tokenizer(void **state)
{
	(void)state;
	static const char json[] = "{\"model\":{\"type\":\"BPE\"," VOCABULARY ",\"merges\":[\"b c\"]}" SPLITTING "}";
	struct aur_vocab vocab = {0};
	struct aur_tokenizer *tokenizer = NULL;
	assert_int_equal(aur_bpe_read_json(json, strlen(json), &vocab), AUR_OK);
	assert_int_equal(aur_tokenizer_create(&vocab, &tokenizer), AUR_INPUT);
	assert_non_null(strstr(aur_error_message(), "makes no token"));
	aur_vocab_clear(&vocab);
}

static void assert_comes_back(const struct aur_vocab *vocab)
{
	char *json = NULL;
	struct aur_vocab back = {0};
	if (aur_bpe_write_json(vocab, &json) != AUR_OK || aur_bpe_read_json(json, strlen(json), &back) != AUR_OK)
		fail_msg("%s", aur_error_message());
	assert_int_equal(aur_vocab_hash(&back), aur_vocab_hash(vocab));
	aur_vocab_clear(&back);
	free(json);
}

static void a_saved_vocabulary_is_the_same(void **state)
{
	(void)state;
	struct aur_vocab vocab = {0};
	static const char json[] =
		"{\"model\":{\"type\":\"BPE\",\"ignore_merges\":true," VOCABULARY "," MERGES "}" SPLITTING ADDED "}";
	read_golden(&vocab);
	assert_comes_back(&vocab);
	snprintf(vocab.pattern, sizeof vocab.pattern, "\\p{L}+|\"");
	assert_comes_back(&vocab);
	aur_vocab_clear(&vocab);
	assert_int_equal(aur_bpe_read_json(json, strlen(json), &vocab), AUR_OK);
	assert_comes_back(&vocab);
	aur_vocab_clear(&vocab);
}

static void everything_counts_for_the_hash(void **state)
{
	(void)state;
	struct aur_vocab vocab = {0};
	static const char json[] = "{\"model\":{\"type\":\"BPE\"," VOCABULARY "," MERGES "}" SPLITTING ADDED "}";
	assert_int_equal(aur_bpe_read_json(json, strlen(json), &vocab), AUR_OK);
	const uint64_t hash = aur_vocab_hash(&vocab);
	vocab.added[1] = 1;
	assert_int_not_equal(aur_vocab_hash(&vocab), hash);
	vocab.added[1] = 0;
	vocab.ignore_merges = 1;
	assert_int_not_equal(aur_vocab_hash(&vocab), hash);
	vocab.ignore_merges = 0;
	vocab.pattern[3] = '4';
	assert_int_not_equal(aur_vocab_hash(&vocab), hash);
	vocab.pattern[3] = '2';
	assert_int_equal(aur_vocab_hash(&vocab), hash);
	aur_vocab_clear(&vocab);
}

static void gpt2_files_mark_what_no_text_gives_as_special(void **state)
{
	(void)state;
	static const char tokens[] = "{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3}",
					  merges[] = "#version: 0.2\r\na b\r\n";
	struct aur_vocab vocab = {0};
	assert_int_equal(aur_bpe_read_files(tokens, strlen(tokens), merges, strlen(merges), &vocab), AUR_OK);
	assert_int_equal(vocab.n_merges, 1);
	assert_int_equal(vocab.n_added, 1);
	assert_int_equal(aur_vocab_end_of_text(&vocab), 3);
	aur_vocab_clear(&vocab);
}

static void a_character_is_whole_with_its_last_byte(void **state)
{
	(void)state;
	assert_int_equal(aur_utf8_whole("a\xf0\x9f\x98", 4), 1);
	assert_int_equal(aur_utf8_whole("a\xf0\x9f\x98\x80", 5), 5);
	assert_int_equal(aur_utf8_whole("\xc3", 1), 0);
	assert_int_equal(aur_utf8_whole("\x80\x80", 2), 2);
	assert_int_equal(aur_utf8_whole("", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_rank_is_merged_first_and_the_first_of_equal_ones),
		cmocka_unit_test(pieces_are_merged_as_the_mathematics_says),
		cmocka_unit_test(parts_of_long_pieces_do_not_show),
		cmocka_unit_test(merges_may_be_pairs),
		cmocka_unit_test(a_piece_that_is_a_token_may_pass_the_merges_by),
		cmocka_unit_test(bytes_without_a_token_are_dropped_and_counted),
		cmocka_unit_test(added_tokens_are_found_the_longest_first_but_not_special_ones),
		cmocka_unit_test(random_bytes_come_back),
		cmocka_unit_test(slices_do_not_show),
		cmocka_unit_test(training_stops_when_it_is_asked_to),
		cmocka_unit_test(what_threads_share_is_written_once),
		cmocka_unit_test(threads_do_not_show),
		cmocka_unit_test(an_added_token_is_not_cut),
		cmocka_unit_test(a_very_long_word_is_merged_in_a_moment),
		cmocka_unit_test(what_is_not_supported_is_named),
		cmocka_unit_test(regular_expressions_have_one_meaning),
		cmocka_unit_test(what_is_damaged_is_told),
		cmocka_unit_test(a_merge_to_nothing_makes_no_tokenizer),
		cmocka_unit_test(a_saved_vocabulary_is_the_same),
		cmocka_unit_test(everything_counts_for_the_hash),
		cmocka_unit_test(gpt2_files_mark_what_no_text_gives_as_special),
		cmocka_unit_test(a_character_is_whole_with_its_last_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
