#include "io/hdf5.h"
#include "io/tokens.h"
#include "io_helpers.h"

#include <sys/stat.h>

enum { VOCAB = 30 };

static int32_t token_at(int64_t i, int64_t vocab)
{
	return (int32_t)((uint64_t)i * 2654435761u % (uint64_t)vocab);
}

static int32_t *make_ids(int64_t count, int64_t vocab)
{
	int32_t *ids = malloc(((size_t)count + 1) * sizeof *ids);
	assert_non_null(ids);
	for (int64_t i = 0; i < count; i++)
		ids[i] = token_at(i, vocab);
	return ids;
}

static aur_status try_write(const char *path, int64_t train, int64_t val, int64_t vocab_size, int compress)
{
	const struct aur_vocab vocab = letters(vocab_size);
	const int64_t documents[] = {0, 2, train, train + 1};
	int32_t *ids = make_ids(train + val, vocab_size);
	const struct aur_tokens_create create = {.path = path,
		.vocab = &vocab,
		.sources = "a.txt\nb.txt",
		.compress = compress,
		.ids = ids,
		.train_tokens = train,
		.val_tokens = val,
		.documents = documents,
		.n_documents = 4};
	const aur_status status = aur_tokens_write(&create);
	free(ids);
	return status;
}

static void assert_reads(
	struct aur_tokens *tokens, enum aur_split split, int64_t begin, int64_t count, int64_t first, int64_t vocab)
{
	int32_t *out = malloc(((size_t)count + 1) * sizeof *out);
	assert_non_null(out);
	out[count] = -7;
	assert_ok(aur_tokens_read(tokens, split, begin, count, out));
	for (int64_t i = 0; i < count; i++)
		if (out[i] != token_at(first + begin + i, vocab))
			fail_msg("token %lld is %d", (long long)(begin + i), out[i]);
	assert_int_equal(out[count], -7);
	free(out);
}

static void round_trip(void **state, int64_t train, int64_t val, int64_t vocab, int compress)
{
	const char *path = in_folder(state, "tokens.h5");
	assert_ok(try_write(path, train, val, vocab, compress));
	struct aur_tokens *tokens;
	assert_ok(aur_tokens_open(path, &tokens));
	assert_int_equal(aur_tokens_info(tokens)->train_tokens, train);
	assert_int_equal(aur_tokens_info(tokens)->val_tokens, val);
	assert_int_equal(aur_tokens_info(tokens)->compressed, compress);
	assert_int_equal(aur_tokens_info(tokens)->token_bytes, vocab <= 65536 ? 2 : 4);
	assert_string_equal(aur_tokens_info(tokens)->sources, "a.txt\nb.txt");
	const struct aur_vocab expected = letters(vocab);
	assert_true(aur_vocab_hash(aur_tokens_vocab(tokens)) == aur_vocab_hash(&expected));
	assert_reads(tokens, AUR_TRAIN, 0, train, 0, vocab);
	assert_reads(tokens, AUR_VAL, 0, val, train, vocab);
	for (int64_t begin = 0; begin + 65 < train; begin += train / 7 + 1)
		assert_reads(tokens, AUR_TRAIN, begin, 65, 0, vocab);
	assert_ok(aur_tokens_verify(tokens));
	aur_tokens_close(&tokens);
	assert_null(tokens);
}

static void small_dataset_comes_back(void **state)
{
	round_trip(state, 5, 2, VOCAB, 0);
}

/* More than one checksum block in both splits, none ending on a block's border. */
static void tokens_over_several_blocks_come_back(void **state)
{
	round_trip(state, 1200001, 600001, VOCAB, 0);
}

static void block_borders_are_exact(void **state)
{
	round_trip(state, 524288, 524289, VOCAB, 0);
}

static void vocabulary_beyond_16_bits_uses_four_bytes(void **state)
{
	round_trip(state, 300000, 10, 65537, 0);
	round_trip(state, 3000, 10, 65536, 0);
}

static void compressed_dataset_comes_back(void **state)
{
	round_trip(state, 200001, 66000, VOCAB, 1);
	round_trip(state, 5, 2, VOCAB, 1);
	round_trip(state, 70000, 3, 65537, 1);
}

/* More chunks than are kept, so that slots are used again. */
static void compressed_reads_in_any_order(void **state)
{
	const char *path = in_folder(state, "tokens.h5");
	struct aur_tokens *tokens;
	assert_ok(try_write(path, 70 * 65536, 3, VOCAB, 1));
	assert_ok(aur_tokens_open(path, &tokens));
	for (int64_t i = 0; i < 200; i++)
		assert_reads(tokens, AUR_TRAIN, i * 7919 * 97 % (70 * 65536 - 100), 100, 0, VOCAB);
	aur_tokens_close(&tokens);
}

static void empty_validation_part_is_allowed(void **state)
{
	round_trip(state, 100, 0, VOCAB, 0);
	round_trip(state, 100, 0, VOCAB, 1);
}

static void reading_past_the_end_is_a_shape_error(void **state)
{
	const char *path = in_folder(state, "tokens.h5");
	struct aur_tokens *tokens;
	int32_t out[4];
	assert_ok(try_write(path, 10, 3, VOCAB, 0));
	assert_ok(aur_tokens_open(path, &tokens));
	assert_int_equal(aur_tokens_read(tokens, AUR_TRAIN, 8, 3, out), AUR_SHAPE);
	assert_int_equal(aur_tokens_read(tokens, AUR_TRAIN, -1, 2, out), AUR_SHAPE);
	assert_int_equal(aur_tokens_read(tokens, AUR_TRAIN, 1, INT64_MAX, out), AUR_SHAPE);
	assert_int_equal(aur_tokens_read(tokens, AUR_VAL, 0, 4, out), AUR_SHAPE);
	aur_tokens_close(&tokens);
}

/* A caller's mistake must not become a file that no reader accepts. */
static void token_outside_the_vocabulary_is_not_written(void **state)
{
	const char *path = in_folder(state, "tokens.h5");
	const struct aur_vocab vocab = letters(3);
	const struct aur_tokens_create create = {
		.path = path, .vocab = &vocab, .ids = (const int32_t[]){0, 3}, .train_tokens = 1, .val_tokens = 1};
	assert_int_equal(aur_tokens_write(&create), AUR_INTERNAL);
	assert_int_equal(files_in(((struct folder *)*state)->path), 0);
}

/* ---- tokens that come in runs ---- */

struct source {
	int64_t at, vocab;
	int64_t fails_at; /* -1: never */
	int64_t stranger; /* added to every token */
};

static aur_status next_tokens(void *context, int token_bytes, int64_t count, void *tokens)
{
	struct source *source = context;
	for (int64_t i = 0; i < count; i++, source->at++) {
		const int64_t token = token_at(source->at, source->vocab) + source->stranger;
		if (source->at == source->fails_at)
			return aur_fail(AUR_MEMORY, "the source has run dry");
		if (token_bytes == 2)
			((uint16_t *)tokens)[i] = (uint16_t)token;
		else
			((uint32_t *)tokens)[i] = (uint32_t)token;
	}
	return AUR_OK;
}

static aur_status write_from(const char *path, struct source *source, int64_t train, int64_t val)
{
	const struct aur_vocab vocab = letters(source->vocab);
	const struct aur_tokens_create create = {.path = path,
		.vocab = &vocab,
		.next = next_tokens,
		.context = source,
		.train_tokens = train,
		.val_tokens = val};
	return aur_tokens_write(&create);
}

/* The training part ends within a run, and its last block is not full. */
static void tokens_that_come_in_runs_are_written_in_order(void **state)
{
	const char *path = in_folder(state, "tokens.h5");
	static const int64_t vocabularies[] = {VOCAB, 65537};
	for (int i = 0; i < 2; i++) {
		struct source source = {.vocab = vocabularies[i], .fails_at = -1};
		struct aur_tokens *tokens;
		assert_ok(write_from(path, &source, 600001, 300000));
		assert_int_equal(source.at, 900001);
		assert_ok(aur_tokens_open(path, &tokens));
		assert_reads(tokens, AUR_TRAIN, 0, 600001, 0, vocabularies[i]);
		assert_reads(tokens, AUR_VAL, 0, 300000, 600001, vocabularies[i]);
		aur_tokens_close(&tokens);
	}
}

static void source_that_fails_leaves_no_file(void **state)
{
	const char *path = in_folder(state, "tokens.h5");
	struct source dry = {.vocab = VOCAB, .fails_at = 700000}, strange = {.vocab = VOCAB, .fails_at = -1, .stranger = 1};
	assert_int_equal(write_from(path, &dry, 600001, 300000), AUR_MEMORY);
	assert_message_has("the source has run dry");
	assert_int_equal(write_from(path, &strange, 1000, 300), AUR_INTERNAL);
	assert_int_equal(files_in(((struct folder *)*state)->path), 0);
}

/* Finds the tokens in the file by their bytes and changes one. */
static void damage_token(const char *path, int64_t first, int64_t index, unsigned char flip)
{
	size_t bytes;
	unsigned char *data = read_file(path, &bytes);
	uint16_t pattern[8];
	for (int i = 0; i < 8; i++)
		pattern[i] = (uint16_t)token_at(first + i, VOCAB);
	unsigned char *found = memmem(data, bytes, pattern, sizeof pattern);
	assert_non_null(found);
	found[2 * index] ^= flip;
	write_file(path, data, bytes);
	free(data);
}

static void flipped_token_is_found_when_touched(void **state)
{
	const char *path = in_folder(state, "tokens.h5");
	struct aur_tokens *tokens;
	int32_t out[16];
	assert_ok(try_write(path, 1200000, 30, VOCAB, 0));
	damage_token(path, 0, 600000, 1);
	assert_ok(aur_tokens_open(path, &tokens));
	assert_ok(aur_tokens_read(tokens, AUR_TRAIN, 0, 16, out));
	assert_int_equal(aur_tokens_read(tokens, AUR_TRAIN, 600000, 16, out), AUR_INPUT);
	assert_message_has(path);
	assert_message_has("/train/tokens: checksum mismatch, the file is damaged (re-run prepare)");
	assert_int_equal(aur_tokens_verify(tokens), AUR_INPUT);
	assert_ok(aur_tokens_read(tokens, AUR_VAL, 0, 16, out));
	aur_tokens_close(&tokens);
}

/* The file shrinks while it is open: a message, not a SIGBUS. */
static void file_cut_while_open_is_an_error(void **state)
{
	const char *path = in_folder(state, "tokens.h5");
	struct aur_tokens *tokens;
	int32_t out[16];
	assert_ok(try_write(path, 1200000, 30, VOCAB, 0));
	assert_ok(aur_tokens_open(path, &tokens));
	assert_int_equal(truncate(path, 100000), 0);
	assert_int_equal(aur_tokens_read(tokens, AUR_TRAIN, 1100000, 16, out), AUR_INPUT);
	assert_message_has("cut short");
	aur_tokens_close(&tokens);
}

static void missing_empty_and_foreign_files_say_what_they_are(void **state)
{
	struct aur_tokens *tokens;
	const char *path = in_folder(state, "x.h5");
	char kind[32];
	assert_int_equal(aur_tokens_open(path, &tokens), AUR_INPUT);
	assert_message_has("No such file");
	assert_null(tokens);
	write_file(path, "", 0);
	assert_int_equal(aur_tokens_open(path, &tokens), AUR_INPUT);
	assert_message_has("is empty");
	write_file(path, "It is a text.\n", 14);
	assert_int_equal(aur_tokens_open(path, &tokens), AUR_INPUT);
	assert_message_has("is a text, not an HDF5 file");
	assert_int_equal(aur_hdf5_kind(path, kind), AUR_INPUT);
	write_file(path, "GGUF\3\0\0\0", 8);
	assert_int_equal(aur_tokens_open(path, &tokens), AUR_INPUT);
	assert_message_has("GGUF");
	assert_int_equal(aur_tokens_open(((struct folder *)*state)->path, &tokens), AUR_INPUT);
	assert_message_has("is a folder");
}

static void kind_is_told(void **state)
{
	const char *path = in_folder(state, "tokens.h5");
	char kind[32];
	assert_ok(try_write(path, 10, 3, VOCAB, 0));
	assert_ok(aur_hdf5_kind(path, kind));
	assert_string_equal(kind, "aurelius-tokens");
}

static void unwritable_folder_is_an_io_error_without_leftovers(void **state)
{
	const char *path = in_folder(state, "missing/tokens.h5");
	assert_int_equal(try_write(path, 10, 3, VOCAB, 0), AUR_IO);
	assert_message_has("cannot write: No such file or directory");
}

/* What was there stays there when the new file cannot be written: here its partial name is taken by a folder. */
static void old_dataset_survives_a_failed_write(void **state)
{
	const char *path = in_folder(state, "tokens.h5");
	struct aur_tokens *tokens;
	assert_ok(try_write(path, 10, 3, VOCAB, 0));
	assert_int_equal(mkdir(in_folder(state, "tokens.h5.partial"), 0777), 0);
	assert_int_equal(try_write(path, 20, 3, VOCAB, 0), AUR_IO);
	assert_ok(aur_tokens_open(path, &tokens));
	assert_int_equal(aur_tokens_info(tokens)->train_tokens, 10);
	aur_tokens_close(&tokens);
}

int main(void)
{
	aur_hdf5_start();
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(small_dataset_comes_back),
		IN_FOLDER(tokens_over_several_blocks_come_back),
		IN_FOLDER(block_borders_are_exact),
		IN_FOLDER(vocabulary_beyond_16_bits_uses_four_bytes),
		IN_FOLDER(compressed_dataset_comes_back),
		IN_FOLDER(compressed_reads_in_any_order),
		IN_FOLDER(empty_validation_part_is_allowed),
		IN_FOLDER(reading_past_the_end_is_a_shape_error),
		IN_FOLDER(token_outside_the_vocabulary_is_not_written),
		IN_FOLDER(tokens_that_come_in_runs_are_written_in_order),
		IN_FOLDER(source_that_fails_leaves_no_file),
		IN_FOLDER(flipped_token_is_found_when_touched),
		IN_FOLDER(file_cut_while_open_is_an_error),
		IN_FOLDER(missing_empty_and_foreign_files_say_what_they_are),
		IN_FOLDER(kind_is_told),
		IN_FOLDER(unwritable_folder_is_an_io_error_without_leftovers),
		IN_FOLDER(old_dataset_survives_a_failed_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
