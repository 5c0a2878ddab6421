#ifndef AUR_TESTS_EMULATOR_NCCL_TWIN_H
#define AUR_TESTS_EMULATOR_NCCL_TWIN_H

/* NCCL's functions for programs without a GPU, over MPI_COMM_WORLD: the program runs under mpirun, one rank a process.
 *
 * Stricter than NCCL, so that what works here by luck is found: a call on a communicator that does not block is put on
 * its stream only while it is polled; before an exchange runs, all ranks compare what they called, with counts, types
 * and roots, and a difference ends it with an error that names rank, call number and both calls; a rank that does not
 * come is an error after a time; two ranks on one device are refused.
 *
 * Work runs as a host function of its stream (cudaLaunchHostFunc), so it sees what the stream saw before it, and no
 * more.
 *
 *   AURELIUS_EMULATED_NCCL_FAULT=RANK:CALL:KIND   on that rank at that exchange, counted from 1: `error` fails in the
 *                                                 background, `hang` never gets under way, `kill` ends the process
 *   AURELIUS_EMULATED_NCCL_VERSION=N              what ncclGetVersion says (22809)
 *   AURELIUS_EMULATED_NCCL_LIMIT_S=X              how long the other ranks are waited for (20)
 */

#include <mpi.h>
#include <nccl.h>
#include <stdint.h>

enum twin_kind {
	TWIN_SEND,
	TWIN_RECV,
	TWIN_BROADCAST,
	TWIN_REDUCE,
	TWIN_ALL_REDUCE,
	TWIN_ALL_GATHER,
	TWIN_REDUCE_SCATTER,
	TWIN_NOTHING
};

/* One call inside a group. */
struct twin_call {
	enum twin_kind kind;
	ncclDataType_t type;
	ncclRedOp_t op;
	int root; /* of sends and receives: the other rank */
	size_t count;
	const void *send;
	void *receive;
};

/* A group on its way to its stream. */
struct twin_job {
	struct ncclComm *comm;
	cudaStream_t stream;
	struct twin_call *calls; /* owned */
	int n_calls;
};

struct ncclComm {
	MPI_Comm group;
	int rank, size, device;
	int blocks;             /* as configured */
	int polls_left;         /* ncclInProgress until so many polls more */
	struct twin_job *ready; /* owned: goes to its stream when they are over */
	int hangs;              /* never gets there */
	int finalized, gone;    /* gone: aborted or destroyed; the memory stays, so that a later use can be told */
	int holds;              /* registered memory */
	int64_t exchanges;      /* that ran */
	ncclResult_t state;
	char error[512];
};

/* nccl_meet.c: all ranks meet; refuses two on one device. Collective. */
ncclResult_t twin_meet(struct ncclComm *comm, const ncclUniqueId *id);

/* nccl_run.c: runs a job and frees it; failures go to the communicator's state. A cudaHostFn_t. */
void twin_run(void *job);

/* The same failure for all to see: the communicator's state, its text, and standard error. */
ncclResult_t twin_fail(struct ncclComm *comm, ncclResult_t result, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Whether the fault of that kind is asked for on this rank at this exchange. */
int twin_fault(const struct ncclComm *comm, const char *kind, int64_t exchange);

#endif
