#include "io_helpers.h"

#include "core/log.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "train/run_folder.h"

#include <signal.h>
#include <sys/wait.h>

static char warnings[4096];

static void keep_warnings(enum aur_log_level level, const char *line)
{
	if (level == AUR_LOG_WARNING)
		snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", line);
}

static int setup(void **state)
{
	warnings[0] = '\0';
	aur_log_set_sink(keep_warnings);
	return folder_setup(state);
}

static const char *run_of(void **state)
{
	return ((struct folder *)*state)->path;
}

static void write_checkpoint(void **state, int64_t step)
{
	char path[AUR_PATH];
	char config[] = "model: {kind: bigram}\n";
	const struct aur_checkpoint_meta meta = {.kind = "checkpoint", .version = 1, .step = step, .config = config};
	const struct aur_vocab vocab = letters(4);
	const struct aur_history history = {0};
	const struct aur_tensor_record table = {.name = "table", .dims = 2, .shape = {4, 4}};
	const float data[16] = {(float)step};
	struct aur_checkpoint_writer *writer = NULL;
	assert_ok(aur_folder_create(in_folder(state, "checkpoints")));
	assert_ok(aur_run_checkpoint_path(run_of(state), step, path, sizeof path));
	assert_ok(aur_checkpoint_begin(path, &meta, &vocab, &history, &writer));
	for (int part = 0; part < AUR_CHECKPOINT_PARTS; part++)
		assert_ok(aur_checkpoint_write(writer, (enum aur_checkpoint_part)part, &table, data));
	assert_ok(aur_checkpoint_finish(&writer));
}

static void damage(const char *path)
{
	size_t bytes;
	unsigned char *data = read_file(path, &bytes);
	write_file(path, data, bytes / 2);
	free(data);
}

static void a_second_run_is_refused_and_names_the_first(void **state)
{
	struct aur_run_lock first, second;
	char pid[64];
	assert_ok(aur_run_lock_take(run_of(state), &first));
	assert_int_equal(aur_run_lock_take(run_of(state), &second), AUR_IO);
	snprintf(pid, sizeof pid, "process %ld", (long)getpid());
	assert_message_has(pid);
	aur_run_lock_release(&first);
	assert_ok(aur_run_lock_take(run_of(state), &second));
	assert_string_equal(warnings, "");
	aur_run_lock_release(&second);
}

/* A killed process cannot clean up: the next run must neither be refused nor silent about it. */
static void the_lock_of_a_dead_process_is_taken_over(void **state)
{
	const pid_t child = fork();
	if (child == 0) {
		struct aur_run_lock lock;
		if (aur_run_lock_take(run_of(state), &lock) != AUR_OK)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	int code;
	assert_int_equal(waitpid(child, &code, 0), child);
	assert_true(WIFSIGNALED(code));
	struct aur_run_lock lock;
	assert_ok(aur_run_lock_take(run_of(state), &lock));
	char pid[64];
	snprintf(pid, sizeof pid, "process %ld", (long)child);
	assert_non_null(strstr(warnings, pid));
	aur_run_lock_release(&lock);
}

static void resume_passes_over_damaged_checkpoints_and_says_so(void **state)
{
	char path[AUR_PATH], newest[AUR_PATH];
	for (int64_t step = 100; step <= 300; step += 100)
		write_checkpoint(state, step);
	assert_ok(aur_run_checkpoint_path(run_of(state), 300, newest, sizeof newest));
	damage(newest);
	assert_ok(aur_run_newest_good(run_of(state), path, sizeof path));
	assert_non_null(strstr(path, "step-00000200.h5"));
	assert_non_null(strstr(warnings, "step-00000300.h5"));
}

/* Starting anew over a folder of damaged checkpoints would lose a run silently. */
static void no_good_checkpoint_among_several_is_an_error(void **state)
{
	char path[AUR_PATH];
	write_checkpoint(state, 100);
	assert_ok(aur_run_checkpoint_path(run_of(state), 100, path, sizeof path));
	damage(path);
	assert_int_equal(aur_run_newest_good(run_of(state), path, sizeof path), AUR_INPUT);
}

static void an_empty_folder_has_none(void **state)
{
	char path[AUR_PATH] = "x";
	assert_ok(aur_run_newest_good(run_of(state), path, sizeof path));
	assert_string_equal(path, "");
}

static void pruning_keeps_the_newest_and_the_one_just_written(void **state)
{
	int64_t *steps, count;
	for (int64_t step = 100; step <= 500; step += 100)
		write_checkpoint(state, step);
	assert_ok(aur_run_prune(run_of(state), 2, 100));
	assert_ok(aur_run_checkpoints(run_of(state), &steps, &count));
	assert_int_equal(count, 3);
	assert_int_equal(steps[0], 500);
	assert_int_equal(steps[1], 400);
	assert_int_equal(steps[2], 100);
	free(steps);
}

/* Leftovers of a killed save and best.h5 are no checkpoints to resume from. */
static void other_files_are_not_taken_for_checkpoints(void **state)
{
	int64_t *steps, count;
	write_checkpoint(state, 7);
	write_file(in_folder(state, "checkpoints/best.h5"), "x", 1);
	write_file(in_folder(state, "checkpoints/step-00000009.h5.partial"), "x", 1);
	write_file(in_folder(state, "checkpoints/step-0x9.h5"), "x", 1);
	assert_ok(aur_run_checkpoints(run_of(state), &steps, &count));
	assert_int_equal(count, 1);
	assert_int_equal(steps[0], 7);
	free(steps);
}

/* Nothing half written stays behind a killed run, whatever the next one does. */
static void what_a_killed_save_left_is_removed(void **state)
{
	struct aur_run_lock lock;
	write_checkpoint(state, 7);
	write_file(in_folder(state, "checkpoints/step-00000009.h5.partial"), "x", 1);
	assert_ok(aur_run_lock_take(run_of(state), &lock));
	assert_int_equal(files_in(in_folder(state, "checkpoints")), 1);
	aur_run_lock_release(&lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_second_run_is_refused_and_names_the_first, setup, folder_teardown),
		cmocka_unit_test_setup_teardown(the_lock_of_a_dead_process_is_taken_over, setup, folder_teardown),
		cmocka_unit_test_setup_teardown(resume_passes_over_damaged_checkpoints_and_says_so, setup, folder_teardown),
		cmocka_unit_test_setup_teardown(no_good_checkpoint_among_several_is_an_error, setup, folder_teardown),
		cmocka_unit_test_setup_teardown(an_empty_folder_has_none, setup, folder_teardown),
		cmocka_unit_test_setup_teardown(pruning_keeps_the_newest_and_the_one_just_written, setup, folder_teardown),
		cmocka_unit_test_setup_teardown(other_files_are_not_taken_for_checkpoints, setup, folder_teardown),
		cmocka_unit_test_setup_teardown(what_a_killed_save_left_is_removed, setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
