#ifndef AUR_COMMANDS_COMMANDS_H
#define AUR_COMMANDS_COMMANDS_H

#include "core/status.h"

struct aur_comm;

/* What main knows and every command is given. */
struct aur_command_context {
	int rank, size;          /* MPI's; 0 and 1 without mpirun */
	struct aur_comm *world;  /* borrowed; NULL where main has not opened one */
	int terminal;            /* 1: standard output is a terminal, so progress bars may be drawn */
	const char *mpi_library; /* its name and version; NULL where main has not asked */
};

/* A command: argv[0] is its name, the rest its options. Prints its results to standard output and returns why it could
 * not; --help prints the usage and is AUR_OK. prepare, train and sweep are collective; the others run on rank 0 alone
 * and are done at once on the other ranks. */
typedef aur_status (*aur_command)(const struct aur_command_context *context, int argc, char **argv);

aur_status aur_command_prepare(const struct aur_command_context *context, int argc, char **argv);
aur_status aur_command_train(const struct aur_command_context *context, int argc, char **argv);
aur_status aur_command_eval(const struct aur_command_context *context, int argc, char **argv);
aur_status aur_command_generate(const struct aur_command_context *context, int argc, char **argv);
aur_status aur_command_tokenize(const struct aur_command_context *context, int argc, char **argv);
aur_status aur_command_plot(const struct aur_command_context *context, int argc, char **argv);
aur_status aur_command_inspect(const struct aur_command_context *context, int argc, char **argv);
aur_status aur_command_export(const struct aur_command_context *context, int argc, char **argv);
aur_status aur_command_sweep(const struct aur_command_context *context, int argc, char **argv);
aur_status aur_command_plan(const struct aur_command_context *context, int argc, char **argv);
aur_status aur_command_doctor(const struct aur_command_context *context, int argc, char **argv);

#endif
