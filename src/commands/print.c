#include "print.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The reason of the first failure: ferror does not keep it. */
static int print_errno;

static void remember(int failed)
{
	if (failed && print_errno == 0)
		print_errno = errno != 0 ? errno : EIO;
}

void aur_print(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	errno = 0;
	remember(vprintf(format, arguments) < 0);
	va_end(arguments);
}

void aur_print_bytes(const char *bytes, size_t size)
{
	errno = 0;
	remember(fwrite(bytes, 1, size, stdout) != size);
}

int aur_print_in_colours(void)
{
	const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
	return isatty(STDOUT_FILENO) && !(none && none[0] != '\0') && terminal && strcmp(terminal, "dumb") != 0;
}

void aur_print_flush(void)
{
	errno = 0;
	remember(fflush(stdout) != 0);
}

aur_status aur_print_end(void)
{
	aur_print_flush();
	if (print_errno != 0)
		return aur_fail(AUR_IO, "standard output: cannot write: %s", strerror(print_errno));
	return AUR_OK;
}
