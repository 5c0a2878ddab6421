#include "comm/mpi.h"
#include "commands/commands.h"
#include "commands/program.h"
#include "core/threads.h"
#include "cpu/cpu.h"
#ifdef AUR_WITH_NCCL
#include "comm/nccl.h"
#endif
#ifdef AUR_WITH_CUDA
#include "cuda/cuda.h"
#endif
#include "io/hdf5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Picks the command, starts and ends MPI; the only place that prints an error, exits or aborts. */

static int variable_is(const char *name, const char *value)
{
	const char *found = getenv(name);
	return found && strcmp(found, value) == 0;
}

/* A shell that srun started as its only task hands its variables to every command, but MPI can start there only once:
 * one rank does without MPI. */
static int is_only_task_of_slurm(void)
{
	const char *job = getenv("PMIX_NAMESPACE");
	return variable_is("PMI_SIZE", "1") ||
		   (job && strncmp(job, "slurm.", strlen("slurm.")) == 0 && variable_is("SLURM_STEP_NUM_TASKS", "1"));
}

static int launched_by_mpi(void)
{
	if (getenv("OMPI_COMM_WORLD_SIZE"))
		return 1;
	return (getenv("PMIX_RANK") || getenv("PMI_RANK")) && !is_only_task_of_slurm();
}

static aur_status open_world(int *argc, char ***argv, struct aur_comm **world)
{
	if (!launched_by_mpi())
		return aur_program_check_launcher(aur_comm_self_create(world));
	AUR_TRY(aur_comm_mpi_start(argc, argv));
	return aur_comm_mpi_create(MPI_COMM_WORLD, world);
}

/* Whether all ranks leave with this status: they agreed on it, or it is one they all see alike. */
static int leave_together(const struct aur_comm *world, aur_status status)
{
	return !world || world->size == 1 || status == world->agreed || status == AUR_OK || status == AUR_STOPPED ||
		   status == AUR_DIVERGED;
}

/* Ranks that agreed on their failure leave by MPI_Finalize; one that failed alone must end the others. */
static void close_world(struct aur_comm **world, int together, aur_status status)
{
	int started = 0;
	MPI_Initialized(&started);
	if (started && !together)
		MPI_Abort(MPI_COMM_WORLD, aur_status_exit_code(status));
	aur_comm_close(world);
	if (started)
		MPI_Finalize();
}

/* Passive waiting has to be asked for before the thread library loads: the program starts itself once more. */
static void settle_environment(char **argv)
{
	if (aur_threads_environment())
		execv("/proc/self/exe", argv);
}

/* What was compiled in. */
static void register_parts(void)
{
#ifdef AUR_WITH_CUDA
	aur_backend_register(&aur_cuda_factory);
#endif
	aur_backend_register(&aur_cpu_factory);
#ifdef AUR_WITH_NCCL
	aur_comm_register(&aur_comm_nccl_factory);
#endif
}

int main(int argc, char **argv)
{
	struct aur_comm *world = NULL;
	settle_environment(argv);
	aur_program_start();
	aur_hdf5_start();
	register_parts();
	aur_status status = open_world(&argc, &argv, &world);
	if (status == AUR_OK) {
		char library[128];
		aur_comm_mpi_version(library, sizeof library);
		const struct aur_command_context context = {world->rank, world->size, world, aur_program_terminal(), library};
		status = aur_program_run(&context, argc, argv);
	}
	const int together = leave_together(world, status);
	aur_program_report(status, world ? world->rank : 0, together);
	close_world(&world, together, status);
	return aur_status_exit_code(status);
}
