#include "core/process.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* "VmRSS:     12345 kB" */
static int64_t read_kib(const char *path, const char *name)
{
	char line[256];
	long long kib = 0;
	const size_t length = strlen(name);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof line, file))
		if (strncmp(line, name, length) == 0 && sscanf(line + length, ": %lld", &kib) == 1)
			break;
	fclose(file);
	return (int64_t)kib * 1024;
}

static int64_t read_status(const char *name)
{
	return read_kib("/proc/self/status", name);
}

/* A number alone in its file; 0 for "max" and where there is none. */
static int64_t read_number(const char *path)
{
	long long number = 0;
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%lld", &number) != 1)
		number = 0;
	fclose(file);
	return (int64_t)number;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t aur_process_resident(void)
{
	return read_status("VmRSS");
}

int64_t aur_process_peak(void)
{
	return read_status("VmHWM");
}

void aur_machine_memory(int64_t *all, int64_t *available)
{
	const int64_t limit = read_number("/sys/fs/cgroup/memory.max");
	*all = read_kib("/proc/meminfo", "MemTotal");
	*available = read_kib("/proc/meminfo", "MemAvailable");
	if (limit <= 0)
		return;
	const int64_t left = limit - read_number("/sys/fs/cgroup/memory.current");
	*all = smaller(*all, limit);
	*available = smaller(*available, left > 0 ? left : 0);
}

int64_t aur_process_room(int sharers)
{
	int64_t all, available;
	struct rlimit limit;
	aur_machine_memory(&all, &available);
	if (all > 0)
		all = (all + read_kib("/proc/meminfo", "SwapTotal")) / sharers;
	if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > INT64_MAX)
		return all;
	/* Of addresses a process has more than it holds. */
	const int64_t own = (int64_t)limit.rlim_cur - (read_status("VmSize") - aur_process_resident());
	return all > 0 ? smaller(all, own) : own;
}
