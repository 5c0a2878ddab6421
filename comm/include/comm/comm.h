#ifndef AUR_COMM_COMM_H
#define AUR_COMM_COMM_H

#include "backend/backend.h"
#include "comm/slices.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Communication between ranks: one table, filled by self (one rank), mpi (host memory), shared (the same on one
 * machine), nccl (device memory) and staged (device memory by way of the host's). All operations but hold, settle and
 * await are collective: every rank of the group calls them in the same order. A rank never returns early past one: what
 * may fail on one rank alone is agreed upon first (agree). What fails inside an exchange is AUR_NETWORK or the device's
 * error, and main ends all ranks.
 *
 * Exchanges are of memory of the backend that the communicator was opened for. What is started comes after all that the
 * backend was asked before it; what the backend is asked after finish() comes after the exchange. Between the two
 * nothing may touch the operands. */

struct aur_comm;

/* What one rank brings to an agreement. */
struct aur_agreement {
	aur_status status; /* in: this rank's; out: the worst of all */
	int stop;          /* in: 1 when this rank was told to stop (a signal, its time is up); out: 1 when any was */
	int culprit;       /* out: the lowest rank whose status is the worst; -1 when all are well */
};

enum aur_comm_op { AUR_COMM_MAX, AUR_COMM_SUM };

struct aur_comm_ops {
	/* REQUIRED. Exchanges the worst status and the stop flags. Returns the worst status itself, so that AUR_TRY leaves
	 * on all ranks together; the message of a rank that is not the culprit is cleared, so that it is printed once. */
	aur_status (*agree)(struct aur_comm *comm, struct aur_agreement *agreement);

	/* OPTIONAL, once. Memory that all ranks see, in comm->memory: `common` bytes that are the same on all ranks, and
	 * `own` bytes of each rank, which the others can read. Zeros; owned by the communicator until it is closed. Where
	 * a rank cannot have it, comm->memory stays empty on all ranks, which is said and no failure.
	 *
	 * What lies in the common memory is written by one rank at each place, and broadcast and all_gather of it only
	 * wait until all ranks have come. A rank that writes there again first does something collective: then the others
	 * have read. */
	aur_status (*share)(struct aur_comm *comm, size_t common, size_t own);
	/* OPTIONAL, with share. Instead of exchange_start, `send` [slices->count] at the same place of each rank's own
	 * memory: parts[i] is where slice r of rank i's can be read until finish(). */
	aur_status (*exchange_view)(
		struct aur_comm *comm, const struct aur_slices *slices, const float *send, const float **parts);

	/* REQUIRED. All-to-all of slices in buckets: rank r gets slice r of every rank's `send` [slices->count], stored at
	 * parts + aur_slices_place(slices, r, i) for rank i; its own is not copied. One exchange at a
	 * time. */
	aur_status (*exchange_start)(
		struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *parts);
	/* REQUIRED. Slice r of the sum over ranks, in buckets, in the library's own order (not bit-exact over rank counts);
	 * `out` [length of slice r]. */
	aur_status (*reduce_scatter_start)(
		struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *out);
	/* OPTIONAL. The same of elements [from, to) of the arena alone, once the backend has done what it was asked so far:
	 * a stretch can be summed while the backward pass computes those that follow. Several come before one finish(). As
	 * above the library chooses the order of a sum, and where the cuts are may change it. NULL where the host moves the
	 * data. */
	aur_status (*reduce_stretch_start)(struct aur_comm *comm, const struct aur_slices *slices, const float *send,
		float *out, int64_t from, int64_t to);
	/* REQUIRED. In place: every rank brings its slice of `data` [slices->count] and gets all the others. */
	aur_status (*all_gather_start)(
		struct aur_comm *comm, const struct aur_slices *slices, void *data, size_t element_bytes);
	/* REQUIRED. The exchange is done, as seen by what the backend is asked from now on: the host waits only where it
	 * moves the data itself. */
	aur_status (*finish)(struct aur_comm *comm);
	/* REQUIRED. The host waits until all exchanges are done, and learns meanwhile when another rank fails or none of
	 * them moves. Comes before the host waits for the backend: a wait that knows nothing of other ranks would never
	 * end. Does not need the other ranks to call it. */
	aur_status (*settle)(struct aur_comm *comm);

	/* OPTIONAL. As settle, but only until the backend's `stream` is done: exchanges started later go on. Until
	 * `computed` is done this rank's own work is waited for, which has no limit; then other ranks are, which have. NULL
	 * where no exchange is on its way when finish() has returned. */
	aur_status (*await)(struct aur_comm *comm, struct aur_stream *computed, struct aur_stream *stream);

	/* OPTIONAL. Memory of the backend that exchanges will use until the communicator is closed, which is
	 * before the memory is released; made known to the
	 * network once so that it is read and written in place. */
	void (*hold)(struct aur_comm *comm, void *memory, size_t bytes);

	/* REQUIRED. Small host values, blocking. */
	aur_status (*all_reduce)(struct aur_comm *comm, double *values, int count, enum aur_comm_op op);
	aur_status (*broadcast)(struct aur_comm *comm, void *data, size_t bytes, int root);
	/* Rank i's `bytes[i]` bytes to the root, one after another in `out` (root only). Host memory. */
	aur_status (*gather)(struct aur_comm *comm, const void *data, const size_t *bytes, void *out, int root);
	aur_status (*barrier)(struct aur_comm *comm);
	void (*close)(struct aur_comm *comm);
};

/* What share() gave; empty: nothing. */
struct aur_comm_memory {
	void *common, *own;
	size_t common_bytes, own_bytes;
	size_t stride; /* from a rank's own memory to the next rank's */
};

struct aur_comm {
	const struct aur_comm_ops *ops;
	const char *name; /* "self", "mpi", "shared", "nccl", "staged" */
	int rank, size;
	int ranks_on_node, rank_on_node;
	int node;            /* the lowest rank of this node */
	size_t bucket_bytes; /* largest piece of an exchange on its way at a time */
	aur_status agreed;   /* the failure all ranks agreed on last; AUR_OK: none. Tells main who leaves together */
	struct aur_comm_memory memory;
	void *private_data;
};

static inline int aur_comm_in_common(const struct aur_comm *comm, const void *data)
{
	const char *common = comm->memory.common;
	return common && (const char *)data >= common && (const char *)data < common + comm->memory.common_bytes;
}

static inline int aur_comm_in_own(const struct aur_comm *comm, const void *data)
{
	const char *own = comm->memory.own;
	return own && (const char *)data >= own && (const char *)data < own + comm->memory.own_bytes;
}

/* One rank: every operation is a copy or nothing. */
aur_status aur_comm_self_create(struct aur_comm **comm);

/* Accepts NULL and a closed one; sets *comm to NULL. */
void aur_comm_close(struct aur_comm **comm);

/* Agrees on `status` alone: returns the worst of all ranks. Collective. */
aur_status aur_comm_agree(struct aur_comm *comm, aur_status status);

/* What moves device memory between ranks without the host: NCCL, where it was compiled in. */
struct aur_comm_factory {
	const char *name;
	/* Of the library: ranks must have the same. 22809 for 2.28.9; 0: it is not installed. Asking opens the library, so
	 * that ranks on CPUs are not asked. */
	int (*version)(void);
	aur_status (*create)(struct aur_comm *world, struct aur_backend *backend, struct aur_comm **comm);
};

/* main registers it. NULL: device memory is staged through the host's. */
void aur_comm_register(const struct aur_comm_factory *factory);

/* "2.28.9" of what is registered; empty: it is not installed. 0: nothing is compiled in. */
int aur_comm_library(char *version, size_t bytes);

/* Collective. The communicator for the memory of `backend`, on the ranks of `world`: `world` itself where there is one
 * rank; where that memory is the host's, shared on one machine and `world` on several; nccl where it is registered and
 * installed and each rank has a device of its own; else staged. It borrows both. Fails on all ranks together
 * (AUR_DEVICE) when ranks compute on different kinds of device or have different versions of the library, and when they
 * share a device without `share`. What fails while the library finds the other ranks is returned on that rank alone, as
 * inside an exchange: no agreement may follow. */
aur_status aur_comm_open_device(struct aur_comm *world, struct aur_backend *backend, int share, struct aur_comm **comm);

/* Whether this rank finds nothing that keeps ranks from sharing memory: all are on one machine, whose memory is one.
 * The other ranks may find something. */
int aur_comm_can_share(const struct aur_comm *world);

/* Closes it unless it is `world`; accepts NULL; sets *comm to NULL. */
void aur_comm_close_device(struct aur_comm *world, struct aur_comm **comm);

#endif
