#include "forward.h"

#include <sched.h>
#include <time.h>

aur_status aur_forward_open(struct aur_comm *comm, const struct aur_comm_ops *ops, const char *name,
	struct aur_comm *world, struct aur_backend *backend, struct aur_forward *forward)
{
	*forward = (struct aur_forward){.world = world, .backend = backend};
	*comm = *world;
	comm->ops = ops;
	comm->name = name;
	comm->agreed = AUR_OK;
	comm->private_data = forward;
	if (!backend->streams)
		return aur_fail(AUR_INTERNAL, "backend %s: its memory is a device's, but it has no streams", backend->name);
	return backend->streams->open(backend, &forward->stream);
}

void aur_forward_close(struct aur_forward *forward)
{
	if (forward->stream)
		forward->backend->streams->close(forward->backend, forward->stream);
	forward->stream = NULL;
}

/* The world keeps what was agreed, too: main looks there for who leaves together. */
aur_status aur_forward_agree(struct aur_comm *comm, struct aur_agreement *agreement)
{
	struct aur_comm *world = aur_forward_of(comm)->world;
	const aur_status status = world->ops->agree(world, agreement);
	comm->agreed = world->agreed;
	return status;
}

aur_status aur_forward_all_reduce(struct aur_comm *comm, double *values, int count, enum aur_comm_op op)
{
	struct aur_comm *world = aur_forward_of(comm)->world;
	return world->ops->all_reduce(world, values, count, op);
}

aur_status aur_forward_broadcast(struct aur_comm *comm, void *data, size_t bytes, int root)
{
	struct aur_comm *world = aur_forward_of(comm)->world;
	return world->ops->broadcast(world, data, bytes, root);
}

aur_status aur_forward_gather(struct aur_comm *comm, const void *data, const size_t *bytes, void *out, int root)
{
	struct aur_comm *world = aur_forward_of(comm)->world;
	return world->ops->gather(world, data, bytes, out, root);
}

aur_status aur_forward_barrier(struct aur_comm *comm)
{
	struct aur_comm *world = aur_forward_of(comm)->world;
	return world->ops->barrier(world);
}

aur_status aur_forward_begin(struct aur_comm *comm)
{
	struct aur_forward *forward = aur_forward_of(comm);
	return forward->backend->streams->order(forward->backend, NULL, forward->stream);
}

aur_status aur_forward_end(struct aur_comm *comm)
{
	struct aur_forward *forward = aur_forward_of(comm);
	return forward->backend->streams->order(forward->backend, forward->stream, NULL);
}

void aur_forward_nap(int *waits)
{
	enum { YIELDS = 64, FIRST_NAP_NS = 10000, LONGEST_NAP_NS = 1000000 };
	const int naps = (*waits)++ - YIELDS;
	if (naps < 0) {
		sched_yield();
		return;
	}
	const long ns = naps < 100 ? FIRST_NAP_NS * (1 + naps) : LONGEST_NAP_NS;
	const struct timespec pause = {.tv_nsec = ns < LONGEST_NAP_NS ? ns : LONGEST_NAP_NS};
	nanosleep(&pause, NULL);
}
