/* Ids of byte-level BPE against those of tiktoken and Hugging Face's tokenizers (make_subwords.py wrote subwords.tsv).
 * The first argument says with which vocabulary: "gpt4", a small one that lies beside it, or "gpt2", GPT-2's. A second
 * one, "texts", takes whole books in place of the strings. */
#include "text/bpe.h"
#include "text/tokenizer.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SKIP_CODE = 77, FIELDS = 5, LEAST_STRINGS = 1000 };

static const char *data_folder, *vocabulary;
static struct aur_tokenizer *tokenizer;

/* The file in the folder, terminated; NULL when it is not there. */
static char *read_file(const char *folder, const char *name, size_t *bytes)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *stream = fopen(path, "rb");
	if (!stream) {
		printf("SKIP: %s is not there (AURELIUS_DATA names the folder)\n", path);
		return NULL;
	}
	fseek(stream, 0, SEEK_END);
	const long size = ftell(stream);
	rewind(stream);
	char *text = malloc((size_t)size + 1);
	if (text && fread(text, 1, (size_t)size, stream) == (size_t)size)
		text[size] = '\0';
	fclose(stream);
	*bytes = (size_t)size;
	return text;
}

/* ---- lines of subwords.tsv ---- */

static char *next_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n');
	if (!end)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return line;
}

static void split_fields(char *line, char *fields[FIELDS])
{
	for (int i = 0; i < FIELDS; i++) {
		char *end = line ? strchr(line, '\t') : NULL;
		fields[i] = line;
		if (end)
			*end = '\0';
		line = end ? end + 1 : NULL;
	}
}

static size_t from_hexadecimal(const char *digits, char *bytes)
{
	const size_t size = strlen(digits) / 2;
	for (size_t i = 0; i < size; i++) {
		unsigned byte;
		sscanf(digits + 2 * i, "%2x", &byte);
		bytes[i] = (char)byte;
	}
	return size;
}

/* ---- what is compared ---- */

static void assert_ids(const char *wanted, const struct aur_ids *ids, const char *hexadecimal)
{
	const char *at = wanted;
	for (int64_t i = 0; i < ids->count; i++) {
		char *end;
		if (strtol(at, &end, 10) != ids->ids[i] || end == at)
			fail_msg("%s: token %" PRId64 " is %d, has to be one of: %s", hexadecimal, i, ids->ids[i], wanted);
		at = end;
	}
	if (*at != '\0')
		fail_msg("%s: %" PRId64 " tokens are too few: %s", hexadecimal, ids->count, wanted);
}

static void assert_decodes(const struct aur_ids *ids, const char *text, size_t bytes)
{
	char *decoded;
	assert_int_equal(aur_tokenizer_decode(tokenizer, ids->ids, ids->count, &decoded), AUR_OK);
	assert_memory_equal(decoded, text, bytes);
	assert_int_equal(decoded[bytes], '\0');
	free(decoded);
}

static void check_string(const char *hexadecimal, const char *wanted)
{
	char *text = malloc(strlen(hexadecimal) / 2 + 1);
	assert_non_null(text);
	struct aur_ids ids = {0};
	const size_t bytes = from_hexadecimal(hexadecimal, text);
	assert_int_equal(aur_tokenizer_encode(tokenizer, text, bytes, &ids), AUR_OK);
	assert_ids(wanted, &ids, hexadecimal);
	assert_decodes(&ids, text, bytes);
	aur_ids_clear(&ids);
	free(text);
}

static uint64_t hash_of(const struct aur_ids *ids)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (int64_t i = 0; i < ids->count; i++)
		for (int byte = 0; byte < 4; byte++)
			hash = (hash ^ ((uint32_t)ids->ids[i] >> 8 * byte & 255)) * 0x100000001b3u;
	return hash;
}

static void strings_have_the_ids_of_other_libraries(void **state)
{
	(void)state;
	size_t bytes;
	char *golden = read_file(AUR_GOLDEN_FOLDER, "subwords.tsv", &bytes), *at = golden, *line, *fields[FIELDS];
	int strings = 0;
	assert_non_null(golden);
	while ((line = next_line(&at))) {
		split_fields(line, fields);
		if (strcmp(fields[0], "#") == 0)
			continue;
		check_string(fields[0], fields[strcmp(vocabulary, "gpt2") == 0 ? 1 : 2]);
		strings++;
	}
	assert_true(strings >= LEAST_STRINGS);
	free(golden);
}

static void whole_texts_have_the_ids_of_other_libraries(void **state)
{
	(void)state;
	size_t bytes, text_bytes;
	char *golden = read_file(AUR_GOLDEN_FOLDER, "subwords.tsv", &bytes), *at = golden, *line, *fields[FIELDS];
	int texts = 0;
	assert_non_null(golden);
	while ((line = next_line(&at))) {
		split_fields(line, fields);
		if (strcmp(fields[0], "#") != 0 || strcmp(fields[2], vocabulary) != 0)
			continue;
		struct aur_ids ids = {0};
		char *text = read_file(data_folder, fields[1], &text_bytes);
		assert_non_null(text);
		assert_int_equal(aur_tokenizer_encode(tokenizer, text, text_bytes, &ids), AUR_OK);
		assert_int_equal(ids.count, strtoll(fields[3], NULL, 10));
		assert_int_equal(hash_of(&ids), strtoull(fields[4], NULL, 16));
		assert_decodes(&ids, text, text_bytes);
		aur_ids_clear(&ids);
		free(text);
		texts++;
	}
	assert_int_equal(texts, 2);
	free(golden);
}

/* ---- vocabularies ---- */

static aur_status read_gpt4(struct aur_vocab *vocab)
{
	size_t bytes = 0;
	char *json = read_file(AUR_GOLDEN_FOLDER, "subwords-gpt4.json", &bytes);
	const aur_status status = json ? aur_bpe_read_json(json, bytes, vocab) : AUR_INPUT;
	free(json);
	return status;
}

/* Whether the books are there. */
static int find_texts(void)
{
	static const char *const names[] = {"meditations.txt", "shakespeare.txt"};
	int found = 0;
	for (int i = 0; i < 2; i++) {
		size_t bytes;
		char *text = read_file(data_folder, names[i], &bytes);
		found += text != NULL;
		free(text);
	}
	return found == 2;
}

/* Returns 0 when the files are not there. */
static int read_gpt2(struct aur_vocab *vocab, aur_status *status)
{
	size_t tokens_bytes = 0, merges_bytes = 0;
	char *tokens = read_file(data_folder, "gpt2/encoder.json", &tokens_bytes);
	char *merges = read_file(data_folder, "gpt2/vocab.bpe", &merges_bytes);
	const int there = tokens && merges;
	if (there)
		*status = aur_bpe_read_files(tokens, tokens_bytes, merges, merges_bytes, vocab);
	free(tokens);
	free(merges);
	return there;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest strings[] = {cmocka_unit_test(strings_have_the_ids_of_other_libraries)};
	const struct CMUnitTest texts[] = {cmocka_unit_test(whole_texts_have_the_ids_of_other_libraries)};
	struct aur_vocab vocab = {0};
	aur_status status = AUR_OK;
	const int whole = argc > 2 && strcmp(argv[2], "texts") == 0;
	vocabulary = argc > 1 ? argv[1] : "gpt4";
	data_folder = getenv("AURELIUS_DATA") ? getenv("AURELIUS_DATA") : "../shared/data";
	if (whole && !find_texts())
		return SKIP_CODE;
	if (strcmp(vocabulary, "gpt4") == 0)
		status = read_gpt4(&vocab);
	else if (!read_gpt2(&vocab, &status))
		return SKIP_CODE;
	if (status == AUR_OK)
		status = aur_tokenizer_create(&vocab, &tokenizer);
	aur_vocab_clear(&vocab);
	if (status != AUR_OK) {
		fprintf(stderr, "%s\n", aur_error_message());
		return 1;
	}
	const int failed = whole ? cmocka_run_group_tests(texts, NULL, NULL) : cmocka_run_group_tests(strings, NULL, NULL);
	aur_tokenizer_destroy(&tokenizer);
	return failed;
}
