#include "commands/commands.h"
#include "io/file.h"
#include "io/tokens.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Each test works in an empty folder of its own. */
static char folder[64];

static int enter_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/aurelius-prepare-XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void write_text(const char *path, const char *text)
{
	assert_int_equal(aur_file_write_atomic(path, text, strlen(text)), AUR_OK);
}

/* Runs the command with its report out of the way. */
static aur_status prepare(const char *const *words, int n)
{
	const struct aur_command_context context = {.size = 1};
	char *argv[16] = {(char[]){"prepare"}};
	for (int i = 0; i < n; i++)
		argv[i + 1] = (char *)(uintptr_t)words[i];
	fflush(stdout);
	const int saved = dup(STDOUT_FILENO), quiet = open("/dev/null", O_WRONLY);
	dup2(quiet, STDOUT_FILENO);
	const aur_status status = aur_command_prepare(&context, n + 1, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(quiet);
	return status;
}

#define PREPARE(...)                                                                                                   \
	prepare((const char *const[]){__VA_ARGS__}, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static struct aur_tokens_info info_of(const char *path)
{
	struct aur_tokens *tokens = NULL;
	assert_int_equal(aur_tokens_open(path, &tokens), AUR_OK);
	struct aur_tokens_info info = *aur_tokens_info(tokens);
	info.sources = NULL;
	aur_tokens_close(&tokens);
	return info;
}

static void assert_part(const char *path, enum aur_split split, const int32_t *expected, int64_t count)
{
	int32_t read[16];
	struct aur_tokens *tokens = NULL;
	assert_int_equal(aur_tokens_open(path, &tokens), AUR_OK);
	assert_int_equal(aur_tokens_read(tokens, split, 0, count, read), AUR_OK);
	assert_memory_equal(read, expected, (size_t)count * sizeof *expected);
	aur_tokens_close(&tokens);
}

static void assert_message(const char *part)
{
	if (!strstr(aur_error_message(), part))
		fail_msg("'%s' is not in the message '%s'", part, aur_error_message());
}

static void validation_is_taken_from_the_end(void **state)
{
	(void)state;
	write_text("a.txt", "abcdefghij");
	assert_int_equal(PREPARE("a.txt", "--out", "a.h5", "--val-fraction=0.3"), AUR_OK);
	assert_int_equal(info_of("a.h5").train_tokens, 7);
	assert_int_equal(info_of("a.h5").val_tokens, 3);
	assert_part("a.h5", AUR_TRAIN, (int32_t[]){1, 2, 3, 4, 5, 6, 7}, 7);
	assert_part("a.h5", AUR_VAL, (int32_t[]){8, 9, 10}, 3);
}

/* (1 - 0.9) * 10 is 0.99999999999999978 in doubles. */
static void fractions_that_are_not_exact_in_binary_split_as_written(void **state)
{
	(void)state;
	write_text("a.txt", "abcdefghij");
	assert_int_equal(PREPARE("a.txt", "--out", "a.h5", "--val-fraction=0.9"), AUR_OK);
	assert_int_equal(info_of("a.h5").train_tokens, 1);
	assert_int_equal(PREPARE("a.txt", "--out", "a.h5", "--val-fraction=0.25"), AUR_OK);
	assert_int_equal(info_of("a.h5").train_tokens, 7);
	assert_int_equal(PREPARE("a.txt", "--out", "a.h5", "--val-fraction=0"), AUR_OK);
	assert_int_equal(info_of("a.h5").train_tokens, 10);
}

static void folders_are_read_in_the_order_of_their_names(void **state)
{
	(void)state;
	assert_int_equal(aur_folder_create("texts/deep"), AUR_OK);
	write_text("texts/b.txt", "b");
	write_text("texts/deep/c.txt", "c");
	write_text("texts/a.txt", "a");
	write_text("texts/notes.md", "x");
	assert_int_equal(PREPARE("texts", "--out", "t.h5", "--val-fraction=0"), AUR_OK);
	assert_part("t.h5", AUR_TRAIN, (int32_t[]){1, 2, 3}, 3);
}

static void older_dataset_stays_when_preparing_fails(void **state)
{
	(void)state;
	write_text("a.txt", "abcdefghij");
	write_text("bad.txt", "abc\xff");
	assert_int_equal(PREPARE("a.txt", "--out", "a.h5"), AUR_OK);
	assert_int_equal(PREPARE("bad.txt", "--out", "a.h5"), AUR_INPUT);
	assert_message("bad.txt: not UTF-8 at byte 3");
	assert_int_equal(info_of("a.h5").train_tokens, 8);
	assert_false(aur_file_exists("a.h5.partial"));
}

static void inputs_that_are_no_texts_are_refused_by_name(void **state)
{
	(void)state;
	write_text("empty.txt", "");
	assert_int_equal(aur_folder_create("folder"), AUR_OK);
	assert_int_equal(mkfifo("pipe.txt", 0600), 0);
	static const char *const wrong[] = {"missing.txt", "empty.txt", "folder", "pipe.txt"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(PREPARE(wrong[i], "--out", "a.h5"), AUR_INPUT);
		assert_message(wrong[i]);
	}
	assert_false(aur_file_exists("a.h5"));
}

static void text_too_short_to_split_is_refused(void **state)
{
	(void)state;
	write_text("a.txt", "a");
	assert_int_equal(PREPARE("a.txt", "--out", "a.h5"), AUR_INPUT);
	write_text("b.txt", "ABC");
	assert_int_equal(PREPARE("b.txt", "--out", "a.h5", "--clean=original"), AUR_INPUT);
	assert_false(aur_file_exists("a.h5"));
}

/* Options come first: the missing text is not what the message is about. */
static void options_are_checked_before_files_are_opened(void **state)
{
	(void)state;
	assert_int_equal(PREPARE("missing.txt", "--out", "a.h5", "--val-fraction=1"), AUR_USAGE);
	assert_int_equal(PREPARE("missing.txt", "--out", "a.h5", "--tokenizer=syllable"), AUR_USAGE);
	assert_message("char");
	assert_int_equal(PREPARE("missing.txt", "--out", "a.h5", "--clean=deep"), AUR_USAGE);
	assert_int_equal(PREPARE("missing.txt", "--out", "a.h5", "--report=a.pdf"), AUR_USAGE);
	assert_int_equal(PREPARE("missing.txt"), AUR_USAGE);
	assert_message("--out");
}

static void text_is_not_overwritten_by_its_dataset(void **state)
{
	(void)state;
	write_text("a.txt", "abcdefghij");
	assert_int_equal(PREPARE("a.txt", "--out", "./a.txt"), AUR_USAGE);
	assert_int_equal(PREPARE("a.txt", "--out", "/dev/null"), AUR_IO);
	struct stat info;
	assert_int_equal(stat("a.txt", &info), 0);
	assert_int_equal(info.st_size, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(validation_is_taken_from_the_end),
		TEST(fractions_that_are_not_exact_in_binary_split_as_written),
		TEST(folders_are_read_in_the_order_of_their_names),
		TEST(older_dataset_stays_when_preparing_fails),
		TEST(inputs_that_are_no_texts_are_refused_by_name),
		TEST(text_too_short_to_split_is_refused),
		TEST(options_are_checked_before_files_are_opened),
		TEST(text_is_not_overwritten_by_its_dataset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
