#include "nccl_twin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How ranks find each other, and what they then refuse. */

enum { BUS_ID = 32 };

/* What each rank brings to the start. */
struct arrival {
	char id[NCCL_UNIQUE_ID_BYTES], bus_id[BUS_ID];
	int node;
};

static ncclResult_t judge_arrivals(struct ncclComm *comm, const struct arrival *all)
{
	const struct arrival *own = &all[comm->rank];
	for (int r = 0; r < comm->size; r++) {
		if (memcmp(all[r].id, own->id, sizeof own->id) != 0)
			return twin_fail(comm, ncclInvalidArgument, "rank %d has another unique id than rank %d", r, comm->rank);
		if (r != comm->rank && all[r].node == own->node && strcmp(all[r].bus_id, own->bus_id) == 0)
			return twin_fail(comm, ncclInvalidUsage,
				"Duplicate GPU detected : rank %d and rank %d both on CUDA device %s", comm->rank, r, own->bus_id);
	}
	return ncclSuccess;
}

static int node_of_world(void)
{
	MPI_Comm node;
	int first = 0;
	MPI_Comm_rank(MPI_COMM_WORLD, &first);
	MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, first, MPI_INFO_NULL, &node);
	MPI_Bcast(&first, 1, MPI_INT, 0, node);
	MPI_Comm_free(&node);
	return first;
}

ncclResult_t twin_meet(struct ncclComm *comm, const ncclUniqueId *id)
{
	struct arrival own = {.node = node_of_world()};
	struct arrival *all = calloc((size_t)comm->size, sizeof *all);
	memcpy(own.id, id->internal, sizeof own.id);
	if (cudaGetDevice(&comm->device) != cudaSuccess ||
		cudaDeviceGetPCIBusId(own.bus_id, BUS_ID, comm->device) != cudaSuccess)
		snprintf(own.bus_id, sizeof own.bus_id, "none, rank %d", comm->rank);
	MPI_Comm_dup(MPI_COMM_WORLD, &comm->group);
	MPI_Comm_set_errhandler(comm->group, MPI_ERRORS_RETURN);
	MPI_Allgather(&own, sizeof own, MPI_BYTE, all, sizeof own, MPI_BYTE, comm->group);
	const ncclResult_t result = judge_arrivals(comm, all);
	free(all);
	return result;
}
