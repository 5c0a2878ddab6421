#ifndef AUR_COMM_STAGED_H
#define AUR_COMM_STAGED_H

#include "comm/comm.h"

/* Ranks over `world`, a communicator of host memory, for the memory of a device: each exchange is copied to pinned host
 * memory, moved by `world` and copied back, a bucket at a time. For where NCCL is not compiled in and where ranks share
 * a device, which NCCL refuses. Moves bytes and nothing else: an exchange gives the same bits as NCCL's. Takes about
 * twice world->bucket_bytes of host memory, when first used. Borrows both; not collective. */
aur_status aur_comm_staged_create(struct aur_comm *world, struct aur_backend *backend, struct aur_comm **comm);

#endif
