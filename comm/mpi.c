#include "comm/mpi.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BUCKET_BYTES = 25 << 20, PIECES_ON_THE_WAY = 64 };

/* An exchange is cut into pieces of at most a bucket, so that no count passes an int; as many as fit in the table are
 * on their way at a time. */
struct mpi_state {
	MPI_Comm group;
	MPI_Request requests[PIECES_ON_THE_WAY];
	int n_requests;
	float *staging; /* owned: one bucket of every slice, for reduce_scatter */
	int64_t staging_count;
	int *counts; /* owned [size] */
};

static aur_status check(int code, const char *call)
{
	if (code == MPI_SUCCESS)
		return AUR_OK;
	char text[MPI_MAX_ERROR_STRING] = "";
	int length = 0;
	MPI_Error_string(code, text, &length);
	return aur_fail(AUR_NETWORK, "%s: %s", call, text);
}

#define MPI_TRY(call, name) AUR_TRY(check((call), (name)))

static struct mpi_state *state_of(struct aur_comm *comm)
{
	return comm->private_data;
}

/* One number holds status and rank so that a single maximum finds the worst status and, of equals, the lowest rank. The
 * smallest status travels along, negated: where all ranks fail alike, no rank is named. */
static aur_status mpi_agree(struct aur_comm *comm, struct aur_agreement *agreement)
{
	const int64_t key =
		agreement->status == AUR_OK ? -1 : (int64_t)agreement->status * comm->size + (comm->size - 1 - comm->rank);
	const int64_t mine[3] = {key, agreement->stop, -(int64_t)agreement->status};
	int64_t all[3];
	MPI_TRY(MPI_Allreduce(mine, all, 3, MPI_INT64_T, MPI_MAX, state_of(comm)->group), "MPI_Allreduce");
	agreement->stop = all[1] != 0;
	if (all[0] < 0) {
		/* A failure that was survived must not pass for one that all ranks leave with. */
		comm->agreed = AUR_OK;
		agreement->status = AUR_OK;
		agreement->culprit = -1;
		return AUR_OK;
	}
	agreement->culprit = comm->size - 1 - (int)(all[0] % comm->size);
	agreement->status = (aur_status)(all[0] / comm->size);
	comm->agreed = agreement->status;
	if (agreement->culprit != comm->rank)
		aur_error_clear();
	else if (-all[2] != (int64_t)agreement->status)
		aur_add_context(agreement->status, "rank %d", comm->rank);
	return agreement->status;
}

static aur_status wait_all(struct mpi_state *state)
{
	const int count = state->n_requests;
	state->n_requests = 0;
	return check(MPI_Waitall(count, state->requests, MPI_STATUSES_IGNORE), "MPI_Waitall");
}

/* Room for one step of an exchange, a receive and a send: both are posted before anything is waited for, so that two
 * ranks never wait for what the other has not yet posted. */
static aur_status room_for_a_step(struct mpi_state *state)
{
	return state->n_requests + 2 <= PIECES_ON_THE_WAY ? AUR_OK : wait_all(state);
}

static MPI_Request *next_request(struct mpi_state *state)
{
	return &state->requests[state->n_requests++];
}

static int64_t bucket_elements(const struct aur_comm *comm, size_t element_bytes)
{
	const int64_t elements = (int64_t)(comm->bucket_bytes / element_bytes);
	return elements < 1 ? 1 : elements > INT_MAX / 8 ? INT_MAX / 8 : elements;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static aur_status send_piece(struct aur_comm *comm, const char *data, int64_t bytes, int to)
{
	struct mpi_state *state = state_of(comm);
	if (bytes <= 0)
		return AUR_OK;
	return check(MPI_Isend(data, (int)bytes, MPI_BYTE, to, 0, state->group, next_request(state)), "MPI_Isend");
}

static aur_status receive_piece(struct aur_comm *comm, char *data, int64_t bytes, int from)
{
	struct mpi_state *state = state_of(comm);
	if (bytes <= 0)
		return AUR_OK;
	return check(MPI_Irecv(data, (int)bytes, MPI_BYTE, from, 0, state->group, next_request(state)), "MPI_Irecv");
}

/* What goes where in one exchange of slices, in bytes. Step i of a round sends to rank + i and receives from rank - i:
 * the partner does its half at the same step, and both cut slices in the same places. */
struct route {
	const struct aur_slices *slices;
	const char *send;
	char *receive;
	int64_t element_bytes;
	int gather; /* 1: the own slice to all; 0: to each rank its slice */
};

static aur_status step_of(struct aur_comm *comm, const struct route *route, int i, int64_t at, int64_t bucket)
{
	const struct aur_slices *slices = route->slices;
	const int to = (comm->rank + i) % comm->size, from = (comm->rank - i + comm->size) % comm->size;
	const int sent = route->gather ? comm->rank : to;
	const int received = route->gather ? from : comm->rank;
	const int64_t outgoing = smaller(bucket, aur_slice_length(slices, sent) - at);
	const int64_t incoming = smaller(bucket, aur_slice_length(slices, received) - at);
	const int64_t place = route->gather ? slices->begin[from] : aur_slices_place(slices, comm->rank, from);
	AUR_TRY(room_for_a_step(state_of(comm)));
	AUR_TRY(receive_piece(
		comm, route->receive + (place + at) * route->element_bytes, incoming * route->element_bytes, from));
	return send_piece(
		comm, route->send + (slices->begin[sent] + at) * route->element_bytes, outgoing * route->element_bytes, to);
}

static aur_status start_route(struct aur_comm *comm, const struct route *route)
{
	const int64_t bucket = bucket_elements(comm, (size_t)route->element_bytes);
	for (int64_t at = 0; at < route->slices->longest; at += bucket)
		for (int i = 1; i < comm->size; i++)
			AUR_TRY(step_of(comm, route, i, at, bucket));
	return AUR_OK;
}

static aur_status mpi_exchange_start(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *parts)
{
	const struct route route = {slices, (const char *)send, (char *)parts, sizeof *send, 0};
	return start_route(comm, &route);
}

static aur_status mpi_all_gather_start(
	struct aur_comm *comm, const struct aur_slices *slices, void *data, size_t element_bytes)
{
	const struct route route = {slices, data, data, (int64_t)element_bytes, 1};
	return start_route(comm, &route);
}

static aur_status grow_staging(struct aur_comm *comm, int64_t count)
{
	struct mpi_state *state = state_of(comm);
	if (state->staging_count >= count)
		return AUR_OK;
	free(state->staging);
	state->staging_count = 0;
	state->staging = malloc((size_t)count * sizeof *state->staging);
	if (!state->staging)
		return aur_fail(AUR_MEMORY, "reduction: no memory for a bucket of %lld bytes; lower system.allreduce_bucket_mb",
			(long long)count * 4);
	state->staging_count = count;
	return AUR_OK;
}

/* One bucket: the same stretch of every slice is packed one after another and summed by the library. */
static aur_status reduce_bucket(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *out, int64_t at, int64_t share)
{
	struct mpi_state *state = state_of(comm);
	int64_t used = 0;
	for (int r = 0; r < comm->size; r++) {
		const int64_t length = smaller(share, aur_slice_length(slices, r) - at);
		state->counts[r] = length > 0 ? (int)length : 0;
		if (length > 0)
			memcpy(state->staging + used, send + slices->begin[r] + at, (size_t)length * sizeof *send);
		used += length > 0 ? length : 0;
	}
	return check(MPI_Reduce_scatter(state->staging, out + at, state->counts, MPI_FLOAT, MPI_SUM, state->group),
		"MPI_Reduce_scatter");
}

static aur_status mpi_reduce_scatter_start(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *out)
{
	const int64_t share = (bucket_elements(comm, sizeof *send) + comm->size - 1) / comm->size;
	AUR_TRY(grow_staging(comm, share * comm->size));
	for (int64_t at = 0; at < slices->longest; at += share)
		AUR_TRY(reduce_bucket(comm, slices, send, out, at, share));
	return AUR_OK;
}

static aur_status mpi_finish(struct aur_comm *comm)
{
	return wait_all(state_of(comm));
}

/* What was finished is done; what other ranks wait for goes on. */
static aur_status mpi_settle(struct aur_comm *comm)
{
	int arrived;
	return check(
		MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, state_of(comm)->group, &arrived, MPI_STATUS_IGNORE), "MPI_Iprobe");
}

static aur_status mpi_all_reduce(struct aur_comm *comm, double *values, int count, enum aur_comm_op op)
{
	return check(MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, op == AUR_COMM_MAX ? MPI_MAX : MPI_SUM,
					 state_of(comm)->group),
		"MPI_Allreduce");
}

static aur_status mpi_broadcast(struct aur_comm *comm, void *data, size_t bytes, int root)
{
	const size_t limit = (size_t)1 << 30;
	for (size_t at = 0; at < bytes; at += limit) {
		const size_t piece = bytes - at < limit ? bytes - at : limit;
		MPI_TRY(MPI_Bcast((char *)data + at, (int)piece, MPI_BYTE, root, state_of(comm)->group), "MPI_Bcast");
	}
	return AUR_OK;
}

/* Pieces below an int's range, in rank order: the root receives what each rank sends in turn. */
static aur_status mpi_gather(struct aur_comm *comm, const void *data, const size_t *bytes, void *out, int root)
{
	const size_t limit = (size_t)1 << 30;
	size_t placed = 0;
	for (int r = 0; r < comm->size; r++) {
		char *to = comm->rank == root ? (char *)out + placed : NULL;
		placed += bytes[r];
		if (r == root) {
			if (comm->rank == root && bytes[r] > 0 && to != data)
				memmove(to, data, bytes[r]);
			continue;
		}
		for (size_t at = 0; at < bytes[r]; at += limit) {
			const int piece = (int)(bytes[r] - at < limit ? bytes[r] - at : limit);
			if (comm->rank == r)
				MPI_TRY(MPI_Send((const char *)data + at, piece, MPI_BYTE, root, 2, state_of(comm)->group), "MPI_Send");
			else if (comm->rank == root)
				MPI_TRY(MPI_Recv(to + at, piece, MPI_BYTE, r, 2, state_of(comm)->group, MPI_STATUS_IGNORE), "MPI_Recv");
		}
	}
	return AUR_OK;
}

static aur_status mpi_barrier(struct aur_comm *comm)
{
	return check(MPI_Barrier(state_of(comm)->group), "MPI_Barrier");
}

static void mpi_close(struct aur_comm *comm)
{
	struct mpi_state *state = state_of(comm);
	if (state) {
		if (state->group != MPI_COMM_NULL)
			MPI_Comm_free(&state->group);
		free(state->staging);
		free(state->counts);
		free(state);
	}
	free(comm);
}

static const struct aur_comm_ops mpi_ops = {
	.agree = mpi_agree,
	.exchange_start = mpi_exchange_start,
	.reduce_scatter_start = mpi_reduce_scatter_start,
	.all_gather_start = mpi_all_gather_start,
	.finish = mpi_finish,
	.settle = mpi_settle,
	.all_reduce = mpi_all_reduce,
	.broadcast = mpi_broadcast,
	.gather = mpi_gather,
	.barrier = mpi_barrier,
	.close = mpi_close,
};

static aur_status count_node(struct aur_comm *comm)
{
	MPI_Comm node;
	MPI_TRY(MPI_Comm_split_type(state_of(comm)->group, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &node),
		"MPI_Comm_split_type");
	MPI_TRY(MPI_Comm_size(node, &comm->ranks_on_node), "MPI_Comm_size");
	MPI_TRY(MPI_Comm_rank(node, &comm->rank_on_node), "MPI_Comm_rank");
	comm->node = comm->rank;
	MPI_TRY(MPI_Bcast(&comm->node, 1, MPI_INT, 0, node), "MPI_Bcast");
	return check(MPI_Comm_free(&node), "MPI_Comm_free");
}

static aur_status setup(struct aur_comm *comm, MPI_Comm group)
{
	struct mpi_state *state = state_of(comm);
	MPI_TRY(MPI_Comm_dup(group, &state->group), "MPI_Comm_dup");
	/* Errors come back as codes; main decides what ends the job. */
	MPI_TRY(MPI_Comm_set_errhandler(state->group, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
	MPI_TRY(MPI_Comm_rank(state->group, &comm->rank), "MPI_Comm_rank");
	MPI_TRY(MPI_Comm_size(state->group, &comm->size), "MPI_Comm_size");
	if (comm->size > AUR_MAX_RANKS)
		return aur_fail(AUR_USAGE, "%d ranks: at most %d are supported", comm->size, AUR_MAX_RANKS);
	state->counts = calloc((size_t)comm->size, sizeof *state->counts);
	if (!state->counts)
		return aur_fail(AUR_MEMORY, "communicator: no memory");
	return count_node(comm);
}

aur_status aur_comm_mpi_start(int *argc, char ***argv)
{
	int provided = MPI_THREAD_SINGLE;
	if (MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS || provided < MPI_THREAD_FUNNELED)
		return aur_fail(AUR_NETWORK, "MPI_Init_thread: MPI cannot be started with threads");
	return AUR_OK;
}

aur_status aur_comm_mpi_create(MPI_Comm group, struct aur_comm **comm)
{
	*comm = calloc(1, sizeof **comm);
	struct mpi_state *state = calloc(1, sizeof *state);
	if (!*comm || !state) {
		free(*comm);
		free(state);
		*comm = NULL;
		return aur_fail(AUR_MEMORY, "communicator: no memory");
	}
	state->group = MPI_COMM_NULL;
	**comm = (struct aur_comm){
		.ops = &mpi_ops, .name = "mpi", .size = 1, .bucket_bytes = DEFAULT_BUCKET_BYTES, .private_data = state};
	const aur_status status = setup(*comm, group);
	if (status != AUR_OK)
		aur_comm_close(comm);
	return status;
}

void aur_comm_mpi_version(char *text, size_t bytes)
{
	char version[MPI_MAX_LIBRARY_VERSION_STRING] = "unknown";
	int length = 0;
	MPI_Get_library_version(version, &length);
	/* Behind the first comma or line end stand packagers and dates. */
	snprintf(text, bytes, "%.*s", (int)strcspn(version, ",\n"), version);
}
