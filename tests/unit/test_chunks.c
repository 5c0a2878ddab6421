/* Chunks that are moved without HDF5's filter pipeline: the file must be the one that HDF5 itself would write. */

#include "io_helpers.h"

#include "../../io/h5.h"
#include "io/hdf5.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The definition: sums over 16-bit big-endian words, modulo 65535, zero kept for zeros alone. */
static uint32_t plain_fletcher(const unsigned char *bytes, size_t n)
{
	uint64_t a = 0, b = 0;
	for (size_t i = 0; i < n; i += 2) {
		a += (uint64_t)bytes[i] << 8 | (i + 1 < n ? bytes[i + 1] : 0);
		a = a > 65535 ? a - 65535 : a;
		b += a;
		b = b > 65535 ? b - 65535 : b;
	}
	return (uint32_t)(b << 16 | a);
}

static void fill_bytes(unsigned char *bytes, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525u + 1013904223u;
		bytes[i] = (unsigned char)(seed >> 24);
	}
}

static void the_checksum_is_fletchers(void **state)
{
	(void)state;
	enum { MOST = 50000 };
	unsigned char *bytes = malloc(MOST);
	assert_non_null(bytes);
	for (size_t n = 1; n < MOST; n = n < 40 ? n + 1 : n * 2 + 1) {
		fill_bytes(bytes, n, (uint32_t)n);
		assert_int_equal(aur_h5_fletcher32(bytes, n), plain_fletcher(bytes, n));
	}
	free(bytes);
}

/* 0 and 65535 are the same number modulo 65535; HDF5 keeps them apart. */
static void zeros_and_ones_have_their_own_sums(void **state)
{
	(void)state;
	unsigned char bytes[20000];
	memset(bytes, 0, sizeof bytes);
	assert_int_equal(aur_h5_fletcher32(bytes, sizeof bytes), 0);
	memset(bytes, 0xff, sizeof bytes);
	assert_int_equal(aur_h5_fletcher32(bytes, sizeof bytes), 0xffffffffu);
	memset(bytes, 0, sizeof bytes);
	bytes[sizeof bytes - 1] = 1;
	assert_int_equal(aur_h5_fletcher32(bytes, sizeof bytes), 0x00010001u);
}

/* Two and a half chunks of 1 MiB, and dimensions that a chunk cuts in the middle. */
static const struct {
	int dims;
	int64_t shape[3];
} layouts[] = {{1, {700001}}, {2, {700, 999}}, {2, {3, 300001}}, {3, {5, 7, 65}}, {1, {1}}};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

static struct aur_h5_dataset dataset_of(int layout)
{
	struct aur_h5_dataset dataset = {
		.name = "/x", .type = AUR_H5_F32, .storage = AUR_H5_CHECKED, .dims = layouts[layout].dims};
	memcpy(dataset.shape, layouts[layout].shape, sizeof layouts[layout].shape);
	return dataset;
}

/* `direct` 0 goes through HDF5's own pipeline. */
static void write_values(const char *path, int layout, int direct, const float *values)
{
	struct aur_h5 *file;
	struct aur_h5_dataset dataset = dataset_of(layout);
	assert_ok(aur_h5_create(path, &file));
	assert_ok(aur_h5_dataset_create(file, &dataset));
	assert_true(dataset.direct);
	dataset.direct = direct;
	assert_ok(aur_h5_dataset_write(&dataset, 0, dataset.elements, values));
	assert_ok(aur_h5_dataset_close(&dataset));
	assert_ok(aur_h5_put_text(file, "/", "format", "test"));
	assert_ok(aur_h5_put_int(file, "/", "version", 1));
	assert_ok(aur_h5_finish(&file, 1));
	char partial[512];
	snprintf(partial, sizeof partial, "%s.partial", path);
	assert_int_equal(rename(partial, path), 0);
}

static void read_values(const char *path, int direct, float *values, aur_status expected)
{
	struct aur_h5 *file;
	struct aur_h5_dataset dataset;
	assert_ok(aur_h5_open(path, &file));
	assert_ok(aur_h5_dataset_open(file, "/x", AUR_H5_F32, 0, &dataset));
	assert_true(dataset.direct);
	dataset.direct = direct;
	assert_int_equal(aur_h5_dataset_read(&dataset, 0, dataset.elements, values), expected);
	assert_ok(aur_h5_dataset_close(&dataset));
	aur_h5_close(&file);
}

static float *make_values(int64_t count)
{
	float *values = malloc((size_t)count * sizeof *values);
	assert_non_null(values);
	for (int64_t i = 0; i < count; i++)
		values[i] = (float)i * 0.37f - 100;
	return values;
}

static int64_t count_of(int layout)
{
	int64_t count = 1;
	for (int i = 0; i < layouts[layout].dims; i++)
		count *= layouts[layout].shape[i];
	return count;
}

/* HDF5 reads what is written past its pipeline, checksums and the padding of last chunks included, and the other way.
 */
static void both_ways_read_what_either_wrote(void **state)
{
	const char *path = in_folder(state, "x.h5");
	for (int layout = 0; layout < LAYOUTS; layout++) {
		const int64_t count = count_of(layout);
		float *values = make_values(count), *read = malloc((size_t)count * sizeof *read);
		for (int ways = 0; ways < 4; ways++) {
			write_values(path, layout, ways & 1, values);
			memset(read, 0, (size_t)count * sizeof *read);
			read_values(path, ways >> 1, read, AUR_OK);
			assert_memory_equal(read, values, (size_t)count * sizeof *read);
		}
		free(values);
		free(read);
	}
}

/* A part of a tensor, as a rank reads it, begins and ends within chunks. */
static void parts_are_read_from_any_place(void **state)
{
	const char *path = in_folder(state, "x.h5");
	const int64_t count = count_of(1);
	float *values = make_values(count), *read = malloc((size_t)count * sizeof *read);
	write_values(path, 1, 1, values);
	struct aur_h5 *file;
	struct aur_h5_dataset dataset;
	assert_ok(aur_h5_open(path, &file));
	assert_ok(aur_h5_dataset_open(file, "/x", AUR_H5_F32, 0, &dataset));
	const int64_t begins[] = {0, 1, 998, 233 * 999, 260001, 262144, count - 1},
				  ends[] = {1, 999, 466 * 999, 600000, count};
	for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
		for (size_t j = 0; j < sizeof ends / sizeof *ends; j++) {
			if (begins[i] >= ends[j])
				continue;
			const int64_t n = ends[j] - begins[i];
			assert_ok(aur_h5_dataset_read(&dataset, begins[i], n, read));
			assert_memory_equal(read, values + begins[i], (size_t)n * sizeof *read);
		}
	aur_h5_dataset_close(&dataset);
	aur_h5_close(&file);
	free(values);
	free(read);
}

static void flip_byte(const char *path, off_t at)
{
	unsigned char byte;
	const int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* One flipped bit is found on either way, and said to be damage. */
static void a_flipped_bit_is_found(void **state)
{
	const char *path = in_folder(state, "x.h5");
	const int64_t count = count_of(0);
	float *values = make_values(count), *read = malloc((size_t)count * sizeof *read);
	for (int direct = 0; direct < 2; direct++) {
		write_values(path, 0, 1, values);
		struct stat info;
		assert_int_equal(stat(path, &info), 0);
		flip_byte(path, info.st_size / 2);
		read_values(path, direct, read, AUR_INPUT);
		assert_non_null(strstr(aur_error_message(), "damaged"));
		aur_error_clear();
	}
	free(values);
	free(read);
}

int main(void)
{
	aur_hdf5_start();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checksum_is_fletchers),
		cmocka_unit_test(zeros_and_ones_have_their_own_sums),
		cmocka_unit_test_setup_teardown(both_ways_read_what_either_wrote, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(parts_are_read_from_any_place, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(a_flipped_bit_is_found, folder_setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
