#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { CACHES = 8 };
static const size_t assumed_cache = (size_t)32 << 20;

/* "model name : AMD EPYC"; where /proc/cpuinfo has no such line, the architecture. */
static void read_processor(char *text, size_t bytes)
{
	char line[256];
	struct utsname system;
	snprintf(text, bytes, "%s", uname(&system) == 0 ? system.machine : "unknown");
	FILE *file = fopen("/proc/cpuinfo", "re");
	if (!file)
		return;
	while (fgets(line, sizeof line, file)) {
		const char *colon = strchr(line, ':');
		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(text, bytes, "%s", colon + 1 + strspn(colon + 1, " "));
		break;
	}
	fclose(file);
}

/* A number with a unit behind it, "2048K", from the description of one cache of core 0; 0 where there is none. */
static size_t read_cache(int index, const char *what)
{
	char path[128], line[32] = "";
	snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, what);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	char *unit = line;
	const size_t number = fgets(line, sizeof line, file) ? strtoul(line, &unit, 10) : 0;
	fclose(file);
	return *unit == 'K' ? number << 10 : *unit == 'M' ? number << 20 : number;
}

void bench_machine_read(struct bench_machine *machine)
{
	*machine = (struct bench_machine){0};
	read_processor(machine->processor, sizeof machine->processor);
	for (int i = 0; i < CACHES; i++) {
		const size_t size = read_cache(i, "size");
		if (read_cache(i, "level") == 2)
			machine->level2 = size;
		if (size > machine->last_level)
			machine->last_level = size;
	}
	if (machine->last_level == 0)
		machine->last_level = assumed_cache;
}
