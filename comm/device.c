#include "comm/comm.h"

#include "comm/staged.h"
#include "core/log.h"
#include "shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct aur_comm_factory *registered;

void aur_comm_register(const struct aur_comm_factory *factory)
{
	registered = factory;
}

/* What a rank computes on, as rank 0 compares it. */
struct identity {
	char backend[32], device[96], device_id[32];
	int host_memory, node, ranks_on_node;
	int version; /* of the library; 0: not there, or not needed */
};

/* What rank 0 finds out and all ranks do. */
struct verdict {
	int sharing; /* 1: two ranks have one device */
};

static struct identity identity_of(const struct aur_comm *world, const struct aur_backend *backend)
{
	struct identity own = {
		.host_memory = backend->host_memory,
		.node = world->node,
		.ranks_on_node = world->ranks_on_node,
		/* Asking opens the library, which ranks without a GPU need not have. */
		.version = registered && !backend->host_memory ? registered->version() : 0,
	};
	snprintf(own.backend, sizeof own.backend, "%s", backend->name);
	snprintf(own.device, sizeof own.device, "%s", backend->device);
	snprintf(own.device_id, sizeof own.device_id, "%s", backend->device_id);
	return own;
}

static void version_text(int version, char *text, size_t bytes)
{
	if (version == 0)
		snprintf(text, bytes, "none");
	else
		snprintf(text, bytes, "%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
}

int aur_comm_library(char *version, size_t bytes)
{
	const int number = registered ? registered->version() : 0;
	version[0] = '\0';
	if (number > 0)
		version_text(number, version, bytes);
	return registered != NULL;
}

static aur_status compare_with_first(const struct identity *first, const struct identity *other, int rank)
{
	if (strcmp(first->backend, other->backend) != 0)
		return aur_fail(AUR_DEVICE,
			"rank %d computes on %s and rank 0 on %s: all ranks need the same (system.backend names it; aurelius "
			"doctor "
			"says why a node has no GPU)",
			rank, other->backend, first->backend);
	if (strcmp(first->device, other->device) != 0)
		return aur_fail(AUR_DEVICE,
			"rank %d has the GPU %s and rank 0 %s: the GPUs of a run must be of one model (CUDA_VISIBLE_DEVICES or the "
			"hostfile chooses them)",
			rank, other->device, first->device);
	if (first->host_memory || first->version == other->version)
		return AUR_OK;
	char mine[32], its[32];
	version_text(first->version, mine, sizeof mine);
	version_text(other->version, its, sizeof its);
	return aur_fail(
		AUR_DEVICE, "rank %d has NCCL %s and rank 0 has %s: all ranks need the same library", rank, its, mine);
}

static int same_device(const struct identity *a, const struct identity *b)
{
	return !a->host_memory && a->node == b->node && strcmp(a->device_id, b->device_id) == 0;
}

/* How many devices the ranks of one node have together. */
static int devices_of_node(const struct identity *all, int size, int node)
{
	int devices = 0;
	for (int i = 0; i < size; i++) {
		int earlier = 0;
		for (int j = 0; j < i && all[i].node == node; j++)
			earlier |= same_device(&all[i], &all[j]);
		devices += all[i].node == node && !earlier;
	}
	return devices;
}

static aur_status find_sharing(const struct identity *all, int size, int share, struct verdict *verdict)
{
	for (int i = 0; i < size; i++)
		for (int j = i + 1; j < size; j++) {
			if (!same_device(&all[i], &all[j]))
				continue;
			verdict->sharing = 1;
			if (share)
				return AUR_OK;
			const int devices = devices_of_node(all, size, all[i].node);
			return aur_fail(AUR_DEVICE,
				"ranks %d and %d have the same GPU (%s): %d ranks run on that node and see %d GPU%s (start one rank a "
				"GPU, "
				"or set system.share_gpu: true)",
				i, j, all[i].device_id, all[i].ranks_on_node, devices, devices == 1 ? "" : "s");
		}
	return AUR_OK;
}

/* Rank 0 alone. */
static aur_status judge(const struct identity *all, int size, int share, struct verdict *verdict)
{
	for (int i = 1; i < size; i++)
		AUR_TRY(compare_with_first(&all[0], &all[i], i));
	return find_sharing(all, size, share, verdict);
}

static aur_status collect(struct aur_comm *world, const struct identity *own, struct identity *all, size_t *bytes)
{
	if (!bytes || (world->rank == 0 && !all))
		return aur_fail(AUR_MEMORY, "communicator: no memory for %d ranks", world->size);
	for (int i = 0; i < world->size; i++)
		bytes[i] = sizeof *own;
	return AUR_OK;
}

/* Every rank's identity is compared on rank 0, so that there is one message. */
static aur_status compare_devices(
	struct aur_comm *world, const struct aur_backend *backend, int share, struct verdict *verdict)
{
	const struct identity own = identity_of(world, backend);
	struct identity *all = world->rank == 0 ? calloc((size_t)world->size, sizeof *all) : NULL;
	size_t *bytes = malloc((size_t)world->size * sizeof *bytes);
	aur_status status;
	*verdict = (struct verdict){0};
	AUR_TRY_CLEANUP(aur_comm_agree(world, collect(world, &own, all, bytes)));
	AUR_TRY_CLEANUP(world->ops->gather(world, &own, bytes, all, 0));
	if (world->rank == 0)
		status = judge(all, world->size, share, verdict);
	AUR_TRY_CLEANUP(aur_comm_agree(world, status));
	status = world->ops->broadcast(world, verdict, sizeof *verdict, 0);
cleanup:
	free(all);
	free(bytes);
	return status;
}

static aur_status open_library(struct aur_comm *world, struct aur_backend *backend, struct aur_comm **comm)
{
	char version[32];
	AUR_TRY(registered->create(world, backend, comm));
	version_text(registered->version(), version, sizeof version);
	aur_info("gradients travel between %d GPUs by NCCL %s", world->size, version);
	return AUR_OK;
}

static aur_status open_host(struct aur_comm *world, struct aur_comm **comm)
{
	AUR_TRY(aur_comm_shared_create(world, comm));
	if (!*comm)
		*comm = world;
	return AUR_OK;
}

aur_status aur_comm_open_device(struct aur_comm *world, struct aur_backend *backend, int share, struct aur_comm **comm)
{
	struct verdict verdict;
	*comm = world;
	if (world->size == 1)
		return AUR_OK;
	AUR_TRY(compare_devices(world, backend, share, &verdict));
	if (backend->host_memory)
		return open_host(world, comm);
	*comm = NULL;
	const int library = registered && registered->version() > 0;
	if (library && !verdict.sharing)
		return open_library(world, backend, comm);
	AUR_TRY(aur_comm_agree(world, aur_comm_staged_create(world, backend, comm)));
	aur_info("gradients are staged through pinned host memory and MPI: %s", verdict.sharing
																				? "ranks share a GPU (system.share_gpu)"
																			: registered ? "NCCL is not installed"
																						 : "NCCL is not compiled in");
	return AUR_OK;
}

void aur_comm_close_device(struct aur_comm *world, struct aur_comm **comm)
{
	if (*comm == world)
		*comm = NULL;
	aur_comm_close(comm);
}
