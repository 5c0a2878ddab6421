#include "nccl_differ.h"

#include "nccl_twin.h"

#include <stdio.h>
#include <string.h>

enum { COUNT = 100 };

/* What of the call is this rank's own. */
struct arguments {
	ncclDataType_t type;
	ncclRedOp_t operation;
	int root;
};

static int is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static struct arguments arguments_of(int rank, const char *what)
{
	struct arguments own = {ncclFloat32, ncclSum, 0};
	if (rank != 1)
		return own;
	/* Of the same size, so that nothing but the name tells them apart. */
	if (is(what, "type") || is(what, "gathered") || is(what, "message"))
		own.type = ncclInt32;
	if (is(what, "root") || is(what, "broadcast"))
		own.root = 1;
	if (is(what, "operation") || is(what, "scattered"))
		own.operation = ncclMax;
	return own;
}

static ncclResult_t call(ncclComm_t comm, int rank, const char *what)
{
	static float send[COUNT], receive[COUNT];
	const struct arguments own = arguments_of(rank, what);
	if (is(what, "message"))
		return rank == 0 ? ncclSend(send, COUNT, own.type, 1, comm, NULL)
						 : ncclRecv(receive, COUNT, own.type, 0, comm, NULL);
	if (is(what, "scattered"))
		return ncclReduceScatter(send, receive, COUNT / 2, own.type, own.operation, comm, NULL);
	if (is(what, "gathered"))
		return ncclAllGather(send, receive, COUNT / 2, own.type, comm, NULL);
	if (is(what, "broadcast"))
		return ncclBroadcast(send, receive, COUNT, own.type, own.root, comm, NULL);
	return ncclReduce(send, receive, COUNT, own.type, own.operation, own.root, comm, NULL);
}

static ncclResult_t start(ncclComm_t *comm, int rank)
{
	ncclUniqueId id;
	memset(&id, 0, sizeof id);
	if (rank == 0)
		(void)ncclGetUniqueId(&id);
	MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, MPI_COMM_WORLD);
	return ncclCommInitRank(comm, 2, id, rank);
}

int nccl_differ(int rank, const char *what, void (*wait)(void), char *text, size_t bytes)
{
	ncclComm_t comm = NULL;
	ncclResult_t result = start(&comm, rank);
	if (result == ncclSuccess)
		result = call(comm, rank, what);
	if (result == ncclSuccess)
		wait();
	if (result == ncclSuccess)
		(void)ncclCommGetAsyncError(comm, &result);
	snprintf(text, bytes, "%s: %s", ncclGetErrorString(result), comm ? ncclGetLastError(comm) : "");
	return result != ncclSuccess;
}
