/* That the driver finds what it is to find: parsers with one fault each, in a process of their own. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The fault shows in inputs that begin with another letter than the seed. */
static int is_seed(const struct fuzz_input *input)
{
	return input->size > 0 && input->bytes[0] == 's';
}

static aur_status refuse(void)
{
	return aur_fail(AUR_INPUT, "it does not begin with s");
}

static aur_status good(const struct fuzz_input *input)
{
	return is_seed(input) ? AUR_OK : refuse();
}

static aur_status crashes(const struct fuzz_input *input)
{
	int *volatile nothing = NULL;
	if (!is_seed(input))
		*nothing = 1;
	return AUR_OK;
}

static aur_status hangs(const struct fuzz_input *input)
{
	volatile int64_t count = 0;
	while (!is_seed(input))
		count = count + 1;
	return AUR_OK;
}

static aur_status grabs_memory(const struct fuzz_input *input)
{
	void *volatile memory = is_seed(input) ? NULL : malloc((size_t)FUZZ_MEMORY_MB << 21);
	const int refused = !is_seed(input) && !memory;
	free(memory);
	return refused ? aur_fail(AUR_MEMORY, "no memory") : good(input);
}

static aur_status blames_the_disk(const struct fuzz_input *input)
{
	return is_seed(input) ? AUR_OK : aur_fail(AUR_IO, "the disk failed");
}

static aur_status says_nothing(const struct fuzz_input *input)
{
	return is_seed(input) ? AUR_OK : AUR_INPUT;
}

static aur_status leaves_a_file_open(const struct fuzz_input *input)
{
	if (is_seed(input))
		return AUR_OK;
	return open(input->path, O_RDONLY) < 0 ? aur_fail(AUR_IO, "the file is not there") : refuse();
}

static aur_status takes_anything(const struct fuzz_input *input)
{
	(void)input;
	return AUR_OK;
}

static aur_status refuses_anything(const struct fuzz_input *input)
{
	(void)input;
	return refuse();
}

struct fault {
	const char *name;
	aur_status (*parse)(const struct fuzz_input *input);
	const char *said; /* NULL: nothing is to be found */
};

static const struct fault faults[] = {
	{"good", good, NULL},
	{"crash", crashes, "input "},
	{"hang", hangs, "takes too long"},
	{"memory", grabs_memory, "too much memory"},
	{"status", blames_the_disk, "AUR_IO"},
	{"message", says_nothing, "without a message"},
	{"file", leaves_a_file_open, "stays open"},
	{"taken", takes_anything, "no changed input was refused"},
	{"refused", refuses_anything, "a seed is refused"},
};

/* In the child: exits as a program of a target would. */
static void run_target(const struct fault *fault, const char *output)
{
	const int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
		_exit(3);
	fuzz_seed_text("seed 1 2 3");
	exit(fuzz_run(&(struct fuzz_target){
		.name = fault->name, .parse = fault->parse, .file = "x.txt", .rounds = 1000, .seconds = 1}));
}

static int output_has(const char *path, const char *text)
{
	static char said[1 << 16];
	FILE *stream = fopen(path, "r");
	const size_t size = stream ? fread(said, 1, sizeof said - 1, stream) : 0;
	if (stream)
		fclose(stream);
	said[size] = '\0';
	return strstr(said, text) != NULL;
}

static int is_found(const struct fault *fault)
{
	int status;
	char kept[64];
	snprintf(kept, sizeof kept, "%s.failed", fault->name);
	unlink(kept);
	fflush(NULL);
	const pid_t child = fork();
	if (child == 0)
		run_target(fault, "driver.output");
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return 0;
	const int is_kept = unlink(kept) == 0;
	if (!fault->said)
		return WEXITSTATUS(status) == 0 && !is_kept;
	return WEXITSTATUS(status) == 1 && is_kept && output_has("driver.output", fault->said);
}

int main(void)
{
	int missed = 0;
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (!is_found(&faults[i])) {
			fprintf(stderr, "the driver is wrong about the fault '%s' (driver.output)\n", faults[i].name);
			missed = 1;
		}
	return missed;
}
