#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[AUR_MESSAGE];

struct status_entry {
	const char *name;
	int exit_code;
	const char *text;
};

#define AUR_STATUS_ROW(name, code, text) [name] = {#name, code, text},
static const struct status_entry entries[AUR_STATUS_COUNT] = {AUR_STATUS_TABLE(AUR_STATUS_ROW)};

static const struct status_entry *entry_of(aur_status status)
{
	const unsigned index = (unsigned)status;
	return &entries[index < AUR_STATUS_COUNT ? index : AUR_INTERNAL];
}

int aur_status_exit_code(aur_status status)
{
	return entry_of(status)->exit_code;
}

const char *aur_status_name(aur_status status)
{
	return entry_of(status)->name;
}

const char *aur_status_text(aur_status status)
{
	return entry_of(status)->text;
}

/* One failure is one line that a terminal only shows: what a file's name or content has of line ends and escapes must
 * not reach it. */
static void keep_on_one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = ' ';
}

aur_status aur_fail(aur_status status, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	keep_on_one_line(message);
	return status;
}

aur_status aur_add_context(aur_status status, const char *format, ...)
{
	char earlier[AUR_MESSAGE];
	memcpy(earlier, message, sizeof earlier);
	va_list arguments;
	va_start(arguments, format);
	const int written = vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	const size_t used = written < 0 ? 0 : (size_t)written < sizeof message ? (size_t)written : sizeof message - 1;
	const int room = (int)(sizeof message - used) - 3;
	if (room > 0)
		snprintf(message + used, sizeof message - used, ": %.*s", room, earlier);
	keep_on_one_line(message);
	return status;
}

const char *aur_error_message(void)
{
	return message;
}

void aur_error_clear(void)
{
	message[0] = '\0';
}
