#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char message[2048];

static void finish(const char *where)
{
	const size_t used = strlen(message);
	if (*where)
		snprintf(message + used, sizeof message - used, " (%s)", where);
	fprintf(stderr, "emulator: %s\n", message);
}

void message_set_list(const char *format, va_list list)
{
	char where[512] = "";
	grid_describe(where, sizeof where);
	vsnprintf(message, sizeof message, format, list);
	finish(where);
}

void message_set(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	message_set_list(format, list);
	va_end(list);
}

const char *aur_emulator_message(void)
{
	return message;
}
