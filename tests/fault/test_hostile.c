#include "../unit/io_helpers.h"
#include "io/hdf5.h"
#include "sample.h"

#include <hdf5.h>

/* Files made to do harm, or by another program: each is refused with a message, none is followed, none makes the
 * program take memory for what the file cannot hold. They begin as good files and are changed with the library itself.
 */

static hid_t file;

static hid_t create(const char *name, hid_t type, int dims, const hsize_t *shape, hid_t list)
{
	const hid_t space = H5Screate_simple(dims, shape, NULL);
	const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
	assert_true(space >= 0 && dataset >= 0);
	H5Sclose(space);
	return dataset;
}

static void replace(const char *name, hid_t type, int dims, const hsize_t *shape, hid_t list)
{
	assert_true(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
	H5Dclose(create(name, type, dims, shape, list));
}

static hid_t checked_chunks(int dims, const hsize_t *chunk)
{
	const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
	H5Pset_chunk(list, dims, chunk);
	H5Pset_fletcher32(list);
	return list;
}

static void external_storage(void)
{
	const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
	H5Pset_external(list, "/etc/passwd", 0, 2 * SAMPLE_TRAIN);
	replace("/train/tokens", H5T_STD_U16LE, 1, (const hsize_t[]){SAMPLE_TRAIN}, list);
}

static void external_link(void)
{
	H5Ldelete(file, "/train/tokens", H5P_DEFAULT);
	H5Lcreate_external("other.h5", "/train/tokens", file, "/train/tokens", H5P_DEFAULT, H5P_DEFAULT);
}

static void soft_link(void)
{
	H5Ldelete(file, "/train/tokens", H5P_DEFAULT);
	H5Lcreate_soft("/val/tokens", file, "/train/tokens", H5P_DEFAULT, H5P_DEFAULT);
}

static void soft_link_to_group(void)
{
	H5Ldelete(file, "/train", H5P_DEFAULT);
	H5Lcreate_soft("/train", file, "/train", H5P_DEFAULT, H5P_DEFAULT);
}

static void virtual_layout(void)
{
	const hsize_t shape[] = {SAMPLE_TRAIN};
	const hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, shape, NULL);
	H5Pset_virtual(list, space, "other.h5", "/train/tokens", space);
	replace("/train/tokens", H5T_STD_U16LE, 1, shape, list);
}

static void set_number(const char *object, const char *name, int64_t value)
{
	assert_true(H5Adelete_by_name(file, object, name, H5P_DEFAULT) >= 0);
	const hid_t space = H5Screate(H5S_SCALAR);
	const hid_t attribute =
		H5Acreate_by_name(file, object, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	assert_true(attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_INT64, &value) >= 0);
	H5Aclose(attribute);
	H5Sclose(space);
}

static void absurd_size(void)
{
	const hsize_t shape[] = {(hsize_t)1 << 45};
	set_number("/", "train_tokens", (int64_t)1 << 45);
	replace("/train/tokens", H5T_STD_U16LE, 1, shape, H5P_DEFAULT);
}

static void size_beyond_64_bits(void)
{
	const hsize_t shape[] = {(hsize_t)1 << 40, (hsize_t)1 << 40};
	replace("/train/tokens", H5T_STD_U16LE, 2, shape, checked_chunks(2, (const hsize_t[]){16, 16}));
}

static void absurd_chunks(void)
{
	const hsize_t shape[] = {(hsize_t)1 << 31};
	set_number("/", "compressed", 1);
	replace("/train/tokens", H5T_STD_U16LE, 1, shape, checked_chunks(1, (const hsize_t[]){1u << 30}));
}

static void chunks_never_written(void)
{
	set_number("/", "compressed", 1);
	replace("/train/tokens", H5T_STD_U16LE, 1, (const hsize_t[]){SAMPLE_TRAIN},
		checked_chunks(1, (const hsize_t[]){SAMPLE_TRAIN}));
}

static void floats_for_tokens(void)
{
	replace("/train/tokens", H5T_IEEE_F32LE, 1, (const hsize_t[]){SAMPLE_TRAIN}, H5P_DEFAULT);
}

static void big_endian_tokens(void)
{
	replace("/train/tokens", H5T_STD_U16BE, 1, (const hsize_t[]){SAMPLE_TRAIN}, H5P_DEFAULT);
}

static void group_for_dataset(void)
{
	H5Ldelete(file, "/train/tokens", H5P_DEFAULT);
	H5Gclose(H5Gcreate2(file, "/train/tokens", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static void variable_strings_for_sources(void)
{
	const hid_t type = H5Tcopy(H5T_C_S1);
	H5Tset_size(type, H5T_VARIABLE);
	replace("/sources", type, 1, (const hsize_t[]){1}, H5P_DEFAULT);
}

static void unknown_filter(void)
{
	const hid_t list = checked_chunks(1, (const hsize_t[]){SAMPLE_TRAIN});
	H5Pset_nbit(list);
	set_number("/", "compressed", 1);
	replace("/train/tokens", H5T_STD_U16LE, 1, (const hsize_t[]){SAMPLE_TRAIN}, list);
}

static void vocabulary_of_another_size(void)
{
	set_number("/tokenizer", "vocab_size", (int64_t)1 << 40);
}

static void another_vocabulary(void)
{
	set_number("/tokenizer", "lowercase", 1);
}

static void version_of_the_future(void)
{
	set_number("/", "version", 99);
}

static void no_mark(void)
{
	H5Adelete(file, "complete");
}

static void missing_dataset(void)
{
	H5Ldelete(file, "/val/checksums", H5P_DEFAULT);
}

static void more_tokens_than_said(void)
{
	set_number("/", "train_tokens", SAMPLE_TRAIN - 1);
}

static void negative_tokens(void)
{
	set_number("/", "train_tokens", -1);
}

static const struct hostile {
	const char *name;
	void (*make)(void);
	const char *message;
} hostile_datasets[] = {
	{"external storage", external_storage, "stored in other files"},
	{"external link", external_link, "link to elsewhere"},
	{"soft link", soft_link, "link to elsewhere"},
	{"soft link to itself", soft_link_to_group, "link to elsewhere"},
	{"virtual layout", virtual_layout, "storage layout"},
	{"absurd size", absurd_size, "more data than the file"},
	{"size beyond 64 bits", size_beyond_64_bits, "more data than the file"},
	{"absurd chunks", absurd_chunks, "chunks of more than"},
	{"chunks never written", chunks_never_written, "chunks of"},
	{"floats for tokens", floats_for_tokens, "another type"},
	{"big-endian tokens", big_endian_tokens, "another type"},
	{"a group for a dataset", group_for_dataset, "/train/tokens"},
	{"variable strings", variable_strings_for_sources, "another type"},
	{"unknown filter", unknown_filter, "not allowed"},
	{"vocabulary of another size", vocabulary_of_another_size, "vocab_size"},
	{"another vocabulary", another_vocabulary, "hash"},
	{"version of the future", version_of_the_future, "version 99"},
	{"no completeness mark", no_mark, "complete"},
	{"missing dataset", missing_dataset, "/val/checksums: is missing"},
	{"more tokens than said", more_tokens_than_said, "the header says"},
	{"negative number of tokens", negative_tokens, "the header says"},
};

static void change(const char *path, void (*make)(void))
{
	const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
	H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110);
	H5Pset_fclose_degree(list, H5F_CLOSE_STRONG);
	file = H5Fopen(path, H5F_ACC_RDWR, list);
	assert_true(file >= 0);
	make();
	assert_true(H5Fclose(file) >= 0);
	H5Pclose(list);
}

static void hostile_datasets_are_refused(void **state)
{
	for (size_t i = 0; i < sizeof hostile_datasets / sizeof hostile_datasets[0]; i++) {
		const struct hostile *hostile = &hostile_datasets[i];
		const char *path = in_folder(state, "t.h5");
		aur_status status;
		assert_ok(sample_prepare(path, 0));
		change(path, hostile->make);
		const int result = sample_check_tokens(path, &status);
		if (result != 0 || status != AUR_INPUT || !strstr(aur_error_message(), hostile->message) ||
			!strstr(aur_error_message(), path))
			fail_msg("%s: %d, %s: %s", hostile->name, result, aur_status_name(status), aur_error_message());
	}
}

static void external_tensor(void)
{
	const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
	H5Pset_external(list, "/etc/passwd", 0, 64);
	replace("/params/ln_f.weight", H5T_IEEE_F32LE, 1, (const hsize_t[]){16}, list);
}

static void unchecked_tensor(void)
{
	replace("/params/ln_f.weight", H5T_IEEE_F32LE, 1, (const hsize_t[]){16}, H5P_DEFAULT);
	const float zeros[16] = {0};
	const hid_t dataset = H5Dopen2(file, "/params/ln_f.weight", H5P_DEFAULT);
	H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
}

static void tensor_too_many(void)
{
	H5Dclose(create("/params/extra", H5T_IEEE_F32LE, 1, (const hsize_t[]){1}, checked_chunks(1, (const hsize_t[]){1})));
}

static void tensor_missing(void)
{
	H5Ldelete(file, "/params/ln_f.weight", H5P_DEFAULT);
}

static void moment_missing(void)
{
	H5Ldelete(file, "/adam/v/ln_f.weight", H5P_DEFAULT);
}

static void doubles_for_floats(void)
{
	const hsize_t shape[] = {16};
	replace("/params/ln_f.weight", H5T_IEEE_F64LE, 1, shape, checked_chunks(1, shape));
}

static void five_dimensions(void)
{
	const hsize_t shape[] = {1, 1, 1, 1, 16};
	replace("/params/ln_f.weight", H5T_IEEE_F32LE, 5, shape, checked_chunks(5, shape));
}

static void circle_of_groups(void)
{
	H5Lcreate_hard(file, "/params", file, "/params/again", H5P_DEFAULT, H5P_DEFAULT);
}

static void long_name(void)
{
	char name[200];
	snprintf(name, sizeof name, "/params/%0150d", 1);
	H5Gclose(H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static void negative_step(void)
{
	set_number("/meta", "step", -3);
}

static const struct hostile hostile_checkpoints[] = {
	{"external tensor", external_tensor, "stored in other files"},
	{"tensor without checksums", unchecked_tensor, "no checksums"},
	{"a tensor too many", tensor_too_many, "/params"},
	{"a tensor missing", tensor_missing, "the mark says"},
	{"a moment missing", moment_missing, "/adam/v/ln_f.weight: is missing"},
	{"doubles for floats", doubles_for_floats, "another type"},
	{"five dimensions", five_dimensions, "5 dimensions"},
	{"a circle of groups", circle_of_groups, "/params/again"},
	{"a long name", long_name, "too long a name"},
	{"negative step", negative_step, "negative"},
};

static void hostile_checkpoints_are_refused(void **state)
{
	for (size_t i = 0; i < sizeof hostile_checkpoints / sizeof hostile_checkpoints[0]; i++) {
		const struct hostile *hostile = &hostile_checkpoints[i];
		const char *path = in_folder(state, "c.h5");
		aur_status status;
		assert_ok(sample_save(path, 1));
		change(path, hostile->make);
		const int result = sample_check(path, 1, &status);
		if (result != 0 || status != AUR_INPUT || !strstr(aur_error_message(), hostile->message) ||
			!strstr(aur_error_message(), path))
			fail_msg("%s: %d, %s: %s", hostile->name, result, aur_status_name(status), aur_error_message());
	}
}

/* As h5py or MATLAB write by default: superblock 0; and one of today's format without our attributes. */
static void file_of_another_program_is_named_so(void **state)
{
	const char *path = in_folder(state, "x.h5");
	struct aur_tokens *tokens;
	char kind[32];
	for (int latest = 0; latest < 2; latest++) {
		const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
		if (latest)
			H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110);
		H5Fclose(H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, list));
		H5Pclose(list);
		assert_int_equal(aur_tokens_open(path, &tokens), AUR_INPUT);
		assert_message_has("is an HDF5 file of another program");
		assert_int_equal(aur_hdf5_kind(path, kind), AUR_INPUT);
		assert_message_has("is an HDF5 file of another program");
	}
}

int main(void)
{
	aur_hdf5_start();
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(hostile_datasets_are_refused),
		IN_FOLDER(hostile_checkpoints_are_refused),
		IN_FOLDER(file_of_another_program_is_named_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
