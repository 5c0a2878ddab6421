#ifndef AUR_COMM_SHARED_H
#define AUR_COMM_SHARED_H

#include "comm/comm.h"

/* Ranks of one machine over memory that all of them map: gradients are read where their rank left them, and there is
 * one copy of the weights. What does not lie in that memory goes over `world`, which it borrows, as do agreements and
 * small host values.
 *
 * Collective. *comm is NULL where it cannot be: ranks on several machines, a machine whose memory belongs to several
 * sockets (all ranks would read the weights of one of them), AURELIUS_EXCHANGE=mpi on a rank. */
aur_status aur_comm_shared_create(struct aur_comm *world, struct aur_comm **comm);

#endif
