#include "io/file.h"
#include "io_helpers.h"

#include <sys/stat.h>

static void folder_is_created_with_its_parents(void **state)
{
	const char *path = in_folder(state, "a/b//c/");
	struct stat info;
	assert_ok(aur_folder_create(path));
	assert_ok(aur_folder_create(path));
	assert_int_equal(stat(path, &info), 0);
	assert_true(S_ISDIR(info.st_mode));
}

static void file_in_the_way_of_a_folder_is_an_error(void **state)
{
	write_file(in_folder(state, "a"), "x", 1);
	assert_int_equal(aur_folder_create(in_folder(state, "a")), AUR_IO);
	assert_message_has("Not a directory");
	assert_int_equal(aur_folder_create(in_folder(state, "a/b")), AUR_IO);
}

static void atomic_write_replaces_and_leaves_nothing(void **state)
{
	const char *path = in_folder(state, "f");
	char *text;
	size_t bytes;
	assert_ok(aur_file_write_atomic(path, "first", 5));
	assert_ok(aur_file_write_atomic(path, "second!", 7));
	assert_ok(aur_file_read(path, 100, &text, &bytes));
	assert_string_equal(text, "second!");
	assert_int_equal(bytes, 7);
	free(text);
	assert_int_equal(files_in(((struct folder *)*state)->path), 1);
}

/* The folder that takes the file's final name makes the rename fail: the partial file must not stay. */
static void failed_atomic_write_removes_its_partial_file(void **state)
{
	const char *path = in_folder(state, "f");
	assert_ok(aur_folder_create(in_folder(state, "f/inner")));
	assert_int_equal(aur_file_write_atomic(path, "x", 1), AUR_IO);
	assert_message_has("cannot rename");
	assert_int_equal(files_in(((struct folder *)*state)->path), 1);
	assert_int_equal(aur_file_write_atomic(in_folder(state, "no/such"), "x", 1), AUR_IO);
	assert_message_has("cannot create: No such file or directory");
}

static void device_full_is_an_io_error(void **state)
{
	(void)state;
	if (access("/dev/full", W_OK) != 0) {
		print_message("SKIP: /dev/full is not there or not writable\n");
		skip();
	}
	/* Its partial name leads to a device that is always full. */
	const char *path = in_folder(state, "f");
	assert_int_equal(symlink("/dev/full", in_folder(state, "f.partial")), 0);
	assert_int_equal(aur_file_write_atomic(path, "text", 4), AUR_IO);
	assert_message_has("cannot write: No space left on device");
	assert_false(aur_file_exists(path));
}

static void inputs_are_told_from_what_is_none(void **state)
{
	int64_t bytes = -1;
	const char *path = in_folder(state, "f"), *pipe = in_folder(state, "pipe");
	assert_int_equal(aur_file_check_input(path, &bytes), AUR_INPUT);
	assert_message_has("No such file");
	write_file(path, "", 0);
	assert_int_equal(aur_file_check_input(path, &bytes), AUR_INPUT);
	assert_message_has("is empty");
	write_file(path, "abc", 3);
	assert_ok(aur_file_check_input(path, &bytes));
	assert_int_equal(bytes, 3);
	assert_int_equal(aur_file_check_input(((struct folder *)*state)->path, &bytes), AUR_INPUT);
	assert_message_has("is a folder");
	/* Without waiting for a writer. */
	assert_int_equal(mkfifo(pipe, 0666), 0);
	assert_int_equal(aur_file_check_input(pipe, &bytes), AUR_INPUT);
	assert_message_has("is not a regular file");
}

static void file_beyond_the_limit_is_refused(void **state)
{
	const char *path = in_folder(state, "f");
	char *text;
	size_t bytes;
	write_file(path, "abcd", 4);
	assert_int_equal(aur_file_read(path, 3, &text, &bytes), AUR_INPUT);
	assert_message_has("at most 3");
	assert_null(text);
	assert_ok(aur_file_read(path, 4, &text, &bytes));
	assert_string_equal(text, "abcd");
	free(text);
}

static void removing_a_missing_file_is_fine(void **state)
{
	const char *path = in_folder(state, "f");
	write_file(path, "x", 1);
	assert_ok(aur_file_remove(path));
	assert_ok(aur_file_remove(path));
	assert_false(aur_file_exists(path));
	assert_int_equal(aur_file_rename(path, path), AUR_IO);
	assert_int_equal(aur_file_sync(path), AUR_IO);
	assert_ok(aur_folder_sync_of(path));
	assert_ok(aur_folder_sync_of("plain-name"));
}

static void make_tree(void **state)
{
	assert_ok(aur_folder_create(in_folder(state, "d/sub")));
	write_file(in_folder(state, "d/b.txt"), "x", 1);
	write_file(in_folder(state, "d/a.txt"), "x", 1);
	write_file(in_folder(state, "d/c.h5"), "x", 1);
	write_file(in_folder(state, "d/.hidden.txt"), "x", 1);
	write_file(in_folder(state, "d/sub/z.txt"), "x", 1);
	/* A circle. */
	assert_int_equal(symlink("..", in_folder(state, "d/sub/up")), 0);
}

static void folder_is_listed_sorted_without_hidden_files(void **state)
{
	struct aur_paths paths = {0};
	make_tree(state);
	assert_ok(aur_folder_list(in_folder(state, "d"), ".txt", 0, &paths));
	assert_int_equal(paths.count, 2);
	assert_string_equal(paths.items[0], in_folder(state, "d/a.txt"));
	assert_string_equal(paths.items[1], in_folder(state, "d/b.txt"));
	aur_paths_clear(&paths);
	assert_ok(aur_folder_list(in_folder(state, "d"), NULL, 1, &paths));
	assert_int_equal(paths.count, 4);
	assert_string_equal(paths.items[3], in_folder(state, "d/sub/z.txt"));
	aur_paths_clear(&paths);
	assert_int_equal(aur_folder_list(in_folder(state, "nowhere"), NULL, 1, &paths), AUR_INPUT);
	assert_message_has("nowhere");
}

static void files_and_globs_are_expanded(void **state)
{
	struct aur_paths paths = {0};
	make_tree(state);
	assert_ok(aur_paths_expand("a,b@1.h5", &paths));
	assert_ok(aur_paths_expand(in_folder(state, "d/?.txt"), &paths));
	assert_ok(aur_paths_expand(in_folder(state, "d/c.h5"), &paths));
	assert_int_equal(paths.count, 4);
	assert_string_equal(paths.items[0], "a,b@1.h5");
	assert_string_equal(paths.items[1], in_folder(state, "d/a.txt"));
	assert_string_equal(paths.items[2], in_folder(state, "d/b.txt"));
	assert_string_equal(paths.items[3], in_folder(state, "d/c.h5"));
	aur_paths_clear(&paths);
}

static void glob_without_a_match_is_an_error(void **state)
{
	struct aur_paths paths = {0};
	assert_int_equal(aur_paths_expand(in_folder(state, "*.h5"), &paths), AUR_INPUT);
	assert_message_has("no file matches");
	aur_paths_clear(&paths);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(folder_is_created_with_its_parents),
		IN_FOLDER(file_in_the_way_of_a_folder_is_an_error),
		IN_FOLDER(atomic_write_replaces_and_leaves_nothing),
		IN_FOLDER(failed_atomic_write_removes_its_partial_file),
		IN_FOLDER(device_full_is_an_io_error),
		IN_FOLDER(inputs_are_told_from_what_is_none),
		IN_FOLDER(file_beyond_the_limit_is_refused),
		IN_FOLDER(removing_a_missing_file_is_fine),
		IN_FOLDER(folder_is_listed_sorted_without_hidden_files),
		IN_FOLDER(files_and_globs_are_expanded),
		IN_FOLDER(glob_without_a_match_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
