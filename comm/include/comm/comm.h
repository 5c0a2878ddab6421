#ifndef AUR_COMM_COMM_H
#define AUR_COMM_COMM_H

#include "backend/backend.h"
#include "comm/slices.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Communication between ranks: one table, filled by self (one rank) and mpi (host memory); nccl (device memory) fits
 * the same table. All operations are collective: every rank of the group calls them in the same order. A rank never
 * returns early past one: what may fail on one rank alone is agreed upon first (agree). What fails inside an exchange
 * is AUR_NETWORK or the device's error, and main ends all ranks. */

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

	/* REQUIRED. All-to-all of slices in buckets: rank r gets slice r of every rank's `send` [slices->count], stored at
	 * parts + aur_slices_place(slices, r, i) for rank i; its own is not copied. start returns when the operands may
	 * not be touched, finish when they are done; one exchange at a time. */
	aur_status (*exchange_start)(
		struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *parts);
	/* REQUIRED. Slice r of the sum over ranks, in buckets, in the library's own order (not bit-exact over rank counts);
	 * `out` [length of slice r]. */
	aur_status (*reduce_scatter_start)(
		struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *out);
	/* REQUIRED. In place: every rank brings its slice of `data` [slices->count] and gets all the others. */
	aur_status (*all_gather_start)(
		struct aur_comm *comm, const struct aur_slices *slices, void *data, size_t element_bytes);
	aur_status (*finish)(struct aur_comm *comm);

	/* REQUIRED. Small host values, blocking. */
	aur_status (*all_reduce)(struct aur_comm *comm, double *values, int count, enum aur_comm_op op);
	aur_status (*broadcast)(struct aur_comm *comm, void *data, size_t bytes, int root);
	/* Rank i's `bytes[i]` bytes to the root, one after another in `out` (root only). Host memory. */
	aur_status (*gather)(struct aur_comm *comm, const void *data, const size_t *bytes, void *out, int root);
	aur_status (*barrier)(struct aur_comm *comm);
	void (*close)(struct aur_comm *comm);
};

struct aur_comm {
	const struct aur_comm_ops *ops;
	const char *name; /* "self", "mpi" */
	int rank, size;
	int ranks_on_node, rank_on_node;
	size_t bucket_bytes; /* largest piece of an exchange on its way at a time */
	aur_status agreed;   /* the failure all ranks agreed on last; AUR_OK: none. Tells main who leaves together */
	void *private_data;
};

/* One rank: every operation is a copy or nothing. */
aur_status aur_comm_self_create(struct aur_comm **comm);

/* Accepts NULL and a closed one; sets *comm to NULL. */
void aur_comm_close(struct aur_comm **comm);

/* Agrees on `status` alone: returns the worst of all ranks. Collective. */
aur_status aur_comm_agree(struct aur_comm *comm, aur_status status);

#endif
