#include "nccl_twin.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a group does once its stream reaches it. */

/* What ranks compare of a call; the same on all ranks for a collective. */
struct record {
	int32_t kind, type, op, root;
	int64_t count;
};

static const char *const kind_names[] = {[TWIN_SEND] = "ncclSend",
	[TWIN_RECV] = "ncclRecv",
	[TWIN_BROADCAST] = "ncclBroadcast",
	[TWIN_REDUCE] = "ncclReduce",
	[TWIN_ALL_REDUCE] = "ncclAllReduce",
	[TWIN_ALL_GATHER] = "ncclAllGather",
	[TWIN_REDUCE_SCATTER] = "ncclReduceScatter",
	[TWIN_NOTHING] = "nothing more"};

struct type {
	MPI_Datatype mpi;
	int bytes;
	const char *name;
};

static struct type type_of(ncclDataType_t type)
{
	switch (type) {
	case ncclInt8:
		return (struct type){MPI_INT8_T, 1, "int8"};
	case ncclUint8:
		return (struct type){MPI_UINT8_T, 1, "uint8"};
	case ncclInt32:
		return (struct type){MPI_INT32_T, 4, "int32"};
	case ncclInt64:
		return (struct type){MPI_INT64_T, 8, "int64"};
	case ncclFloat32:
		return (struct type){MPI_FLOAT, 4, "float32"};
	case ncclFloat64:
		return (struct type){MPI_DOUBLE, 8, "float64"};
	default:
		return (struct type){MPI_BYTE, 0, "a type the twin does not have"};
	}
}

static void describe(const struct record *record, char *text, size_t bytes)
{
	snprintf(text, bytes, "%s of %lld %s, operation %d, root %d", kind_names[record->kind], (long long)record->count,
		type_of((ncclDataType_t)record->type).name, (int)record->op, (int)record->root);
}

static int is_pair(const struct twin_call *call)
{
	return call->kind == TWIN_SEND || call->kind == TWIN_RECV;
}

static struct record record_of(const struct twin_call *call)
{
	return (struct record){
		(int32_t)call->kind, (int32_t)call->type, (int32_t)call->op, call->root, (int64_t)call->count};
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double limit_s(void)
{
	const char *text = getenv("AURELIUS_EMULATED_NCCL_LIMIT_S");
	return text ? strtod(text, NULL) : 20;
}

/* A rank that never calls must not hang the others. */
static ncclResult_t wait_for(struct ncclComm *comm, MPI_Request *request)
{
	const double end = seconds() + limit_s();
	const struct timespec nap = {.tv_nsec = 200000};
	for (;;) {
		int done = 0;
		if (MPI_Test(request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
			return twin_fail(comm, ncclRemoteError, "MPI_Test failed");
		if (done)
			return ncclSuccess;
		if (seconds() > end)
			return twin_fail(comm, ncclRemoteError, "rank %d, exchange %lld: not all ranks came within %g s",
				comm->rank, (long long)comm->exchanges, limit_s());
		nanosleep(&nap, NULL);
	}
}

static ncclResult_t gather_all(struct ncclComm *comm, const void *mine, int bytes, void *all)
{
	MPI_Request request;
	MPI_Iallgather(mine, bytes, MPI_BYTE, all, bytes, MPI_BYTE, comm->group, &request);
	return wait_for(comm, &request);
}

static ncclResult_t differ(
	struct ncclComm *comm, int call, const struct record *mine, int other, const struct record *theirs)
{
	char own[160], its[160];
	describe(mine, own, sizeof own);
	describe(theirs, its, sizeof its);
	return twin_fail(comm, ncclInvalidUsage, "exchange %lld, call %d: rank %d called %s, rank %d called %s",
		(long long)comm->exchanges, call, comm->rank, own, other, its);
}

/* Every rank compares with every other, so that all of them fail. */
static ncclResult_t compare_records(struct ncclComm *comm, const struct record *all, int n_calls)
{
	const struct record *mine = all + (int64_t)comm->rank * n_calls;
	for (int i = 0; i < n_calls; i++)
		for (int r = 0; r < comm->size; r++)
			if (memcmp(&all[(int64_t)r * n_calls + i], &mine[i], sizeof *mine) != 0)
				return differ(comm, i + 1, &mine[i], r, &all[(int64_t)r * n_calls + i]);
	return ncclSuccess;
}

static int count_collectives(const struct twin_job *job)
{
	int count = 0;
	for (int i = 0; i < job->n_calls; i++)
		count += !is_pair(&job->calls[i]);
	return count;
}

/* The longest list counts: who called less called nothing there. */
static ncclResult_t find_most(struct ncclComm *comm, int own, int *most)
{
	int *counts = calloc((size_t)comm->size, sizeof *counts);
	const ncclResult_t result = gather_all(comm, &own, sizeof own, counts);
	*most = 0;
	for (int r = 0; r < comm->size; r++)
		*most = counts[r] > *most ? counts[r] : *most;
	free(counts);
	return result;
}

static void list_collectives(const struct twin_job *job, struct record *records, int most)
{
	int n = 0;
	for (int i = 0; i < job->n_calls; i++)
		if (!is_pair(&job->calls[i]))
			records[n++] = record_of(&job->calls[i]);
	while (n < most)
		records[n++] = (struct record){.kind = TWIN_NOTHING};
}

static ncclResult_t compare_collectives(const struct twin_job *job)
{
	struct ncclComm *comm = job->comm;
	int most = 0;
	ncclResult_t result = find_most(comm, count_collectives(job), &most);
	if (result != ncclSuccess || most == 0)
		return result;
	struct record *mine = calloc((size_t)most, sizeof *mine);
	struct record *all = calloc((size_t)comm->size * (size_t)most, sizeof *all);
	list_collectives(job, mine, most);
	result = gather_all(comm, mine, most * (int)sizeof *mine, all);
	if (result == ncclSuccess)
		result = compare_records(comm, all, most);
	free(mine);
	free(all);
	return result;
}

/* How many messages this rank has for each other one, and from it. */
static ncclResult_t compare_pairs(const struct twin_job *job)
{
	struct ncclComm *comm = job->comm;
	const size_t size = (size_t)comm->size;
	int *mine = calloc(2 * size, sizeof *mine), *all = calloc(2 * size * size, sizeof *all);
	for (int i = 0; i < job->n_calls; i++)
		if (is_pair(&job->calls[i]))
			mine[(job->calls[i].kind == TWIN_RECV ? size : 0) + (size_t)job->calls[i].root]++;
	ncclResult_t result = gather_all(comm, mine, (int)(2 * size * sizeof *mine), all);
	for (size_t r = 0; r < size && result == ncclSuccess; r++) {
		const int sent = all[r * 2 * size + (size_t)comm->rank], awaited = mine[size + r];
		const int sends = mine[r], wanted = all[r * 2 * size + size + (size_t)comm->rank];
		if (sent != awaited)
			result = twin_fail(comm, ncclInvalidUsage,
				"exchange %lld: rank %d calls ncclRecv %d times for rank %d, "
				"which calls ncclSend %d times",
				(long long)comm->exchanges, comm->rank, awaited, (int)r, sent);
		else if (sends != wanted)
			result = twin_fail(comm, ncclInvalidUsage,
				"exchange %lld: rank %d calls ncclSend %d times for rank %d, "
				"which calls ncclRecv %d times",
				(long long)comm->exchanges, comm->rank, sends, (int)r, wanted);
	}
	free(mine);
	free(all);
	return result;
}

/* Each message's count and type go ahead of it. */
static ncclResult_t post_pairs(
	const struct twin_job *job, int heads, struct record *records, MPI_Request *requests, int *n_requests)
{
	struct ncclComm *comm = job->comm;
	*n_requests = 0;
	for (int i = 0; i < job->n_calls; i++) {
		const struct twin_call *call = &job->calls[i];
		const int sends = call->kind == TWIN_SEND, tag = heads ? 1 : 2;
		const int64_t bytes = heads ? (int64_t)sizeof *records : (int64_t)call->count * type_of(call->type).bytes;
		if (!is_pair(call))
			continue;
		if (bytes > INT_MAX)
			return twin_fail(comm, ncclInvalidArgument, "%lld bytes: more than the twin sends", (long long)bytes);
		if (sends && heads)
			records[i] = record_of(call);
		MPI_Request *request = &requests[(*n_requests)++];
		if (sends)
			MPI_Isend(heads ? (const void *)&records[i] : call->send, (int)bytes, MPI_BYTE, call->root, tag,
				comm->group, request);
		else
			MPI_Irecv(heads ? (void *)&records[i] : call->receive, (int)bytes, MPI_BYTE, call->root, tag, comm->group,
				request);
	}
	return ncclSuccess;
}

static ncclResult_t compare_heads(const struct twin_job *job, const struct record *records)
{
	for (int i = 0; i < job->n_calls; i++) {
		const struct record mine = record_of(&job->calls[i]);
		if (job->calls[i].kind == TWIN_RECV && (records[i].count != mine.count || records[i].type != mine.type))
			return differ(job->comm, i + 1, &mine, mine.root, &records[i]);
	}
	return ncclSuccess;
}

static ncclResult_t run_pairs(const struct twin_job *job)
{
	struct ncclComm *comm = job->comm;
	struct record *records = calloc((size_t)job->n_calls, sizeof *records);
	MPI_Request *requests = calloc((size_t)job->n_calls, sizeof *requests);
	int n_requests = 0, failed = 0;
	ncclResult_t result = post_pairs(job, 1, records, requests, &n_requests);
	MPI_Waitall(n_requests, requests, MPI_STATUSES_IGNORE);
	if (result == ncclSuccess)
		result = compare_heads(job, records);
	/* The sender does not see what its receiver finds: all leave, or all go on. */
	const int own = result != ncclSuccess;
	MPI_Allreduce(&own, &failed, 1, MPI_INT, MPI_MAX, comm->group);
	if (failed && result == ncclSuccess)
		result = twin_fail(comm, ncclInvalidUsage, "exchange %lld: a message is not what its receiver expects",
			(long long)comm->exchanges);
	if (result == ncclSuccess)
		result = post_pairs(job, 0, records, requests, &n_requests);
	if (result == ncclSuccess)
		MPI_Waitall(n_requests, requests, MPI_STATUSES_IGNORE);
	free(records);
	free(requests);
	return result;
}

static MPI_Op op_of(ncclRedOp_t op)
{
	return op == ncclMax ? MPI_MAX : op == ncclMin ? MPI_MIN : op == ncclProd ? MPI_PROD : MPI_SUM;
}

static int run_collective(const struct ncclComm *comm, const struct twin_call *call)
{
	const struct type type = type_of(call->type);
	const int count = (int)call->count, at_root = comm->rank == call->root;
	char *own = (char *)call->receive + (size_t)comm->rank * call->count * (size_t)type.bytes;
	const void *send = call->send == call->receive ? MPI_IN_PLACE : call->send;
	switch (call->kind) {
	case TWIN_BROADCAST:
		if (at_root && call->send != call->receive)
			memcpy(call->receive, call->send, call->count * (size_t)type.bytes);
		return MPI_Bcast(call->receive, count, type.mpi, call->root, comm->group);
	case TWIN_REDUCE:
		return MPI_Reduce(at_root ? send : call->send, at_root ? call->receive : NULL, count, type.mpi, op_of(call->op),
			call->root, comm->group);
	case TWIN_ALL_REDUCE:
		return MPI_Allreduce(send, call->receive, count, type.mpi, op_of(call->op), comm->group);
	case TWIN_ALL_GATHER:
		return MPI_Allgather(call->send == own ? MPI_IN_PLACE : call->send, count, type.mpi, call->receive, count,
			type.mpi, comm->group);
	default:
		return MPI_Reduce_scatter_block(call->send, call->receive, count, type.mpi, op_of(call->op), comm->group);
	}
}

static ncclResult_t run_collectives(const struct twin_job *job)
{
	struct ncclComm *comm = job->comm;
	for (int i = 0; i < job->n_calls; i++) {
		const struct twin_call *call = &job->calls[i];
		if (is_pair(call))
			continue;
		if (type_of(call->type).bytes == 0 || call->count > INT_MAX)
			return twin_fail(
				comm, ncclInvalidArgument, "%s: a type or a count that the twin does not take", kind_names[call->kind]);
		if (run_collective(comm, call) != MPI_SUCCESS)
			return twin_fail(comm, ncclRemoteError, "%s: MPI failed", kind_names[call->kind]);
	}
	return ncclSuccess;
}

static void run(const struct twin_job *job)
{
	struct ncclComm *comm = job->comm;
	comm->exchanges++;
	if (twin_fault(comm, "kill", comm->exchanges))
		raise(SIGKILL);
	if (twin_fault(comm, "error", comm->exchanges)) {
		twin_fail(comm, ncclSystemError, "exchange %lld: a failure asked for", (long long)comm->exchanges);
		return;
	}
	if (compare_collectives(job) == ncclSuccess && compare_pairs(job) == ncclSuccess && run_pairs(job) == ncclSuccess)
		run_collectives(job);
}

void twin_run(void *data)
{
	struct twin_job *job = data;
	if (!job->comm->gone && job->comm->state == ncclSuccess)
		run(job);
	free(job->calls);
	free(job);
}
