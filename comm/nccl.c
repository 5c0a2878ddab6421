#include "nccl_calls.h"

#include <math.h>
#include <stdlib.h>

/* Exchanges that only move bytes are sent as bytes: NCCL does not look at them then. */

static struct aur_nccl *state_of(struct aur_comm *comm)
{
	return comm->private_data;
}

/* Calls that NCCL starts as one. The first that fails is remembered; the group is closed all the same. */
struct group {
	struct aur_nccl *nccl;
	ncclResult_t failed;
	const char *what; /* the call that failed */
};

static aur_status begin_group(struct aur_comm *comm, const char *name, struct group *group)
{
	struct aur_nccl *nccl = state_of(comm);
	*group = (struct group){.nccl = nccl, .failed = ncclSuccess, .what = name};
	AUR_TRY(aur_nccl_check(nccl));
	AUR_TRY(aur_forward_begin(comm));
	nccl->last = name;
	return aur_nccl_wait_call(nccl, ncclGroupStart(), "ncclGroupStart", nccl->limit_s);
}

static void add_call(struct group *group, ncclResult_t result, const char *what, int64_t bytes)
{
	group->nccl->bytes += (double)bytes;
	if (result == ncclSuccess || result == ncclInProgress || group->failed != ncclSuccess)
		return;
	group->failed = result;
	group->what = what;
}

/* Waits until all is on the stream: what is ordered after it must not overtake it. */
static aur_status end_group(struct group *group)
{
	const ncclResult_t ended = ncclGroupEnd();
	const ncclResult_t result = group->failed != ncclSuccess ? group->failed : ended;
	return aur_nccl_wait_call(group->nccl, result, group->what, group->nccl->limit_s);
}

/* One group of sends and receives of whole slices: NCCL cuts them itself and needs no memory of ours. Step i pairs a
 * rank with those i above and below, so that no rank is everybody's first. */
static aur_status nccl_exchange_start(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *parts)
{
	struct aur_nccl *nccl = state_of(comm);
	struct group group;
	const int64_t own = aur_slice_length(slices, comm->rank) * (int64_t)sizeof *parts;
	AUR_TRY(begin_group(comm, "the exchange of gradients", &group));
	for (int i = 1; i < comm->size; i++) {
		const int to = (comm->rank + i) % comm->size, from = (comm->rank - i + comm->size) % comm->size;
		const int64_t bytes = aur_slice_length(slices, to) * (int64_t)sizeof *send;
		if (bytes > 0)
			add_call(&group,
				ncclSend(send + slices->begin[to], (size_t)bytes, ncclInt8, to, nccl->handle, nccl->stream), "ncclSend",
				bytes);
		if (own > 0)
			add_call(&group,
				ncclRecv(parts + aur_slices_place(slices, comm->rank, from), (size_t)own, ncclInt8, from, nccl->handle,
					nccl->stream),
				"ncclRecv", own);
	}
	return end_group(&group);
}

static int are_equal(const struct aur_slices *slices)
{
	return slices->longest * slices->size == slices->count;
}

/* The sums of elements [from, to) of the arena, each to the rank whose slice holds it: one group. Gradients lie in the
 * order in which the backward pass completes them, so a stretch can be reduced as soon as it is complete. */
static aur_status nccl_reduce_stretch_start(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *out, int64_t from, int64_t to)
{
	struct aur_nccl *nccl = state_of(comm);
	struct group group;
	AUR_TRY(begin_group(comm, "the reduction of gradients", &group));
	for (int r = 0; r < comm->size; r++) {
		const int64_t begin = slices->begin[r] > from ? slices->begin[r] : from;
		const int64_t end = slices->begin[r + 1] < to ? slices->begin[r + 1] : to;
		float *sum = r == comm->rank ? out + (begin - slices->begin[r]) : NULL;
		if (begin < end)
			add_call(&group,
				ncclReduce(
					send + begin, sum, (size_t)(end - begin), ncclFloat32, ncclSum, r, nccl->handle, nccl->stream),
				"ncclReduce", (end - begin) * (int64_t)sizeof *send);
	}
	return end_group(&group);
}

static aur_status reduce_equal(struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *out)
{
	struct aur_nccl *nccl = state_of(comm);
	struct group group;
	AUR_TRY(begin_group(comm, "the reduction of gradients", &group));
	add_call(&group,
		ncclReduceScatter(send, out, (size_t)slices->longest, ncclFloat32, ncclSum, nccl->handle, nccl->stream),
		"ncclReduceScatter", slices->count * (int64_t)sizeof *send);
	return end_group(&group);
}

/* Equal slices: NCCL's own operation, which adds in the switch where there is one that can. Others lie where no single
 * call of it finds them: a reduction to each owner moves as much over every link. */
static aur_status nccl_reduce_scatter_start(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *out)
{
	const int64_t elements = (int64_t)(comm->bucket_bytes / sizeof *send), bucket = elements < 1 ? 1 : elements;
	if (are_equal(slices))
		return reduce_equal(comm, slices, send, out);
	for (int64_t at = 0; at < slices->count; at += bucket)
		AUR_TRY(nccl_reduce_stretch_start(
			comm, slices, send, out, at, at + bucket < slices->count ? at + bucket : slices->count));
	return AUR_OK;
}

static void broadcast_slices(
	struct group *group, struct aur_comm *comm, const struct aur_slices *slices, char *data, int64_t element_bytes)
{
	struct aur_nccl *nccl = group->nccl;
	for (int r = 0; r < comm->size; r++) {
		char *slice = data + slices->begin[r] * element_bytes;
		const int64_t bytes = aur_slice_length(slices, r) * element_bytes;
		if (bytes > 0)
			add_call(group, ncclBroadcast(slice, slice, (size_t)bytes, ncclInt8, r, nccl->handle, nccl->stream),
				"ncclBroadcast", bytes);
	}
}

static aur_status nccl_all_gather_start(
	struct aur_comm *comm, const struct aur_slices *slices, void *data, size_t element_bytes)
{
	struct aur_nccl *nccl = state_of(comm);
	struct group group;
	const size_t bytes = (size_t)slices->longest * element_bytes;
	AUR_TRY(begin_group(comm, "the gathering of slices", &group));
	if (!are_equal(slices))
		broadcast_slices(&group, comm, slices, data, (int64_t)element_bytes);
	else if (bytes > 0)
		add_call(&group,
			ncclAllGather((char *)data + (size_t)comm->rank * bytes, data, bytes, ncclInt8, nccl->handle, nccl->stream),
			"ncclAllGather", (int64_t)bytes * comm->size);
	return end_group(&group);
}

static aur_status nccl_settle(struct aur_comm *comm)
{
	struct aur_nccl *nccl = state_of(comm);
	AUR_TRY(aur_nccl_wait_stream(nccl, nccl->forward.stream, aur_nccl_exchange_limit(nccl)));
	nccl->bytes = nccl->awaited_bytes = 0;
	return AUR_OK;
}

/* What was started since the last time may be on its way still. A step's computation may take minutes. */
static aur_status nccl_await(struct aur_comm *comm, struct aur_stream *computed, struct aur_stream *stream)
{
	struct aur_nccl *nccl = state_of(comm);
	AUR_TRY(aur_nccl_wait_stream(nccl, computed, INFINITY));
	AUR_TRY(aur_nccl_wait_stream(nccl, stream, aur_nccl_exchange_limit(nccl)));
	nccl->bytes -= nccl->awaited_bytes;
	nccl->awaited_bytes = nccl->bytes;
	return AUR_OK;
}

/* What NCCL reports in the background on one rank is agreed upon like any failure of one rank. */
static aur_status nccl_agree(struct aur_comm *comm, struct aur_agreement *agreement)
{
	if (agreement->status == AUR_OK)
		agreement->status = aur_nccl_check(state_of(comm));
	return aur_forward_agree(comm, agreement);
}

/* Memory that cannot be made known is only slower. */
static void nccl_hold(struct aur_comm *comm, void *memory, size_t bytes)
{
	struct aur_nccl *nccl = state_of(comm);
	void *hold = NULL;
	if (!nccl->handle || nccl->n_holds == AUR_NCCL_HOLDS)
		return;
	if (ncclCommRegister(nccl->handle, memory, bytes, &hold) == ncclSuccess && hold)
		nccl->holds[nccl->n_holds++] = hold;
}

static void nccl_close(struct aur_comm *comm)
{
	struct aur_nccl *nccl = state_of(comm);
	if (nccl) {
		aur_nccl_end(nccl);
		aur_forward_close(&nccl->forward);
		free(nccl);
	}
	free(comm);
}

static const struct aur_comm_ops nccl_ops = {
	.agree = nccl_agree,
	.exchange_start = nccl_exchange_start,
	.reduce_scatter_start = nccl_reduce_scatter_start,
	.reduce_stretch_start = nccl_reduce_stretch_start,
	.all_gather_start = nccl_all_gather_start,
	.finish = aur_forward_end,
	.settle = nccl_settle,
	.await = nccl_await,
	.hold = nccl_hold,
	.all_reduce = aur_forward_all_reduce,
	.broadcast = aur_forward_broadcast,
	.gather = aur_forward_gather,
	.barrier = aur_forward_barrier,
	.close = nccl_close,
};

static aur_status allocate(struct aur_comm **comm, struct aur_nccl **nccl)
{
	*comm = calloc(1, sizeof **comm);
	*nccl = calloc(1, sizeof **nccl);
	if (*comm && *nccl)
		return AUR_OK;
	free(*comm);
	free(*nccl);
	*comm = NULL;
	return aur_fail(AUR_MEMORY, "communicator: no memory");
}

/* What one rank does alone before it looks for the others. */
static aur_status open_side(
	struct aur_comm *world, struct aur_backend *backend, struct aur_comm **comm, struct aur_nccl **nccl)
{
	AUR_TRY(allocate(comm, nccl));
	AUR_TRY(aur_forward_open(*comm, &nccl_ops, "nccl", world, backend, &(*nccl)->forward));
	(*nccl)->stream = (*nccl)->forward.stream->handle;
	return AUR_OK;
}

static aur_status nccl_create(struct aur_comm *world, struct aur_backend *backend, struct aur_comm **comm)
{
	struct aur_nccl *nccl = NULL;
	aur_status status = aur_comm_agree(world, open_side(world, backend, comm, &nccl));
	if (status == AUR_OK)
		status = aur_nccl_start(nccl, world);
	if (status != AUR_OK)
		aur_comm_close(comm);
	return status;
}

const struct aur_comm_factory aur_comm_nccl_factory = {
	.name = "nccl", .version = aur_nccl_version, .create = nccl_create};
