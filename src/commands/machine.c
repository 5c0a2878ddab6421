#include "machine.h"

#include "core/process.h"

#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- /proc and /sys ---- */

/* The first line of a file; empty where it cannot be read. */
static void first_line(const char *path, char *line, size_t bytes)
{
	line[0] = '\0';
	FILE *file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(line, (int)bytes, file))
		line[0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	fclose(file);
}

static int has_word(const char *list, const char *word)
{
	const size_t length = strlen(word);
	for (const char *at = strstr(list, word); at; at = strstr(at + 1, word))
		if ((at == list || at[-1] == ' ' || at[-1] == '\t') && (at[length] == ' ' || at[length] == '\0'))
			return 1;
	return 0;
}

/* Of the processor's flags those that the operations or the matrix libraries make use of. */
static void choose_instructions(const char *flags, char *chosen, size_t bytes)
{
	static const char *const useful[] = {"sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl",
		"avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "asimdhp", "sve", "sve2", "bf16", "i8mm"};
	size_t used = 0;
	for (size_t i = 0; i < sizeof useful / sizeof *useful && used < bytes; i++)
		if (has_word(flags, useful[i]))
			used += (size_t)snprintf(chosen + used, bytes - used, "%s%s", used ? " " : "", useful[i]);
}

static void read_processor(struct aur_machine *machine)
{
	char *line = NULL;
	size_t room = 0;
	FILE *file = fopen("/proc/cpuinfo", "re");
	if (!file)
		return;
	while (getline(&line, &room, file) > 0 && !(machine->processor[0] && machine->instructions[0])) {
		char *value = strchr(line, ':');
		if (!value)
			continue;
		value += 1 + strspn(value + 1, " ");
		value[strcspn(value, "\n")] = '\0';
		if (strncmp(line, "model name", 10) == 0)
			snprintf(machine->processor, sizeof machine->processor, "%s", value);
		else if (strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0)
			choose_instructions(value, machine->instructions, sizeof machine->instructions);
	}
	free(line);
	fclose(file);
}

static void read_affinity(struct aur_machine *machine)
{
	cpu_set_t mask;
	size_t used = 0;
	if (sched_getaffinity(0, sizeof mask, &mask) != 0)
		return;
	for (size_t i = 0; i < CPU_SETSIZE && used < sizeof machine->affinity; i++) {
		size_t end = i;
		if (!CPU_ISSET(i, &mask))
			continue;
		while (end + 1 < CPU_SETSIZE && CPU_ISSET(end + 1, &mask))
			end++;
		char *at = machine->affinity + used;
		const size_t room = sizeof machine->affinity - used;
		const char *comma = used ? "," : "";
		used +=
			(size_t)(end > i ? snprintf(at, room, "%s%zu-%zu", comma, i, end) : snprintf(at, room, "%s%zu", comma, i));
		i = end;
	}
}

/* "200000 100000" in a container that may use two cores; "max 100000" elsewhere. */
static double read_quota(void)
{
	char line[128];
	double granted = 0, period = 0;
	first_line("/sys/fs/cgroup/cpu.max", line, sizeof line);
	return sscanf(line, "%lf %lf", &granted, &period) == 2 && period > 0 ? granted / period : 0;
}

void aur_machine_read(struct aur_machine *machine)
{
	memset(machine, 0, sizeof *machine);
	machine->cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
	machine->quota = read_quota();
	read_processor(machine);
	read_affinity(machine);
	aur_machine_memory(&machine->memory_bytes, &machine->free_bytes);
}

/* ---- what is installed ---- */

static int find_in(const char *folder, int length, const char *name, char *path, size_t bytes)
{
	char pattern[4096];
	glob_t found;
	snprintf(pattern, sizeof pattern, "%.*s/%s", length, folder, name);
	const int any = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc > 0;
	if (any)
		snprintf(path, bytes, "%s", found.gl_pathv[0]);
	globfree(&found);
	return any;
}

static int find_in_list(const char *folders, const char *name, char *path, size_t bytes)
{
	while (folders && *folders) {
		const size_t length = strcspn(folders, ":");
		if (length > 0 && find_in(folders, (int)length, name, path, bytes))
			return 1;
		folders += length + (folders[length] == ':');
	}
	return 0;
}

int aur_machine_find_library(const char *name, char *path, size_t bytes)
{
	path[0] = '\0';
	return find_in_list(getenv("LD_LIBRARY_PATH"), name, path, bytes) ||
		   find_in_list("/usr/lib/x86_64-linux-gnu:/usr/lib/aarch64-linux-gnu:/usr/lib64:/usr/lib:/usr/local/lib:"
						"/usr/local/cuda/lib64:/usr/local/cuda/targets/*/lib:/usr/local/nvidia/lib64",
			   name, path, bytes);
}

int aur_machine_find_program(const char *name, char *path, size_t bytes)
{
	path[0] = '\0';
	return find_in_list(getenv("PATH"), name, path, bytes) && access(path, X_OK) == 0;
}

int aur_machine_gpus(char *driver, size_t bytes)
{
	glob_t found;
	first_line("/proc/driver/nvidia/version", driver, bytes);
	const int gpus = glob("/proc/driver/nvidia/gpus/*", 0, NULL, &found) == 0 ? (int)found.gl_pathc : 0;
	globfree(&found);
	return gpus;
}
