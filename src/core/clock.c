#include "core/clock.h"

#include <time.h>

double aur_clock_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void aur_clock_text(char *text, size_t bytes)
{
	const time_t now = time(NULL);
	struct tm parts;
	gmtime_r(&now, &parts);
	if (strftime(text, bytes, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0 && bytes > 0)
		text[0] = '\0';
}
