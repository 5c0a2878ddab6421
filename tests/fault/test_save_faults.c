#include "../unit/io_helpers.h"
#include "io/file.h"
#include "io/hdf5.h"
#include "sample.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* A save that is killed, or whose calls fail, at each of its calls in turn: the old or the new checkpoint is there
 * afterwards, whole, and never neither. */

enum { OLD = 1, NEW = 2, CALLS_MAX = 2000, NOT_REACHED = 9 };

static const char *save_one;

static int run_save(const char *path, const char *mode, int call, const char *errors)
{
	char number[16];
	snprintf(number, sizeof number, "%d", call);
	const pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const int fd = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0666);
		dup2(fd, 2);
		execl(save_one, save_one, path, "2", mode, number, (char *)NULL);
		_exit(127);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static int step_there(const char *path)
{
	aur_status status;
	if (sample_check(path, OLD, &status) == 1)
		return OLD;
	return sample_check(path, NEW, &status) == 1 ? NEW : 0;
}

static void killed_at_every_call(void **state, const char *mode)
{
	const char *path = in_folder(state, "c.h5"), *partial = in_folder(state, "c.h5.partial");
	const char *errors = in_folder(state, "errors");
	int olds = 0, news = 0;
	for (int call = 1; call < CALLS_MAX; call++) {
		assert_ok(sample_save(path, OLD));
		const int status = run_save(path, mode, call, errors);
		const int step = step_there(path);
		if (step == 0)
			fail_msg("%s at call %d left no checkpoint: %s", mode, call, aur_error_message());
		olds += step == OLD;
		news += step == NEW;
		/* What a killed save leaves behind must not be taken for a checkpoint unless it is one, and goes with the next.
		 */
		unlink(partial);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), NOT_REACHED);
			break;
		}
		assert_int_equal(WTERMSIG(status), SIGKILL);
	}
	print_message("%s: %d times the old, %d times the new checkpoint\n", mode, olds, news);
	assert_true(olds > 10 && news > 0);
}

static void save_killed_at_any_call_leaves_a_checkpoint(void **state)
{
	killed_at_every_call(state, "kill");
}

static void save_killed_within_any_write_leaves_a_checkpoint(void **state)
{
	killed_at_every_call(state, "torn");
}

/* No crash, one message, nothing left behind, the old file whole. The last call is the folder's fsync, after the
 * rename. */
static void failing_at_every_call(void **state, const char *mode, const char *reason)
{
	const char *path = in_folder(state, "c.h5"), *partial = in_folder(state, "c.h5.partial");
	const char *errors = in_folder(state, "errors");
	int failed = 0;
	assert_ok(sample_save(path, OLD));
	for (int call = 1; call < CALLS_MAX; call++) {
		const int status = run_save(path, mode, call, errors);
		assert_true(WIFEXITED(status));
		assert_false(aur_file_exists(partial));
		if (WEXITSTATUS(status) == NOT_REACHED)
			break;
		size_t bytes;
		char *message = (char *)read_file(errors, &bytes);
		message[bytes] = '\0';
		if (WEXITSTATUS(status) != 1 || !strstr(message, reason) || !strstr(message, "cannot"))
			fail_msg("%s at call %d: exit %d, \"%s\"", mode, call, WEXITSTATUS(status), message);
		free(message);
		assert_int_not_equal(step_there(path), 0);
		failed++;
	}
	assert_int_equal(step_there(path), NEW);
	print_message("%s: %d calls failed\n", mode, failed);
	assert_true(failed > 10);
}

static void full_disk_at_any_call_leaves_the_old_checkpoint(void **state)
{
	failing_at_every_call(state, "enospc", "No space left on device");
}

static void io_error_at_any_call_leaves_the_old_checkpoint(void **state)
{
	failing_at_every_call(state, "eio", "Input/output error");
}

static void short_writes_go_on(void **state)
{
	const char *path = in_folder(state, "c.h5"), *errors = in_folder(state, "errors");
	for (int call = 1; call < CALLS_MAX; call++) {
		unlink(path);
		const int status = run_save(path, "short", call, errors);
		assert_true(WIFEXITED(status));
		assert_int_equal(step_there(path), NEW);
		if (WEXITSTATUS(status) == NOT_REACHED)
			return;
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	fail_msg("save_one never came to its end");
}

int main(int argc, char **argv)
{
	aur_hdf5_start();
	save_one = argc > 1 ? argv[1] : "./save_one";
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(save_killed_at_any_call_leaves_a_checkpoint),
		IN_FOLDER(save_killed_within_any_write_leaves_a_checkpoint),
		IN_FOLDER(full_disk_at_any_call_leaves_the_old_checkpoint),
		IN_FOLDER(io_error_at_any_call_leaves_the_old_checkpoint),
		IN_FOLDER(short_writes_go_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
