#include "comm/comm.h"

#include <stdlib.h>
#include <string.h>

static aur_status self_agree(struct aur_comm *comm, struct aur_agreement *agreement)
{
	comm->agreed = agreement->status;
	agreement->culprit = agreement->status == AUR_OK ? -1 : 0;
	return agreement->status;
}

static aur_status self_exchange(struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *parts)
{
	(void)comm;
	if (send != parts)
		memcpy(parts, send, (size_t)slices->count * sizeof *send);
	return AUR_OK;
}

static aur_status self_all_gather(struct aur_comm *comm, const struct aur_slices *slices, void *data, size_t bytes)
{
	(void)comm;
	(void)slices;
	(void)data;
	(void)bytes;
	return AUR_OK;
}

static aur_status self_finish(struct aur_comm *comm)
{
	(void)comm;
	return AUR_OK;
}

static aur_status self_all_reduce(struct aur_comm *comm, double *values, int count, enum aur_comm_op op)
{
	(void)comm;
	(void)values;
	(void)count;
	(void)op;
	return AUR_OK;
}

static aur_status self_broadcast(struct aur_comm *comm, void *data, size_t bytes, int root)
{
	(void)comm;
	(void)data;
	(void)bytes;
	(void)root;
	return AUR_OK;
}

static aur_status self_gather(struct aur_comm *comm, const void *data, const size_t *bytes, void *out, int root)
{
	(void)comm;
	(void)root;
	if (out != data && bytes[0] > 0)
		memcpy(out, data, bytes[0]);
	return AUR_OK;
}

static void self_close(struct aur_comm *comm)
{
	free(comm);
}

static const struct aur_comm_ops self_ops = {
	.agree = self_agree,
	.exchange_start = self_exchange,
	.reduce_scatter_start = self_exchange,
	.all_gather_start = self_all_gather,
	.finish = self_finish,
	.settle = self_finish,
	.all_reduce = self_all_reduce,
	.broadcast = self_broadcast,
	.gather = self_gather,
	.barrier = self_finish,
	.close = self_close,
};

aur_status aur_comm_self_create(struct aur_comm **comm)
{
	*comm = calloc(1, sizeof **comm);
	if (!*comm)
		return aur_fail(AUR_MEMORY, "communicator: no memory");
	**comm = (struct aur_comm){.ops = &self_ops, .name = "self", .rank = 0, .size = 1, .ranks_on_node = 1};
	return AUR_OK;
}

void aur_comm_close(struct aur_comm **comm)
{
	if (!comm || !*comm)
		return;
	(*comm)->ops->close(*comm);
	*comm = NULL;
}

aur_status aur_comm_agree(struct aur_comm *comm, aur_status status)
{
	struct aur_agreement agreement = {.status = status};
	return comm->ops->agree(comm, &agreement);
}
