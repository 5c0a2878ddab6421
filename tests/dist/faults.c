#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Preloaded into the program by the tests: makes one rank fail where the others do not.
 *
 *   AURELIUS_FAULT=open:SUBSTRING   opening a file of that name fails with EIO
 *   AURELIUS_FAULT_RANK=N           on this rank alone (all without it)
 */

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);

static int is_chosen_rank(void)
{
	const char *wanted = getenv("AURELIUS_FAULT_RANK"), *rank = getenv("OMPI_COMM_WORLD_RANK");
	return !wanted || (rank && strcmp(wanted, rank) == 0);
}

static int must_fail(const char *path)
{
	const char *fault = getenv("AURELIUS_FAULT");
	if (!fault || strncmp(fault, "open:", 5) != 0 || !is_chosen_rank())
		return 0;
	return strstr(path, fault + 5) != NULL;
}

static int real_open(const char *name, const char *path, int flags, mode_t mode)
{
	int (*next)(const char *, int, ...) = NULL;
	void *symbol = dlsym(RTLD_NEXT, name);
	memcpy(&next, &symbol, sizeof next);
	if (must_fail(path)) {
		errno = EIO;
		return -1;
	}
	return next(path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments)
{
	return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(arguments, int) : 0;
}

int open(const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	const mode_t mode = mode_of(flags, arguments);
	va_end(arguments);
	return real_open("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	const mode_t mode = mode_of(flags, arguments);
	va_end(arguments);
	return real_open("open64", path, flags, mode);
}
