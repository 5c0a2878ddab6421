/* Vocabularies of subwords against those of Hugging Face's trainer (make_bpe_golden.py wrote bpe_train.json). */
#include "text/tokenizer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXT_MAX = 2 << 20, SPECIALS_BYTES = 256, TRAINERS_MAX = 3, SKIP_CODE = 77 };

static json_t *golden;
static int missing; /* texts */
static char text_bytes[TEXT_MAX];

/* 0: it is not there. */
static size_t read_text(const char *name)
{
	char path[4096];
	const char *folder = getenv("AURELIUS_DATA");
	if (strcmp(name, "bpe_small.txt") == 0)
		folder = AUR_GOLDEN_FOLDER;
	snprintf(path, sizeof path, "%s/%s", folder ? folder : "../shared/data", name);
	FILE *stream = fopen(path, "rb");
	if (!stream)
		return 0;
	const size_t bytes = fread(text_bytes, 1, sizeof text_bytes, stream);
	fclose(stream);
	assert_in_range(bytes, 1, TEXT_MAX - 1);
	return bytes;
}

/* ---- training in pieces ---- */

/* The specials as the options have them. */
static void list_specials(const json_t *names, char list[SPECIALS_BYTES])
{
	const json_t *name;
	size_t i;
	list[0] = '\0';
	json_array_foreach(names, i, name)
	{
		assert_true(strlen(list) + strlen(json_string_value(name)) + 2 < SPECIALS_BYTES);
		strcat(strcat(list, i > 0 ? "," : ""), json_string_value(name));
	}
}

/* Takes turns of some hundred bytes, as threads would; one trainer is given the text as it is. */
static void add_text(struct aur_vocab_trainer **trainers, int n, struct aur_text text)
{
	const struct aur_vocab *rules = aur_vocab_trainer_vocab(trainers[0]);
	for (int turn = 0, continued = 0; text.size > 0; turn++, continued = 1) {
		const size_t place = n > 1 && text.size > 300 ? aur_text_place(rules, text, 300) : 0;
		const struct aur_text piece = {text.bytes, place > 0 ? place : text.size};
		assert_int_equal(aur_vocab_trainer_add(trainers[turn % n], piece, continued), AUR_OK);
		text = (struct aur_text){text.bytes + piece.size, text.size - piece.size};
	}
}

static struct aur_tokenizer *train(const json_t *golden_case, size_t bytes, int n)
{
	char specials[SPECIALS_BYTES];
	struct aur_vocab_trainer *trainers[TRAINERS_MAX] = {NULL};
	struct aur_tokenizer *tokenizer = NULL;
	const struct aur_tokenizer_options options = {
		.kind = "bpe",
		.clean = "none",
		.pattern = json_string_value(json_object_get(golden_case, "pattern")),
		.vocab_size = json_integer_value(json_object_get(golden_case, "vocab_size")),
		.min_count = json_integer_value(json_object_get(golden_case, "min_count")),
		.specials = specials,
	};
	list_specials(json_object_get(golden_case, "specials"), specials);
	for (int i = 0; i < n; i++)
		if (aur_vocab_trainer_create(&options, &trainers[i]) != AUR_OK)
			fail_msg("%s", aur_error_message());
	add_text(trainers, n, (struct aur_text){text_bytes, bytes});
	for (int i = 1; i < n; i++)
		assert_int_equal(aur_vocab_trainer_merge(trainers[0], trainers[i]), AUR_OK);
	if (aur_vocab_trainer_finish(trainers[0], &tokenizer) != AUR_OK)
		fail_msg("%s", aur_error_message());
	for (int i = 0; i < n; i++)
		aur_vocab_trainer_destroy(&trainers[i]);
	return tokenizer;
}

/* ---- comparing ---- */

static uint64_t hash_of_merges(const struct aur_vocab *vocab)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (int64_t i = 0; i < 2 * vocab->n_merges; i++)
		for (int byte = 0; byte < 4; byte++)
			hash = (hash ^ ((uint64_t)vocab->merges[i] >> 8 * byte & 0xff)) * 0x100000001b3u;
	return hash;
}

/* `pairs` are the merges from `first` on. */
static void assert_merges(const struct aur_vocab *vocab, const json_t *pairs, int64_t first)
{
	const json_t *pair;
	size_t i;
	json_array_foreach(pairs, i, pair)
	{
		const int64_t merge = first + (int64_t)i;
		const int64_t left = json_integer_value(json_array_get(pair, 0));
		const int64_t right = json_integer_value(json_array_get(pair, 1));
		if (vocab->merges[2 * merge] != left || vocab->merges[2 * merge + 1] != right)
			fail_msg("merge %lld is (%lld, %lld), not (%lld, %lld)", (long long)merge,
				(long long)vocab->merges[2 * merge], (long long)vocab->merges[2 * merge + 1], (long long)left,
				(long long)right);
	}
}

static void assert_golden(const json_t *golden_case, const struct aur_vocab *vocab)
{
	char hash[17];
	const int64_t n = json_integer_value(json_object_get(golden_case, "n_merges"));
	assert_int_equal(vocab->n_merges, n);
	assert_int_equal(vocab->size, json_integer_value(json_object_get(golden_case, "tokens")));
	assert_merges(vocab, json_object_get(golden_case, "merges"), 0);
	assert_merges(vocab, json_object_get(golden_case, "first"), 0);
	const json_t *last = json_object_get(golden_case, "last");
	assert_merges(vocab, last, n - (int64_t)json_array_size(last));
	snprintf(hash, sizeof hash, "%016llx", (unsigned long long)hash_of_merges(vocab));
	assert_string_equal(hash, json_string_value(json_object_get(golden_case, "hash")));
}

static void check_text(const char *name)
{
	const json_t *golden_case;
	size_t i;
	int checked = 0;
	const size_t bytes = read_text(name);
	if (bytes == 0) {
		print_message("SKIP: %s is not there (AURELIUS_DATA names the folder)\n", name);
		missing++;
		skip();
	}
	json_array_foreach(json_object_get(golden, "cases"), i, golden_case)
	{
		if (strcmp(json_string_value(json_object_get(golden_case, "text")), name) != 0)
			continue;
		for (int trainers = 1; trainers <= TRAINERS_MAX; trainers++) {
			struct aur_tokenizer *tokenizer = train(golden_case, bytes, trainers);
			assert_golden(golden_case, aur_tokenizer_vocab(tokenizer));
			aur_tokenizer_destroy(&tokenizer);
		}
		checked++;
	}
	assert_true(checked > 0);
}

static void small_text(void **state)
{
	(void)state;
	check_text("bpe_small.txt");
}

static void meditations(void **state)
{
	(void)state;
	check_text("meditations.txt");
}

static void shakespeare(void **state)
{
	(void)state;
	check_text("shakespeare.txt");
}

/* With an argument: the real texts. One that is missing makes the whole a skip, after the other was checked. */
int main(int argc, char **argv)
{
	json_error_t error;
	const struct CMUnitTest small[] = {cmocka_unit_test(small_text)};
	const struct CMUnitTest real[] = {cmocka_unit_test(meditations), cmocka_unit_test(shakespeare)};
	(void)argv;
	golden = json_load_file(AUR_GOLDEN_FOLDER "/bpe_train.json", 0, &error);
	if (!golden) {
		fprintf(stderr, "bpe_train.json: %s\n", error.text);
		return 1;
	}
	const int failed = argc > 1 ? cmocka_run_group_tests(real, NULL, NULL) : cmocka_run_group_tests(small, NULL, NULL);
	json_decref(golden);
	return failed == 0 && missing > 0 ? SKIP_CODE : failed;
}
