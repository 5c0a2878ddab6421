#include "io/hdf5.h"
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* save_one PATH STEP [MODE N]: saves the sample checkpoint, and lets the Nth call that changes the disk go wrong.
 *   kill     the process dies instead of the call
 *   torn     a write stores half of its bytes, then the process dies
 *   enospc, eio    the call and all later ones of its kind fail
 *   short    a write stores half of its bytes and says so
 * The calls are replaced by those below, for HDF5 too: a program's own definitions come before the C library's.
 * Exit: 0 saved and N was reached, 9 saved before N was reached, 1 failed with a message and
 * saved another time without faults, 3 could not even do that. */

static long trigger, calls;
static enum { NONE, KILL, TORN, FAIL, SHORT } mode;
static int failure;

/* 1 when this call shall go wrong. */
static int is_hit(int is_write)
{
	calls++;
	if (mode == NONE || calls < trigger || (mode != FAIL && calls > trigger))
		return 0;
	if (mode == KILL || (mode == TORN && !is_write))
		syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
	return 1;
}

static long half_of(long number, int fd, const void *data, size_t bytes, off_t offset)
{
	if (mode == FAIL) {
		errno = failure;
		return -1;
	}
	const long written = syscall(number, fd, data, bytes > 1 ? bytes / 2 : bytes, offset);
	if (mode == TORN)
		syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
	return written;
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
	return is_hit(1) ? half_of(SYS_pwrite64, fd, data, bytes, offset) : syscall(SYS_pwrite64, fd, data, bytes, offset);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
	return pwrite64(fd, data, bytes, offset);
}

static int fails(void)
{
	if (!is_hit(0) || mode != FAIL)
		return 0;
	errno = failure;
	return 1;
}

int ftruncate64(int fd, off64_t length)
{
	return fails() ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate(int fd, off_t length)
{
	return ftruncate64(fd, length);
}

int fsync(int fd)
{
	return fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
	return fails() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int set_mode(const char *name, const char *number)
{
	trigger = strtol(number, NULL, 10);
	if (strcmp(name, "kill") == 0)
		mode = KILL;
	else if (strcmp(name, "torn") == 0)
		mode = TORN;
	else if (strcmp(name, "short") == 0)
		mode = SHORT;
	else if (strcmp(name, "enospc") == 0 || strcmp(name, "eio") == 0)
		mode = FAIL;
	failure = strcmp(name, "eio") == 0 ? EIO : ENOSPC;
	return mode != NONE && trigger > 0;
}

/* A run goes on after a save that failed: the library must still be in order. */
static int can_save_again(const char *path)
{
	char again[512];
	aur_status status;
	snprintf(again, sizeof again, "%s.again", path);
	mode = NONE;
	const int saved = sample_save(again, 3) == AUR_OK && sample_check(again, 3, &status) == 1;
	if (!saved)
		fprintf(stderr, "%s\n", aur_error_message());
	unlink(again);
	return saved;
}

int main(int argc, char **argv)
{
	if ((argc != 3 && argc != 5) || (argc == 5 && !set_mode(argv[3], argv[4]))) {
		fprintf(stderr, "usage: save_one PATH STEP [kill|torn|enospc|eio|short N]\n");
		return 2;
	}
	aur_hdf5_start();
	if (sample_save(argv[1], strtol(argv[2], NULL, 10)) != AUR_OK) {
		fprintf(stderr, "%s\n", aur_error_message());
		return can_save_again(argv[1]) ? 1 : 3;
	}
	return mode != NONE && calls < trigger ? 9 : 0;
}
