#include "comm/staged.h"

#include "forward.h"

#include <stdlib.h>

/* The same stretch of every slice is a bucket: packed one after another it is a small arena of its own, cut into
 * slices, which the communicator of host memory exchanges. */
struct staged_state {
	struct aur_forward forward; /* first */
	char *mine, *theirs;        /* owned, pinned: what is sent, and what comes where it does not take its place */
	size_t room;                /* bytes of each */
	struct aur_slices bucket;
};

static struct staged_state *state_of(struct aur_comm *comm)
{
	return comm->private_data;
}

static void free_rooms(struct staged_state *state)
{
	struct aur_backend *backend = state->forward.backend;
	if (state->mine)
		backend->streams->release_host(backend, state->mine);
	if (state->theirs)
		backend->streams->release_host(backend, state->theirs);
	state->mine = state->theirs = NULL;
	state->room = 0;
}

static aur_status take_rooms(struct staged_state *state, size_t bytes)
{
	struct aur_backend *backend = state->forward.backend;
	void *mine = NULL, *theirs = NULL;
	if (state->room >= bytes)
		return AUR_OK;
	free_rooms(state);
	aur_status status = backend->streams->allocate_host(backend, bytes, &mine);
	state->mine = mine;
	if (status == AUR_OK)
		status = backend->streams->allocate_host(backend, bytes, &theirs);
	state->theirs = theirs;
	if (status != AUR_OK)
		return aur_add_context(status, "staging: two buckets of %zu bytes (lower system.allreduce_bucket_mb)", bytes);
	state->room = bytes;
	return AUR_OK;
}

/* Elements of each slice in a bucket. The part that comes from each rank has the room of the longest. */
static int64_t share_of(const struct aur_comm *comm, const struct aur_slices *slices, size_t element_bytes)
{
	const int64_t share = (int64_t)(comm->bucket_bytes / element_bytes) / comm->size;
	return share < 1 ? 1 : share < slices->longest ? share : slices->longest;
}

static void cut_bucket(struct aur_slices *bucket, const struct aur_slices *slices, int64_t at, int64_t share)
{
	bucket->size = slices->size;
	bucket->longest = 0;
	for (int r = 0; r < slices->size; r++) {
		const int64_t left = aur_slice_length(slices, r) - at;
		const int64_t length = left < 0 ? 0 : left < share ? left : share;
		bucket->begin[r + 1] = bucket->begin[r] + length;
		bucket->longest = length > bucket->longest ? length : bucket->longest;
	}
	bucket->count = bucket->begin[slices->size];
}

/* One exchange on its way through the buckets. */
struct passage {
	struct aur_comm *comm;
	const struct aur_slices *slices;
	size_t element_bytes;
	int64_t at, share;
};

static aur_status copy(const struct passage *passage, void *to, const void *from, int64_t elements)
{
	const struct aur_forward *forward = aur_forward_of(passage->comm);
	if (elements == 0)
		return AUR_OK;
	return forward->backend->streams->copy(
		forward->backend, forward->stream, to, from, (size_t)elements * passage->element_bytes);
}

/* Where rank's stretch of this bucket lies in the arena `data` of the device, and in the room `packed`. */
static char *in_arena(const struct passage *passage, const void *data, int rank)
{
	return (char *)data + (size_t)(passage->slices->begin[rank] + passage->at) * passage->element_bytes;
}

static char *in_room(const struct passage *passage, char *packed, int rank)
{
	return packed + (size_t)state_of(passage->comm)->bucket.begin[rank] * passage->element_bytes;
}

static int64_t stretch(const struct passage *passage, int rank)
{
	return aur_slice_length(&state_of(passage->comm)->bucket, rank);
}

static aur_status wait_for_copies(struct aur_comm *comm)
{
	const struct aur_forward *forward = aur_forward_of(comm);
	int done = 0, waits = 0;
	for (;;) {
		AUR_TRY(forward->backend->streams->poll(forward->backend, forward->stream, &done));
		if (done)
			return AUR_OK;
		aur_forward_nap(&waits);
	}
}

/* The stretches of all ranks but one of them (-1: none) to the host; and what was copied to the device from the bucket
 * before this is done, too. */
static aur_status fetch(const struct passage *passage, const void *data, int from, int to, int without)
{
	struct staged_state *state = state_of(passage->comm);
	for (int r = from; r < to; r++)
		if (r != without)
			AUR_TRY(copy(passage, in_room(passage, state->mine, r), in_arena(passage, data, r), stretch(passage, r)));
	return wait_for_copies(passage->comm);
}

static aur_status exchange_bucket(const struct passage *passage, const float *send, float *parts)
{
	struct aur_comm *comm = passage->comm, *world = aur_forward_of(comm)->world;
	struct staged_state *state = state_of(comm);
	AUR_TRY(fetch(passage, send, 0, comm->size, comm->rank));
	AUR_TRY(world->ops->exchange_start(world, &state->bucket, (float *)state->mine, (float *)state->theirs));
	AUR_TRY(world->ops->finish(world));
	for (int r = 0; r < comm->size; r++)
		if (r != comm->rank)
			AUR_TRY(copy(passage, parts + aur_slices_place(passage->slices, comm->rank, r) + passage->at,
				(float *)state->theirs + aur_slices_place(&state->bucket, comm->rank, r),
				stretch(passage, comm->rank)));
	return AUR_OK;
}

static aur_status reduce_bucket(const struct passage *passage, const float *send, float *out)
{
	struct aur_comm *comm = passage->comm, *world = aur_forward_of(comm)->world;
	struct staged_state *state = state_of(comm);
	AUR_TRY(fetch(passage, send, 0, comm->size, -1));
	AUR_TRY(world->ops->reduce_scatter_start(world, &state->bucket, (float *)state->mine, (float *)state->theirs));
	AUR_TRY(world->ops->finish(world));
	return copy(passage, out + passage->at, state->theirs, stretch(passage, comm->rank));
}

static aur_status gather_bucket(const struct passage *passage, void *data)
{
	struct aur_comm *comm = passage->comm, *world = aur_forward_of(comm)->world;
	struct staged_state *state = state_of(comm);
	AUR_TRY(fetch(passage, data, comm->rank, comm->rank + 1, -1));
	AUR_TRY(world->ops->all_gather_start(world, &state->bucket, state->mine, passage->element_bytes));
	AUR_TRY(world->ops->finish(world));
	for (int r = 0; r < comm->size; r++)
		if (r != comm->rank)
			AUR_TRY(copy(passage, in_arena(passage, data, r), in_room(passage, state->mine, r), stretch(passage, r)));
	return AUR_OK;
}

/* Room for the first bucket, the longest, and for the part of each rank in it. */
static aur_status begin(struct passage *passage, size_t element_bytes)
{
	struct aur_comm *comm = passage->comm;
	passage->element_bytes = element_bytes;
	passage->share = share_of(comm, passage->slices, element_bytes);
	AUR_TRY(take_rooms(state_of(comm), (size_t)(passage->share * comm->size) * element_bytes));
	return aur_forward_begin(comm);
}

/* Whether there is one more bucket, which is then cut. */
static int next_bucket(struct passage *passage)
{
	if (passage->at >= passage->slices->longest)
		return 0;
	cut_bucket(&state_of(passage->comm)->bucket, passage->slices, passage->at, passage->share);
	return 1;
}

static aur_status staged_exchange_start(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *parts)
{
	struct passage passage = {.comm = comm, .slices = slices};
	AUR_TRY(begin(&passage, sizeof *send));
	for (; next_bucket(&passage); passage.at += passage.share)
		AUR_TRY(exchange_bucket(&passage, send, parts));
	return AUR_OK;
}

static aur_status staged_reduce_scatter_start(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *out)
{
	struct passage passage = {.comm = comm, .slices = slices};
	AUR_TRY(begin(&passage, sizeof *send));
	for (; next_bucket(&passage); passage.at += passage.share)
		AUR_TRY(reduce_bucket(&passage, send, out));
	return AUR_OK;
}

static aur_status staged_all_gather_start(
	struct aur_comm *comm, const struct aur_slices *slices, void *data, size_t element_bytes)
{
	struct passage passage = {.comm = comm, .slices = slices};
	AUR_TRY(begin(&passage, element_bytes));
	for (; next_bucket(&passage); passage.at += passage.share)
		AUR_TRY(gather_bucket(&passage, data));
	return AUR_OK;
}

static void staged_close(struct aur_comm *comm)
{
	struct staged_state *state = state_of(comm);
	if (state) {
		free_rooms(state);
		aur_forward_close(&state->forward);
		free(state);
	}
	free(comm);
}

static const struct aur_comm_ops staged_ops = {
	.agree = aur_forward_agree,
	.exchange_start = staged_exchange_start,
	.reduce_scatter_start = staged_reduce_scatter_start,
	.all_gather_start = staged_all_gather_start,
	.finish = aur_forward_end,
	.settle = wait_for_copies,
	.all_reduce = aur_forward_all_reduce,
	.broadcast = aur_forward_broadcast,
	.gather = aur_forward_gather,
	.barrier = aur_forward_barrier,
	.close = staged_close,
};

aur_status aur_comm_staged_create(struct aur_comm *world, struct aur_backend *backend, struct aur_comm **comm)
{
	struct staged_state *state = calloc(1, sizeof *state);
	*comm = calloc(1, sizeof **comm);
	if (!*comm || !state) {
		free(*comm);
		free(state);
		*comm = NULL;
		return aur_fail(AUR_MEMORY, "communicator: no memory");
	}
	const aur_status status = aur_forward_open(*comm, &staged_ops, "staged", world, backend, &state->forward);
	if (status != AUR_OK)
		aur_comm_close(comm);
	return status;
}
