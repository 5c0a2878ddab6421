#include "rounds.h"
#include "stream_helpers.h"

#include "train/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { POSITIONS = 64, SHARDS = 70 };

static const char *shard_path(void **state, int64_t index, int64_t of)
{
	char name[48];
	snprintf(name, sizeof name, "c-%05lld-of-%05lld.h5", (long long)index, (long long)of);
	return in_folder(state, name);
}

static void write_shards(void **state, int64_t count, int compress)
{
	for (int64_t i = 0; i < count; i++)
		write_shard(shard_path(state, i, count),
			(struct shard){.train = 1000 + i, .val = 100, .salt = 10 * i, .compress = compress});
}

static struct aur_dataset *open_glob(void **state)
{
	struct aur_dataset *dataset;
	assert_ok(aur_dataset_open(in_folder(state, "c-*.h5"), "", 0, &dataset));
	return dataset;
}

static aur_status read_of(struct aur_dataset *dataset, int64_t file, int32_t *first)
{
	int32_t tokens[POSITIONS], targets[POSITIONS];
	const aur_status status = aur_dataset_read(dataset, AUR_TRAIN, file, 7, POSITIONS, tokens, targets);
	*first = tokens[0];
	return status;
}

/* A corpus may have more files than a process may open; and what is read must not depend on which were closed. */
static void few_of_many_files_are_open(void **state)
{
	struct rlimit was, few;
	const int64_t shards = 20 + rounds_of(SHARDS - 20); /* more than are kept open */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = was;
	for (int compress = 0; compress < 2; compress++) {
		write_shards(state, shards, compress);
		few.rlim_cur = SHARDS;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		const int before = files_in("/proc/self/fd");
		struct aur_dataset *dataset = open_glob(state);
		assert_int_equal(files_in("/proc/self/fd"), before);
		uint64_t random = 1;
		for (int64_t i = 0; i < 4 * shards; i++) {
			int32_t token;
			const int64_t file = i < shards ? i : draw(&random, shards);
			assert_ok(read_of(dataset, file, &token));
			assert_int_equal(token, 10 * file + 7);
		}
		assert_in_range(files_in("/proc/self/fd") - before, 1, 17);
		aur_dataset_close(&dataset);
		assert_int_equal(files_in("/proc/self/fd"), before);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	}
}

/* The plan of a training's memory counts what its readers keep inflated: no more than there is, nor than is kept. */
static void what_is_kept_inflated_is_counted(void **state)
{
	enum { CHUNK = AUR_TOKENS_CHUNK_BYTES, MOST = AUR_TOKENS_KEPT_CHUNKS };
	char list[1000];
	write_shards(state, 3, 1);
	struct aur_dataset *dataset = open_glob(state);
	assert_int_equal(aur_dataset_kept_bytes(dataset, 0), 3 * CHUNK);
	assert_int_equal(aur_dataset_kept_bytes(dataset, 1), 6 * CHUNK);
	assert_int_equal(aur_memory_of_chunks(dataset), 9 * CHUNK);
	aur_dataset_close(&dataset);
	snprintf(list, sizeof list, "%s", shard_path(state, 0, 3));
	assert_ok(aur_dataset_open(list, shard_path(state, 1, 3), 0, &dataset));
	assert_int_equal(aur_memory_of_chunks(dataset), 3 * CHUNK);
	aur_dataset_close(&dataset);
	for (int64_t i = 0; i < 3; i++)
		assert_int_equal(unlink(shard_path(state, i, 3)), 0);
	write_shards(state, MOST + 6, 1);
	dataset = open_glob(state);
	assert_int_equal(aur_dataset_kept_bytes(dataset, 0), MOST * CHUNK);
	assert_int_equal(aur_memory_of_chunks(dataset), 2 * MOST * CHUNK);
	aur_dataset_close(&dataset);
	snprintf(list, sizeof list, "%s@1,%s@2", in_folder(state, "c-000*.h5"), in_folder(state, "c-001*.h5"));
	assert_ok(aur_dataset_open(list, "", 0, &dataset));
	assert_int_equal(aur_dataset_kept_bytes(dataset, 0), (MOST + 6) * CHUNK);
	aur_dataset_close(&dataset);
	write_shards(state, 3, 0);
	snprintf(list, sizeof list, "%s", in_folder(state, "c-*-of-00003.h5"));
	assert_ok(aur_dataset_open(list, "", 0, &dataset));
	assert_int_equal(aur_memory_of_chunks(dataset), 0);
	aur_dataset_close(&dataset);
}

/* What is wrong with one shard of many is found before the training starts, and the shard named. */
static void a_bad_shard_is_named_at_once(void **state)
{
	struct aur_dataset *dataset;
	write_shards(state, 4, 0);
	const char *glob = in_folder(state, "c-*.h5"), *third = shard_path(state, 2, 4);
	assert_int_equal(truncate(third, 5000), 0);
	assert_int_equal(aur_dataset_open(glob, "", 0, &dataset), AUR_INPUT);
	assert_message_has("c-00002-of-00004.h5");
	write_file(third, "text", 4);
	assert_int_equal(aur_dataset_open(glob, "", 0, &dataset), AUR_INPUT);
	assert_message_has("c-00002-of-00004.h5");
	assert_int_equal(unlink(third), 0);
	assert_int_equal(mkdir(third, 0700), 0);
	assert_int_equal(aur_dataset_open(glob, "", 0, &dataset), AUR_INPUT);
	assert_message_has("c-00002-of-00004.h5");
	assert_int_equal(rmdir(third), 0);
	assert_int_equal(aur_dataset_open(glob, "", 0, &dataset), AUR_INPUT);
	assert_message_has("c-00002-of-00004.h5: is missing, of a corpus of 4 files");
}

/* The first and the last are missing no less than one between; some of a corpus may be meant. */
static void a_gap_in_a_corpus_is_named(void **state)
{
	struct aur_dataset *dataset;
	write_shards(state, 12, 0);
	const char *ends[] = {shard_path(state, 0, 12), shard_path(state, 11, 12)};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rename(ends[i], in_folder(state, "aside")), 0);
		assert_int_equal(aur_dataset_open(in_folder(state, "c-*.h5"), "", 0, &dataset), AUR_INPUT);
		assert_message_has(ends[i]);
		assert_int_equal(rename(in_folder(state, "aside"), ends[i]), 0);
	}
	assert_int_equal(unlink(ends[1]), 0);
	assert_ok(aur_dataset_open(in_folder(state, "c-0000?-of-*.h5"), "", 0, &dataset));
	assert_int_equal(aur_dataset_files(dataset, AUR_TRAIN), 10);
	aur_dataset_close(&dataset);
}

/* What is left of an older preparation would make the training see its text twice. */
static void a_corpus_cut_twice_is_named(void **state)
{
	struct aur_dataset *dataset;
	write_shards(state, 3, 0);
	write_shards(state, 4, 0);
	assert_int_equal(aur_dataset_open(in_folder(state, "c-*.h5"), "", 0, &dataset), AUR_INPUT);
	assert_message_has("c-00000-of-00003.h5: is one of 3 files of a corpus");
	assert_message_has("c-00000-of-00004.h5 of the same");
	assert_ok(aur_dataset_open(in_folder(state, "c-*-of-00003.h5"), "", 0, &dataset));
	assert_int_equal(aur_dataset_files(dataset, AUR_TRAIN), 3);
	aur_dataset_close(&dataset);
}

static void a_foreign_vocabulary_is_named(void **state)
{
	struct aur_dataset *dataset;
	write_shards(state, 3, 0);
	const struct aur_vocab vocab = letters(50);
	const int32_t ids[10] = {1};
	const struct aur_tokens_create create = {
		.path = in_folder(state, "d.h5"), .vocab = &vocab, .sources = "", .ids = ids, .train_tokens = 10};
	assert_ok(aur_tokens_write(&create));
	char list[600];
	snprintf(list, sizeof list, "%s@1,%s@2", in_folder(state, "c-*.h5"), create.path);
	assert_int_equal(aur_dataset_open(list, "", 0, &dataset), AUR_INPUT);
	assert_message_has("d.h5: its vocabulary differs from that of");
	assert_int_equal(aur_dataset_open(in_folder(state, "c-*.h5"), create.path, 0, &dataset), AUR_INPUT);
	assert_message_has("d.h5: its vocabulary differs from that of");
}

static void damage(const char *path, int64_t from_end)
{
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	fseek(file, (long)-from_end, SEEK_END);
	const int byte = fgetc(file);
	fseek(file, (long)-from_end, SEEK_END);
	fputc(byte ^ 1, file);
	assert_int_equal(fclose(file), 0);
}

static int64_t place_in_file(const char *path, int64_t salt)
{
	size_t bytes;
	unsigned char *data = read_file(path, &bytes);
	uint16_t wanted[32];
	for (int i = 0; i < 32; i++)
		wanted[i] = (uint16_t)(salt + i);
	for (size_t at = 0; at + sizeof wanted <= bytes; at++)
		if (memcmp(data + at, wanted, sizeof wanted) == 0) {
			free(data);
			return (int64_t)(bytes - at);
		}
	fail_msg("the tokens are not in %s", path);
	return 0;
}

/* A shard that changes under a running training ends it with its name, never by a signal. */
static void a_shard_that_changes_while_it_is_read_is_named(void **state)
{
	int32_t token;
	write_shards(state, 3, 0);
	struct aur_dataset *dataset = open_glob(state);
	const char *path = shard_path(state, 1, 3), *copy = in_folder(state, "copy");
	char command[600];
	snprintf(command, sizeof command, "cp '%s' '%s'", path, copy);
	assert_int_equal(system(command), 0);
	/* Gone before it was first read. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(read_of(dataset, 1, &token), AUR_INPUT);
	assert_message_has("c-00001-of-00003.h5: cannot be opened again: No such file");
	/* Copied back it is the same. */
	snprintf(command, sizeof command, "cp '%s' '%s'", copy, path);
	assert_int_equal(system(command), 0);
	assert_ok(read_of(dataset, 1, &token));
	assert_int_equal(token, 17);
	/* Cut while it is open. */
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(read_of(dataset, 1, &token), AUR_INPUT);
	assert_message_has("c-00001-of-00003.h5: /train/tokens: the file was cut short while it was open");
	/* Another file, of another size. */
	snprintf(command, sizeof command, "cat '%s' '%s' >'%s'", copy, copy, shard_path(state, 2, 3));
	assert_int_equal(system(command), 0);
	assert_int_equal(read_of(dataset, 2, &token), AUR_INPUT);
	assert_message_has("when it was first opened");
	aur_dataset_close(&dataset);
}

/* A block once verified is not believed any longer when the file is another one. */
static void damage_behind_a_closed_file_is_found(void **state)
{
	for (int compress = 0; compress < 2; compress++) {
		struct aur_tokens *tokens;
		const char *path = in_folder(state, "one.h5");
		int32_t token;
		write_shard(path, (struct shard){.train = 1000, .compress = compress});
		assert_ok(aur_tokens_open(path, &tokens));
		assert_ok(aur_tokens_read(tokens, AUR_TRAIN, 0, 1, &token));
		aur_tokens_park(tokens);
		assert_true(aur_tokens_is_parked(tokens));
		assert_ok(aur_tokens_read(tokens, AUR_TRAIN, 3, 1, &token));
		assert_int_equal(token, 3);
		aur_tokens_park(tokens);
		if (compress) {
			write_shard(path, (struct shard){.train = 1000, .salt = 77, .compress = 1});
			assert_int_equal(aur_tokens_read(tokens, AUR_TRAIN, 0, 1, &token), AUR_INPUT);
		} else {
			damage(path, place_in_file(path, 0));
			assert_int_equal(aur_tokens_read(tokens, AUR_TRAIN, 900, 1, &token), AUR_INPUT);
			assert_message_has("checksum mismatch");
		}
		aur_tokens_close(&tokens);
	}
}

/* Nothing ever comes from a pipe that nobody writes to: it is not waited for, and told. */
static void a_pipe_in_place_of_a_closed_file_is_told(void **state)
{
	for (int compress = 0; compress < 2; compress++) {
		struct aur_tokens *tokens;
		const char *path = in_folder(state, compress ? "packed.h5" : "plain.h5");
		int32_t token;
		write_shard(path, (struct shard){.train = 1000, .compress = compress});
		assert_ok(aur_tokens_open(path, &tokens));
		aur_tokens_park(tokens);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(mkfifo(path, 0600), 0);
		assert_int_equal(aur_tokens_read(tokens, AUR_TRAIN, 0, 1, &token), AUR_INPUT);
		assert_message_has("is not a regular file");
		aur_tokens_close(&tokens);
	}
}

/* A resume must find the same text again, not only as many tokens; and the same weights. */
static void the_hash_tells_content_and_weights(void **state)
{
	char list[600];
	uint64_t hashes[4], sizes[2];
	for (int i = 0; i < 4; i++) {
		struct aur_dataset *dataset;
		write_shard(in_folder(state, "a.h5"), (struct shard){.train = 1000, .salt = i == 1});
		write_shard(in_folder(state, "b.h5"), (struct shard){.train = 1000});
		snprintf(list, sizeof list,
			i < 2    ? "%s,%s"
			: i == 2 ? "%s@1,%s@1"
					 : "%s@1,%s@2",
			in_folder(state, "a.h5"), in_folder(state, "b.h5"));
		assert_ok(aur_dataset_open(list, "", 0, &dataset));
		hashes[i] = aur_dataset_hash(dataset);
		sizes[i % 2] = aur_dataset_size_hash(dataset);
		aur_dataset_close(&dataset);
		for (int k = 0; k < i; k++)
			assert_true(hashes[k] != hashes[i]);
	}
	assert_true(sizes[0] == sizes[1]);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(few_of_many_files_are_open),
		IN_FOLDER(what_is_kept_inflated_is_counted),
		IN_FOLDER(a_bad_shard_is_named_at_once),
		IN_FOLDER(a_gap_in_a_corpus_is_named),
		IN_FOLDER(a_corpus_cut_twice_is_named),
		IN_FOLDER(a_foreign_vocabulary_is_named),
		IN_FOLDER(a_shard_that_changes_while_it_is_read_is_named),
		IN_FOLDER(damage_behind_a_closed_file_is_found),
		IN_FOLDER(a_pipe_in_place_of_a_closed_file_is_told),
		IN_FOLDER(the_hash_tells_content_and_weights),
	};
	return cmocka_run_group_tests_name("shards", tests, NULL, NULL);
}
