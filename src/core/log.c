#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>

static aur_log_sink current_sink;

void aur_log_set_sink(aur_log_sink sink)
{
	current_sink = sink;
}

void aur_log(enum aur_log_level level, const char *format, ...)
{
	if (!current_sink)
		return;
	char line[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	current_sink(level, line);
}
