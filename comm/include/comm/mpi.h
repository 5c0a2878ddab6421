#ifndef AUR_COMM_MPI_H
#define AUR_COMM_MPI_H

#include "comm/comm.h"

#include <mpi.h>

/* Ranks over MPI, in host memory. `group` is duplicated; MPI must be initialised with at least MPI_THREAD_FUNNELED and
 * all calls come from the thread that initialised it. Collective. AUR_NETWORK with MPI's own text. */
aur_status aur_comm_mpi_create(MPI_Comm group, struct aur_comm **comm);

/* "Open MPI v4.1.4": the library linked. May be called before MPI_Init and without it. */
void aur_comm_mpi_version(char *text, size_t bytes);

#endif
