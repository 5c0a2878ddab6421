#include "io/file.h"
#include "io/foreign.h"
#include "io_helpers.h"

/* ---- files as the other programs write them ---- */

static void write_llmc(const char *path, int32_t magic, int32_t version, int32_t told, const void *tokens, size_t bytes)
{
	char *file = calloc(1, 1024 + bytes);
	assert_non_null(file);
	const int32_t head[3] = {magic, version, told};
	memcpy(file, head, sizeof head);
	memcpy(file + 1024, tokens, bytes);
	assert_ok(aur_file_write_atomic(path, file, 1024 + bytes));
	free(file);
}

/* Three sequences of 2, 0 and 3 tokens, in documents of one and of two sequences. */
struct __attribute__((packed)) idx {
	char magic[9];
	uint64_t version;
	uint8_t type;
	uint64_t sequences, documents;
	int32_t lengths[3];
	int64_t offsets[3];
	int64_t starts[3];
};

static struct idx good_idx(void)
{
	return (struct idx){"MMIDIDX", 1, 8, 3, 3, {2, 0, 3}, {0, 4, 4}, {0, 1, 3}};
}

static const uint16_t five[] = {10, 11, 12, 13, 14};

static void write_megatron(void **state, const struct idx *idx)
{
	assert_ok(aur_file_write_atomic(in_folder(state, "m.idx"), idx, sizeof *idx));
	assert_ok(aur_file_write_atomic(in_folder(state, "m.bin"), five, sizeof five));
}

static void assert_five(const char *path, enum aur_foreign_kind kind)
{
	struct aur_foreign *foreign;
	uint32_t tokens[5];
	assert_ok(aur_foreign_open(path, &foreign));
	assert_int_equal(aur_foreign_kind(foreign), kind);
	assert_int_equal(aur_foreign_tokens(foreign), 5);
	assert_ok(aur_foreign_read(foreign, 0, 5, tokens));
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(tokens[i], 10 + i);
	assert_ok(aur_foreign_read(foreign, 3, 2, tokens));
	assert_int_equal(tokens[0], 13);
	assert_int_equal(tokens[1], 14);
	aur_foreign_close(&foreign);
}

static void assert_refused(const char *path, const char *part)
{
	struct aur_foreign *foreign;
	assert_int_equal(aur_foreign_open(path, &foreign), AUR_INPUT);
	assert_null(foreign);
	assert_message_has(part);
}

/* ---- tests ---- */

static void each_kind_is_told_and_read(void **state)
{
	static const uint32_t wide[] = {10, 11, 12, 13, 14};
	const struct idx idx = good_idx();
	write_llmc(in_folder(state, "l.bin"), 20240520, 1, 5, five, sizeof five);
	assert_five(in_folder(state, "l.bin"), AUR_FOREIGN_LLMC);
	write_llmc(in_folder(state, "w.bin"), 20240801, 7, 5, wide, sizeof wide);
	assert_five(in_folder(state, "w.bin"), AUR_FOREIGN_LLMC);
	assert_ok(aur_file_write_atomic(in_folder(state, "n.bin"), five, sizeof five));
	assert_five(in_folder(state, "n.bin"), AUR_FOREIGN_NANOGPT);
	write_megatron(state, &idx);
	assert_five(in_folder(state, "m.bin"), AUR_FOREIGN_MEGATRON);
	assert_five(in_folder(state, "m.idx"), AUR_FOREIGN_MEGATRON);
}

static void documents_of_an_index_are_found_by_range(void **state)
{
	const struct idx idx = good_idx();
	struct aur_foreign *foreign;
	int64_t *starts, count;
	write_megatron(state, &idx);
	assert_ok(aur_foreign_open(in_folder(state, "m.bin"), &foreign));
	assert_ok(aur_foreign_documents(foreign, 0, 5, &starts, &count));
	assert_int_equal(count, 2);
	assert_int_equal(starts[0], 0);
	assert_int_equal(starts[1], 2);
	free(starts);
	assert_ok(aur_foreign_documents(foreign, 1, 2, &starts, &count));
	assert_int_equal(count, 0);
	free(starts);
	assert_ok(aur_foreign_documents(foreign, 2, 5, &starts, &count));
	assert_int_equal(count, 1);
	assert_int_equal(starts[0], 2);
	free(starts);
	aur_foreign_close(&foreign);
}

static void files_whose_length_does_not_fit_are_refused(void **state)
{
	const char *path = in_folder(state, "l.bin");
	write_llmc(path, 20240520, 1, 6, five, sizeof five);
	assert_refused(path, "its header tells of 6 tokens");
	write_llmc(path, 20240520, 1, -1, five, sizeof five);
	assert_refused(path, "damaged");
	write_llmc(path, 20240520, 2, 5, five, sizeof five);
	assert_refused(path, "version 2");
	assert_ok(aur_file_write_atomic(path, five, 9));
	assert_refused(path, "odd number of bytes");
	assert_ok(aur_file_write_atomic(path, five, 0));
	assert_refused(path, "is empty");
}

static void damaged_index_is_refused(void **state)
{
	struct idx idx = good_idx();
#define REFUSED(change, part)                                                                                          \
	do {                                                                                                               \
		idx = good_idx();                                                                                              \
		change;                                                                                                        \
		write_megatron(state, &idx);                                                                                   \
		assert_refused(in_folder(state, "m.idx"), part);                                                               \
	} while (0)
	REFUSED(idx.magic[0] = 'X', "not a Megatron index");
	REFUSED(idx.version = 2, "version 2");
	REFUSED(idx.type = 7, "type 7");
	REFUSED(idx.sequences = UINT64_MAX / 8, "does not fit its counts");
	REFUSED(idx.documents = UINT64_MAX / 4, "does not fit its counts");
	REFUSED(idx.sequences = 2, "does not fit its counts");
	REFUSED(idx.lengths[0] = -2, "negative length");
	REFUSED(idx.lengths[2] = 4, "has 10 bytes, its index");
	REFUSED(idx.offsets[1] = 2, "one after another");
	REFUSED(idx.starts[0] = 1, "first document");
	REFUSED(idx.starts[1] = 9, "out of order or range");
	REFUSED(idx.starts[1] = -1, "out of order or range");
	REFUSED(idx.starts[2] = 2, "do not end with the last sequence");
#undef REFUSED
	idx = good_idx();
	write_megatron(state, &idx);
	assert_ok(aur_file_write_atomic(in_folder(state, "m.idx"), &idx, 20));
	assert_refused(in_folder(state, "m.idx"), "shorter than the header");
	assert_ok(aur_file_remove(in_folder(state, "m.bin")));
	assert_ok(aur_file_write_atomic(in_folder(state, "m.idx"), &idx, sizeof idx));
	assert_refused(in_folder(state, "m.idx"), "m.bin");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_kind_is_told_and_read),
		TEST(documents_of_an_index_are_found_by_range),
		TEST(files_whose_length_does_not_fit_are_refused),
		TEST(damaged_index_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
