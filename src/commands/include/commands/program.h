#ifndef AUR_COMMANDS_PROGRAM_H
#define AUR_COMMANDS_PROGRAM_H

#include "commands/commands.h"

/* What main does besides MPI: choosing the command, --help and --version, and the one line a failure ends in. */

/* Sends log lines to standard error and makes a broken pipe or a file-size limit an error code instead of a signal. */
void aur_program_start(void);

/* Passes `status` on, or AUR_USAGE when Slurm started several processes without telling them of each other. */
aur_status aur_program_check_launcher(aur_status status);

/* 1 when somebody watches standard output: a terminal with a size. mpirun gives its ranks one without. */
int aur_program_terminal(void);

/* Runs argv[1], or prints help or the version. Checks that everything printed reached standard output. */
aur_status aur_program_run(const struct aur_command_context *context, int argc, char **argv);

/* Prints "aurelius: MESSAGE" to standard error. Where ranks leave together, whoever holds the agreed message prints it;
 * one that failed alone says which rank it is. */
void aur_program_report(aur_status status, int rank, int together);

#endif
