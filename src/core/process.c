#include "core/process.h"

#include <stdio.h>
#include <string.h>

/* "VmRSS:     12345 kB" */
static int64_t read_status(const char *name)
{
	char line[256];
	long long kib = 0;
	const size_t length = strlen(name);
	FILE *file = fopen("/proc/self/status", "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof line, file))
		if (strncmp(line, name, length) == 0 && sscanf(line + length, ": %lld", &kib) == 1)
			break;
	fclose(file);
	return (int64_t)kib * 1024;
}

int64_t aur_process_resident(void)
{
	return read_status("VmRSS");
}

int64_t aur_process_peak(void)
{
	return read_status("VmHWM");
}
