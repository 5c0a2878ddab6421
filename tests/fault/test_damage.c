#include "../unit/io_helpers.h"
#include "io/hdf5.h"
#include "sample.h"

/* Damage anywhere in a file is either found, as AUR_INPUT, or lies in bytes that nothing uses: never a crash, never
 * other content without a word. */

typedef int (*check_content)(const char *path, aur_status *status);

static int check_checkpoint(const char *path, aur_status *status)
{
	return sample_check(path, 1, status);
}

struct tally {
	int found, harmless;
};

static void check_damaged(const char *path, check_content check, const char *what, size_t offset, struct tally *tally)
{
	aur_status status;
	const int result = check(path, &status);
	if (result < 0)
		fail_msg("%s at byte %zu: other content came back without complaint", what, offset);
	if (result == 0 && status != AUR_INPUT)
		fail_msg("%s at byte %zu: %s: %s", what, offset, aur_status_name(status), aur_error_message());
	if (result == 0 && !strstr(aur_error_message(), path))
		fail_msg("%s at byte %zu: the message names no file: %s", what, offset, aur_error_message());
	tally->found += result == 0;
	tally->harmless += result == 1;
}

static void flip_bytes(void **state, const char *path, check_content check, size_t stride)
{
	size_t bytes;
	struct tally tally = {0, 0};
	unsigned char *data = read_file(path, &bytes);
	const char *copy = in_folder(state, "flipped.h5");
	for (size_t offset = 0; offset < bytes; offset += stride) {
		const unsigned char flip = (unsigned char)(1u << (offset / stride % 8));
		data[offset] ^= flip;
		write_file(copy, data, bytes);
		data[offset] ^= flip;
		check_damaged(copy, check, "a flipped bit", offset, &tally);
	}
	free(data);
	print_message("%zu bytes: %d flips found, %d in unused bytes\n", bytes, tally.found, tally.harmless);
	assert_true(tally.found > tally.harmless / 4 && tally.found > 100);
}

static void cut_everywhere(void **state, const char *path, check_content check, size_t stride)
{
	size_t bytes;
	struct tally tally = {0, 0};
	unsigned char *data = read_file(path, &bytes);
	const char *copy = in_folder(state, "cut.h5");
	for (size_t length = 1; length < bytes; length += stride) {
		write_file(copy, data, length);
		check_damaged(copy, check, "a cut", length, &tally);
	}
	free(data);
	assert_int_equal(tally.harmless, 0);
}

/* Runs of random bytes, as from a disk that wrote another file's block here. */
static void overwrite_anywhere(void **state, const char *path, check_content check, int rounds)
{
	size_t bytes;
	struct tally tally = {0, 0};
	unsigned char *data = read_file(path, &bytes), *damaged = malloc(bytes);
	const char *copy = in_folder(state, "overwritten.h5");
	uint64_t random = 88172645463325252u;
	assert_non_null(damaged);
	for (int round = 0; round < rounds; round++) {
		memcpy(damaged, data, bytes);
		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		const size_t offset = random % bytes, length = 1 + (random >> 32) % 64;
		for (size_t i = offset; i < offset + length && i < bytes; i++)
			damaged[i] = (unsigned char)(random >> (i % 8 * 8));
		write_file(copy, damaged, bytes);
		check_damaged(copy, check, "random bytes", offset, &tally);
	}
	free(damaged);
	free(data);
}

static void damaged_checkpoint_is_found(void **state)
{
	const char *path = in_folder(state, "c.h5");
	assert_ok(sample_save(path, 1));
	flip_bytes(state, path, check_checkpoint, 11);
	cut_everywhere(state, path, check_checkpoint, 101);
	overwrite_anywhere(state, path, check_checkpoint, 500);
}

static void damaged_dataset_is_found(void **state)
{
	const char *path = in_folder(state, "t.h5");
	assert_ok(sample_prepare(path, 0));
	flip_bytes(state, path, sample_check_tokens, 11);
	cut_everywhere(state, path, sample_check_tokens, 101);
	overwrite_anywhere(state, path, sample_check_tokens, 500);
}

static void damaged_compressed_dataset_is_found(void **state)
{
	const char *path = in_folder(state, "t.h5");
	assert_ok(sample_prepare(path, 1));
	flip_bytes(state, path, sample_check_tokens, 11);
	cut_everywhere(state, path, sample_check_tokens, 101);
	overwrite_anywhere(state, path, sample_check_tokens, 500);
}

int main(void)
{
	aur_hdf5_start();
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(damaged_checkpoint_is_found),
		IN_FOLDER(damaged_dataset_is_found),
		IN_FOLDER(damaged_compressed_dataset_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
