#include "io/file.h"
#include "io/stream.h"
#include "io_helpers.h"

#include <zlib.h>
#include <zstd.h>

/* Bytes that compress little, so that a damaged place in the file is a damaged place in the text. */
static unsigned char *make_bytes(size_t size)
{
	unsigned char *bytes = malloc(size);
	assert_non_null(bytes);
	uint32_t state = 12345;
	for (size_t i = 0; i < size; i++) {
		state = state * 1664525u + 1013904223u;
		bytes[i] = (unsigned char)('a' + (state >> 24) % 26);
	}
	return bytes;
}

static void write_gzip(const char *path, const void *bytes, size_t size, const char *mode)
{
	gzFile file = gzopen(path, mode);
	assert_non_null(file);
	assert_int_equal(gzwrite(file, bytes, (unsigned)size), (int)size);
	assert_int_equal(gzclose(file), Z_OK);
}

static void write_zstd(const char *path, const void *bytes, size_t size)
{
	const size_t room = ZSTD_compressBound(size);
	void *packed = malloc(room);
	assert_non_null(packed);
	ZSTD_CCtx *compressor = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 1);
	const size_t length = ZSTD_compress2(compressor, packed, room, bytes, size);
	assert_false(ZSTD_isError(length));
	assert_ok(aur_file_write_atomic(path, packed, length));
	ZSTD_freeCCtx(compressor);
	free(packed);
}

/* Reads `step` bytes at a time and compares; returns the first failure. */
static aur_status read_all(const char *path, size_t step, const unsigned char *expected, size_t size)
{
	struct aur_stream *stream;
	unsigned char *block = malloc(step);
	size_t at = 0, got = step;
	aur_status status = aur_stream_open(path, aur_compression_of(path, NULL), &stream);
	while (status == AUR_OK && got == step) {
		status = aur_stream_read(stream, block, step, &got);
		if (status == AUR_OK) {
			assert_true(at + got <= size);
			assert_memory_equal(block, expected + at, got);
			at += got;
		}
	}
	if (status == AUR_OK)
		assert_int_equal(at, size);
	aur_stream_close(&stream);
	free(block);
	return status;
}

enum { SIZE = 1000003 };

static void compressed_files_read_as_what_was_packed(void **state)
{
	static const char *const names[] = {"a.gz", "a.zst", "a.txt"};
	unsigned char *bytes = make_bytes(SIZE);
	write_gzip(in_folder(state, "a.gz"), bytes, SIZE, "wb");
	write_zstd(in_folder(state, "a.zst"), bytes, SIZE);
	assert_ok(aur_file_write_atomic(in_folder(state, "a.txt"), bytes, SIZE));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_ok(read_all(in_folder(state, names[i]), 4096, bytes, SIZE));
		assert_ok(read_all(in_folder(state, names[i]), 2 * SIZE, bytes, SIZE));
		assert_ok(read_all(in_folder(state, names[i]), 7919, bytes, SIZE));
	}
	free(bytes);
}

/* Tools that compress in parallel, and appended logs, give a file of several members. */
static void members_follow_each_other(void **state)
{
	const char *path = in_folder(state, "a.gz");
	unsigned char *bytes = make_bytes(SIZE);
	write_gzip(path, bytes, 1000, "wb");
	write_gzip(path, bytes + 1000, SIZE - 1000, "ab");
	assert_ok(read_all(path, 4096, bytes, SIZE));
	free(bytes);
}

static void append(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "ab");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fclose(file), 0);
}

static void zeros_behind_the_last_member_are_passed_over(void **state)
{
	static const char zeros[300 << 10];
	const char *path = in_folder(state, "a.gz");
	unsigned char *bytes = make_bytes(SIZE);
	write_gzip(path, bytes, SIZE, "wb");
	append(path, zeros, sizeof zeros);
	assert_ok(read_all(path, 4096, bytes, SIZE));
	append(path, "x", 1);
	assert_int_equal(read_all(path, 4096, bytes, SIZE), AUR_INPUT);
	assert_ok(aur_file_write_atomic(path, zeros, 100));
	assert_int_equal(read_all(path, 4096, bytes, SIZE), AUR_INPUT);
	free(bytes);
}

static void cut_files_are_refused_wherever_they_are_cut(void **state)
{
	static const char *const names[] = {"a.gz", "a.zst"};
	unsigned char *bytes = make_bytes(SIZE);
	write_gzip(in_folder(state, "a.gz"), bytes, SIZE, "wb");
	write_zstd(in_folder(state, "a.zst"), bytes, SIZE);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *path = in_folder(state, names[i]);
		size_t size;
		unsigned char *packed = read_file(path, &size);
		const size_t lengths[] = {1, 5, size / 2, size - 5, size - 1};
		for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
			assert_ok(aur_file_write_atomic(path, packed, lengths[j]));
			assert_int_equal(read_all(path, 4096, bytes, SIZE), AUR_INPUT);
			assert_message_has(path);
			assert_message_has("cut short");
		}
		free(packed);
	}
	free(bytes);
}

static void damaged_files_are_refused(void **state)
{
	static const char *const names[] = {"a.gz", "a.zst"};
	unsigned char *bytes = make_bytes(SIZE);
	write_gzip(in_folder(state, "a.gz"), bytes, SIZE, "wb");
	write_zstd(in_folder(state, "a.zst"), bytes, SIZE);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *path = in_folder(state, names[i]);
		size_t size;
		unsigned char *packed = read_file(path, &size);
		/* A checksum's byte at the end, and the first byte, which says what the file is. */
		const size_t places[] = {0, size - 2};
		for (size_t j = 0; j < 2; j++) {
			packed[places[j]] ^= 0x10;
			assert_ok(aur_file_write_atomic(path, packed, size));
			packed[places[j]] ^= 0x10;
			struct aur_stream *stream;
			size_t got;
			assert_ok(aur_stream_open(path, aur_compression_of(path, NULL), &stream));
			unsigned char *block = malloc(2 * SIZE);
			assert_int_equal(aur_stream_read(stream, block, 2 * SIZE, &got), AUR_INPUT);
			assert_message_has("damaged");
			free(block);
			aur_stream_close(&stream);
		}
		free(packed);
	}
	free(bytes);
}

static void compression_is_told_by_name_and_by_content(void **state)
{
	size_t stem;
	enum aur_compression compression;
	assert_int_equal(aur_compression_of("a.jsonl.gz", &stem), AUR_GZIP);
	assert_int_equal(stem, strlen("a.jsonl"));
	assert_int_equal(aur_compression_of("a.zst", NULL), AUR_ZSTD);
	assert_int_equal(aur_compression_of("gz", NULL), AUR_PLAIN);
	assert_int_equal(aur_compression_of(".gz", NULL), AUR_PLAIN);
	write_gzip(in_folder(state, "x"), "abc", 3, "wb");
	assert_ok(aur_compression_look(in_folder(state, "x"), &compression));
	assert_int_equal(compression, AUR_GZIP);
	write_zstd(in_folder(state, "y"), "abc", 3);
	assert_ok(aur_compression_look(in_folder(state, "y"), &compression));
	assert_int_equal(compression, AUR_ZSTD);
	assert_ok(aur_file_write_atomic(in_folder(state, "z"), "(", 1));
	assert_ok(aur_compression_look(in_folder(state, "z"), &compression));
	assert_int_equal(compression, AUR_PLAIN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(compressed_files_read_as_what_was_packed),
		TEST(members_follow_each_other),
		TEST(zeros_behind_the_last_member_are_passed_over),
		TEST(cut_files_are_refused_wherever_they_are_cut),
		TEST(damaged_files_are_refused),
		TEST(compression_is_told_by_name_and_by_content),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
