#ifndef AUR_COMM_MPI_H
#define AUR_COMM_MPI_H

#include "comm/comm.h"

#include <mpi.h>

/* Starts MPI with the threads that these ranks need; it takes its own arguments out of the list. main ends it by
 * MPI_Finalize or MPI_Abort. AUR_NETWORK. */
aur_status aur_comm_mpi_start(int *argc, char ***argv);

/* Ranks over MPI, in host memory. `group` is duplicated; MPI must be started with at least MPI_THREAD_FUNNELED and all
 * calls come from the thread that started it. Collective. AUR_NETWORK with MPI's own text. */
aur_status aur_comm_mpi_create(MPI_Comm group, struct aur_comm **comm);

/* "Open MPI v4.1.4": the library linked. May be called before MPI_Init and without it. */
void aur_comm_mpi_version(char *text, size_t bytes);

#endif
