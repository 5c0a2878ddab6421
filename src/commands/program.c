#include "commands/program.h"

#include "comm/comm.h"
#include "core/build_info.h"
#include "core/log.h"
#include "core/suggest.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct command_entry {
	const char *name;
	aur_command run;
	const char *meaning;
};

static const struct command_entry commands[] = {
	{"prepare", aur_command_prepare, "turn texts into a token dataset"},
	{"train", aur_command_train, "train a model; goes on where the run stopped"},
	{"eval", aur_command_eval, "loss of a model on both splits of a dataset"},
	{"generate", aur_command_generate, "write text with a model"},
	{"tokenize", aur_command_tokenize, "show how a text becomes tokens, and back"},
	{"plot", aur_command_plot, "draw the loss curves of runs"},
	{"inspect", aur_command_inspect, "say what a dataset, checkpoint or run holds"},
	{"export", aur_command_export, "write a model without its optimizer state"},
	{"sweep", aur_command_sweep, "train a grid of configurations and compare them"},
	{"plan", aur_command_plan, "memory, time and traffic of a training before it runs"},
	{"doctor", aur_command_doctor, "what this machine has, can do, and lacks"},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_line(enum aur_log_level level, const char *line)
{
	fprintf(stderr, "%s%s\n", level == AUR_LOG_WARNING ? "warning: " : "", line);
}

void aur_program_start(void)
{
	aur_log_set_sink(print_line);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

aur_status aur_program_check_launcher(aur_status status)
{
	const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
	if (status != AUR_OK || !tasks || atoi(tasks) < 2 || !getenv("SLURM_PROCID"))
		return status;
	return aur_fail(AUR_USAGE, "srun started %s processes without PMIx: use srun --mpi=pmix", tasks);
}

/* mpirun gives its ranks a terminal of their own, whatever its output goes to: what counts is where mpirun writes. */
static int launcher_watches(void)
{
	char path[64], target[64];
	if (!getenv("OMPI_COMM_WORLD_RANK"))
		return 1;
	snprintf(path, sizeof path, "/proc/%ld/fd/1", (long)getppid());
	const ssize_t length = readlink(path, target, sizeof target - 1);
	target[length > 0 ? length : 0] = '\0';
	return strncmp(target, "/dev/pts/", 9) == 0 || strncmp(target, "/dev/tty", 8) == 0;
}

int aur_program_terminal(void)
{
	struct winsize size = {0};
	return launcher_watches() && isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
		   size.ws_col > 0;
}

static void print_help(void)
{
	printf("aurelius: trains GPT language models on any number of ranks\n\nUsage: aurelius COMMAND [options]\n\n");
	for (int i = 0; i < COMMANDS; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].meaning);
	printf("\n  aurelius COMMAND --help   options of a command\n"
		   "  aurelius --version        version, commit and what was compiled in\n");
}

static void print_version(void)
{
	printf("aurelius %s (commit %s)\n", AUR_VERSION, AUR_COMMIT);
	printf("compiled with %s, %s; communication: self, mpi, shared; backends: " AUR_BACKENDS "\n", AUR_COMPILER,
		AUR_BUILD_TYPE);
}

static aur_status unknown_command(const char *name)
{
	const char *names[COMMANDS];
	for (int i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	const char *near = aur_suggest(name, names, COMMANDS);
	if (near)
		return aur_fail(AUR_USAGE, "unknown command %s; did you mean %s? (aurelius --help lists them)", name, near);
	return aur_fail(AUR_USAGE, "unknown command %s (aurelius --help lists them)", name);
}

static aur_status run_command(const struct aur_command_context *context, int argc, char **argv)
{
	for (int i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(context, argc - 1, argv + 1);
	return unknown_command(argv[1]);
}

static aur_status dispatch(const struct aur_command_context *context, int argc, char **argv)
{
	if (argc < 2)
		return aur_fail(AUR_USAGE, "no command is given (aurelius --help lists them)");
	if (strcmp(argv[1], "--version") == 0) {
		if (context->rank == 0)
			print_version();
		return AUR_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		if (context->rank == 0)
			print_help();
		return AUR_OK;
	}
	return run_command(context, argc, argv);
}

/* Preparing and training are the work of several ranks. */
static int is_for_all_ranks(int argc, char **argv)
{
	static const char *const collective[] = {"prepare", "train", "sweep"};
	int found = 0;
	for (size_t i = 0; argc >= 2 && i < sizeof collective / sizeof *collective; i++)
		found |= strcmp(argv[1], collective[i]) == 0;
	if (!found)
		return 0;
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return 0;
	return 1;
}

/* Whatever else is started by mpirun is said once: rank 0 does it, the others leave with it. */
static aur_status run_on_ranks(const struct aur_command_context *context, int argc, char **argv)
{
	if (context->size <= 1 || !context->world || is_for_all_ranks(argc, argv))
		return dispatch(context, argc, argv);
	aur_status status = context->rank == 0 ? dispatch(context, argc, argv) : AUR_OK;
	AUR_TRY(context->world->ops->broadcast(context->world, &status, sizeof status, 0));
	return aur_comm_agree(context->world, status);
}

aur_status aur_program_run(const struct aur_command_context *context, int argc, char **argv)
{
	const aur_status status = run_on_ranks(context, argc, argv);
	if (fflush(stdout) != 0 && status == AUR_OK)
		return aur_fail(AUR_IO, "standard output cannot be written (is the disk full or the reader gone?)");
	return status;
}

void aur_program_report(aur_status status, int rank, int together)
{
	const char *message = aur_error_message();
	if (status == AUR_OK || status == AUR_STOPPED || !message[0])
		return;
	if (together)
		fprintf(stderr, "aurelius: %s\n", message);
	else
		fprintf(stderr, "aurelius: rank %d: %s\n", rank, message);
}
