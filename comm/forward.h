#ifndef AUR_COMM_FORWARD_H
#define AUR_COMM_FORWARD_H

#include "comm/comm.h"

/* What the communicators of device memory share: agreement and small host values go over the communicator of host
 * memory that they were made from. */

/* First member of their private data. */
struct aur_forward {
	struct aur_comm *world;      /* borrowed: host memory */
	struct aur_backend *backend; /* borrowed: whose memory it is */
	struct aur_stream *stream;   /* owned: what moves the data */
};

static inline struct aur_forward *aur_forward_of(struct aur_comm *comm)
{
	return comm->private_data;
}

/* The ranks of `world`, with `forward` as private data. Opens the stream. */
aur_status aur_forward_open(struct aur_comm *comm, const struct aur_comm_ops *ops, const char *name,
	struct aur_comm *world, struct aur_backend *backend, struct aur_forward *forward);
void aur_forward_close(struct aur_forward *forward);

/* Members of struct aur_comm_ops. */
aur_status aur_forward_agree(struct aur_comm *comm, struct aur_agreement *agreement);
aur_status aur_forward_all_reduce(struct aur_comm *comm, double *values, int count, enum aur_comm_op op);
aur_status aur_forward_broadcast(struct aur_comm *comm, void *data, size_t bytes, int root);
aur_status aur_forward_gather(struct aur_comm *comm, const void *data, const size_t *bytes, void *out, int root);
aur_status aur_forward_barrier(struct aur_comm *comm);

/* The stream after what the backend was asked so far; the backend's next operations after the stream. */
aur_status aur_forward_begin(struct aur_comm *comm);
aur_status aur_forward_end(struct aur_comm *comm);

/* Waiting without a spinning core: yields at first, then sleeps, for longer the longer it takes, up to a
 * millisecond. `waits` starts at 0. */
void aur_forward_nap(int *waits);

#endif
