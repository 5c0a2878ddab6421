#include "train/run_folder.h"

#include "core/clock.h"
#include "core/log.h"
#include "io/checkpoint.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

aur_status aur_run_path(const char *run, const char *name, char *path, size_t bytes)
{
	const int length = snprintf(path, bytes, "%s/%s", run, name);
	if (length < 0 || (size_t)length >= bytes)
		return aur_fail(AUR_USAGE, "%s: the path is too long", run);
	return AUR_OK;
}

aur_status aur_run_checkpoint_path(const char *run, int64_t step, char *path, size_t bytes)
{
	char name[64];
	snprintf(name, sizeof name, "checkpoints/step-%08lld.h5", (long long)step);
	return aur_run_path(run, name, path, bytes);
}

/* What the lock file says of its holder: one line. */
static void read_holder(int descriptor, char *text, size_t bytes)
{
	const ssize_t got = pread(descriptor, text, bytes - 1, 0);
	text[got > 0 ? got : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static aur_status write_holder(const char *path, int descriptor)
{
	char host[128] = "unknown", now[32], line[256];
	gethostname(host, sizeof host - 1);
	aur_clock_text(now, sizeof now);
	const int length = snprintf(line, sizeof line, "process %ld on %s since %s\n", (long)getpid(), host, now);
	if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, line, (size_t)length, 0) != length)
		return aur_fail(AUR_IO, "%s: cannot write: %s", path, strerror(errno));
	return AUR_OK;
}

static aur_status lock_file(const char *run, const char *path, struct aur_run_lock *lock)
{
	lock->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (lock->descriptor < 0)
		return aur_fail(AUR_IO, "%s: cannot open: %s", path, strerror(errno));
	char holder[256];
	const int taken = flock(lock->descriptor, LOCK_EX | LOCK_NB) == 0;
	const int code = errno;
	read_holder(lock->descriptor, holder, sizeof holder);
	if (!taken && code == EWOULDBLOCK)
		return aur_fail(AUR_IO, "%s: another run is training in this folder: %s (stop it, or choose another --run)",
			run, holder[0] ? holder : "its lock names no process");
	if (!taken)
		return aur_fail(AUR_IO, "%s: cannot lock: %s", path, strerror(code));
	if (holder[0])
		aur_warn("%s: took over the lock of a run that ended without releasing it: %s", run, holder);
	return write_holder(path, lock->descriptor);
}

/* A save that was killed leaves its file under the name of a partial one. Whoever holds the lock may remove it. */
static aur_status remove_partials(const char *folder)
{
	struct aur_paths paths = {0};
	aur_status status = aur_folder_list(folder, ".partial", 0, &paths);
	for (int64_t i = 0; i < paths.count && status == AUR_OK; i++) {
		status = aur_file_remove(paths.items[i]);
		if (status == AUR_OK)
			aur_info("removed %s: a save that was killed left it", paths.items[i]);
	}
	aur_paths_clear(&paths);
	return status;
}

aur_status aur_run_lock_take(const char *run, struct aur_run_lock *lock)
{
	char path[AUR_PATH], checkpoints[AUR_PATH];
	lock->descriptor = -1;
	AUR_TRY(aur_run_path(run, "checkpoints", checkpoints, sizeof checkpoints));
	AUR_TRY(aur_folder_create(checkpoints));
	AUR_TRY(aur_run_path(run, "lock", path, sizeof path));
	aur_status status = lock_file(run, path, lock);
	if (status == AUR_OK)
		status = remove_partials(checkpoints);
	if (status != AUR_OK && lock->descriptor >= 0) {
		close(lock->descriptor);
		lock->descriptor = -1;
	}
	return status;
}

void aur_run_lock_release(struct aur_run_lock *lock)
{
	if (lock->descriptor < 0)
		return;
	/* An empty file tells the next run that this one ended by itself. Best effort: the lock itself goes with close. */
	if (ftruncate(lock->descriptor, 0) != 0)
		aur_warn("lock: cannot empty it: %s", strerror(errno));
	close(lock->descriptor);
	lock->descriptor = -1;
}

/* The step in ".../step-00001000.h5", or -1. */
static int64_t step_in_name(const char *path)
{
	const char *name = strrchr(path, '/');
	name = name ? name + 1 : path;
	long long step = -1;
	int end = 0;
	if (sscanf(name, "step-%lld.h5%n", &step, &end) != 1 || end == 0 || name[end] != '\0')
		return -1;
	return step;
}

static int newer_first(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? 1 : x > y ? -1 : 0;
}

aur_status aur_run_checkpoints(const char *run, int64_t **steps, int64_t *count)
{
	char folder[AUR_PATH];
	struct aur_paths paths = {0};
	*steps = NULL;
	*count = 0;
	AUR_TRY(aur_run_path(run, "checkpoints", folder, sizeof folder));
	if (!aur_file_exists(folder))
		return AUR_OK;
	AUR_TRY(aur_folder_list(folder, ".h5", 0, &paths));
	*steps = malloc(((size_t)paths.count + 1) * sizeof **steps);
	if (!*steps) {
		aur_paths_clear(&paths);
		return aur_fail(AUR_MEMORY, "%s: no memory for its list of checkpoints", run);
	}
	for (int64_t i = 0; i < paths.count; i++) {
		const int64_t step = step_in_name(paths.items[i]);
		if (step >= 0)
			(*steps)[(*count)++] = step;
	}
	aur_paths_clear(&paths);
	qsort(*steps, (size_t)*count, sizeof **steps, newer_first);
	return AUR_OK;
}

aur_status aur_run_newest_good(const char *run, char *path, size_t bytes)
{
	int64_t *steps, count;
	AUR_TRY(aur_run_checkpoints(run, &steps, &count));
	aur_status status = AUR_OK;
	int found = 0;
	for (int64_t i = 0; i < count && !found && status == AUR_OK; i++) {
		status = aur_run_checkpoint_path(run, steps[i], path, bytes);
		if (status != AUR_OK)
			break;
		if (aur_checkpoint_verify(path) == AUR_OK)
			found = 1;
		else
			aur_warn("passed over a checkpoint: %s", aur_error_message());
	}
	free(steps);
	if (status != AUR_OK || found)
		return status;
	path[0] = '\0';
	if (count > 0)
		return aur_fail(
			AUR_INPUT, "%s: none of its %lld checkpoints is good (see the warnings above)", run, (long long)count);
	return AUR_OK;
}

aur_status aur_run_prune(const char *run, int64_t keep, int64_t step)
{
	if (keep < 1)
		return AUR_OK;
	int64_t *steps, count;
	AUR_TRY(aur_run_checkpoints(run, &steps, &count));
	aur_status status = AUR_OK;
	for (int64_t i = keep; i < count && status == AUR_OK; i++) {
		char path[AUR_PATH];
		if (steps[i] == step)
			continue;
		status = aur_run_checkpoint_path(run, steps[i], path, sizeof path);
		if (status == AUR_OK)
			status = aur_file_remove(path);
	}
	free(steps);
	return status;
}
