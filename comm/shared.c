#include "shared.h"

#include "core/clock.h"
#include "core/log.h"
#include "forward.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The memory has no name in any file system: rank 0 makes it, the others open it through rank 0's descriptor. So
 * however the ranks end, nothing of it is left.
 *
 *   | token, arrivals | common | own of rank 0 | own of rank 1 | ...
 *
 * Parts begin on pages of 2 MiB, so that the system can grant such pages. */
enum { LINE = 64, PAGE = 2 << 20 };

/* How often a rank has come to the meeting point; a cache line each, since the others watch it. */
struct arrivals {
	_Alignas(LINE) _Atomic uint64_t count;
};

struct header {
	uint64_t token;
	struct arrivals rank[];
};

struct shared {
	struct aur_forward forward; /* first */
	char *base;                 /* owned: the mapping; NULL before share() */
	size_t bytes;
	uint64_t met;       /* how often this rank has come */
	int meet_at_finish; /* 1: what was started needs no copy, only that all ranks are there */
};

/* What rank 0 tells the others. */
struct offer {
	uint64_t token;
	int pid, descriptor; /* -1: there is nothing to open */
};

static struct shared *shared_of(struct aur_comm *comm)
{
	return comm->private_data;
}

static struct aur_comm *world_of(struct aur_comm *comm)
{
	return aur_forward_of(comm)->world;
}

static size_t in_pages(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* One more look failed. Ranks that have cores of their own arrive within microseconds; where they share them the others
 * must be let run, and what MPI has on its way must move: a rank may need it to arrive at all. */
static aur_status wait_longer(struct aur_comm *comm, int *looks)
{
	enum { SPINS = 2000, YIELDS = 1 << 16, SETTLE_EVERY = 64 };
	const int look = (*looks)++;
	if (look < SPINS) {
		pause_briefly();
		return AUR_OK;
	}
	if (look < SPINS + YIELDS) {
		int fresh = 0;
		aur_forward_nap(&fresh);
	} else {
		const struct timespec nap = {.tv_nsec = 100000};
		*looks = SPINS + YIELDS;
		nanosleep(&nap, NULL);
	}
	return look % SETTLE_EVERY == 0 || look >= SPINS + YIELDS ? world_of(comm)->ops->settle(world_of(comm)) : AUR_OK;
}

/* Returns when all ranks have come: what they wrote before is seen after. */
static aur_status meet(struct aur_comm *comm)
{
	struct shared *shared = shared_of(comm);
	struct header *header = (struct header *)shared->base;
	const uint64_t round = ++shared->met;
	int looks = 0;
	atomic_store_explicit(&header->rank[comm->rank].count, round, memory_order_release);
	for (int i = 0; i < comm->size; i++)
		while (atomic_load_explicit(&header->rank[i].count, memory_order_acquire) < round)
			AUR_TRY(wait_longer(comm, &looks));
	return AUR_OK;
}

/* In /proc, the link to such memory begins so. */
#define MEMORY_NAME "aurelius"
#define MEMORY_LINK "/memfd:" MEMORY_NAME

/* The first line of a file of the system's, or `otherwise` where there is none. */
static void read_setting(const char *path, const char *otherwise, char line[32])
{
	FILE *file = fopen(path, "re");
	if (!file || !fgets(line, 32, file))
		snprintf(line, 32, "%s", otherwise);
	if (file)
		fclose(file);
}

/* Where the system commits no more memory than it has, a page that it lacks would end the run when it is first touched:
 * there all are taken now. Elsewhere they come as they are touched, which lets them be large ones. */
static int size_memory(int descriptor, size_t bytes)
{
	char line[32];
	read_setting("/proc/sys/vm/overcommit_memory", "0", line);
	return line[0] == '2' ? fallocate(descriptor, 0, 0, (off_t)bytes) : ftruncate(descriptor, (off_t)bytes);
}

/* Rank 0: memory of no name, as zeros. */
static int make_memory(size_t bytes, struct offer *offer)
{
	offer->descriptor = memfd_create(MEMORY_NAME, MFD_CLOEXEC);
	if (offer->descriptor >= 0 && size_memory(offer->descriptor, bytes) != 0) {
		close(offer->descriptor);
		offer->descriptor = -1;
	}
	offer->pid = (int)getpid();
	offer->token = (uint64_t)(aur_clock_s() * 1e9) ^ (uint64_t)offer->pid << 32;
	return offer->descriptor;
}

/* Of a process that is another's, nothing but such memory is opened: it may be a device that is set off by that. */
static int is_memory(const char *path)
{
	char link[sizeof MEMORY_LINK];
	const ssize_t length = readlink(path, link, sizeof link - 1);
	return length == (ssize_t)sizeof link - 1 && memcmp(link, MEMORY_LINK, sizeof link - 1) == 0;
}

/* Another rank: rank 0's descriptor. In a container of its own this is another process, or none. */
static int find_memory(size_t bytes, const struct offer *offer)
{
	char path[64];
	struct stat stat;
	if (offer->descriptor < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%d/fd/%d", offer->pid, offer->descriptor);
	const int descriptor = is_memory(path) ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (descriptor >= 0 && (fstat(descriptor, &stat) != 0 || !S_ISREG(stat.st_mode) || stat.st_size != (off_t)bytes)) {
		close(descriptor);
		return -1;
	}
	return descriptor;
}

static char *map_memory(int descriptor, size_t bytes)
{
	void *base = descriptor < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
	if (base == MAP_FAILED)
		return NULL;
	(void)madvise(base, bytes, MADV_HUGEPAGE);
	return base;
}

/* The worst of all ranks' answers is everyone's: memory that one rank lacks is no use to the others. */
static aur_status all_have(struct aur_comm *world, int mine, int *all)
{
	double lacking = !mine;
	AUR_TRY(world->ops->all_reduce(world, &lacking, 1, AUR_COMM_MAX));
	*all = lacking == 0;
	return AUR_OK;
}

/* Descriptors are open until all ranks have tried. */
static aur_status map_everywhere(struct aur_comm *comm, size_t bytes, int *mapped)
{
	struct aur_comm *world = world_of(comm);
	struct shared *shared = shared_of(comm);
	struct offer offer = {0};
	int descriptor = comm->rank == 0 ? make_memory(bytes, &offer) : -1;
	aur_status status = world->ops->broadcast(world, &offer, sizeof offer, 0);
	if (status == AUR_OK && comm->rank != 0)
		descriptor = find_memory(bytes, &offer);
	shared->base = map_memory(descriptor, bytes);
	shared->bytes = bytes;
	struct header *header = (struct header *)shared->base;
	if (header && comm->rank == 0)
		header->token = offer.token;
	if (status == AUR_OK)
		status = world->ops->barrier(world);
	if (status == AUR_OK)
		status = all_have(world, header && header->token == offer.token, mapped);
	if (descriptor >= 0)
		close(descriptor);
	return status;
}

static void unmap(struct aur_comm *comm)
{
	struct shared *shared = shared_of(comm);
	if (shared->base)
		munmap(shared->base, shared->bytes);
	shared->base = NULL;
	comm->memory = (struct aur_comm_memory){0};
}

static aur_status shared_share(struct aur_comm *comm, size_t common, size_t own)
{
	struct shared *shared = shared_of(comm);
	const size_t control = in_pages(sizeof(struct header) + (size_t)comm->size * sizeof(struct arrivals));
	const size_t first = control + in_pages(common), each = in_pages(own);
	int mapped = 0;
	if (shared->base)
		return aur_fail(AUR_INTERNAL, "communicator: memory is shared once");
	AUR_TRY(map_everywhere(comm, first + each * (size_t)comm->size, &mapped));
	if (!mapped) {
		unmap(comm);
		if (comm->rank == 0)
			aur_info("the ranks of this machine cannot share memory: gradients and weights travel over MPI");
		return AUR_OK;
	}
	comm->memory = (struct aur_comm_memory){.common = shared->base + control,
		.common_bytes = common,
		.own = shared->base + first + each * (size_t)comm->rank,
		.own_bytes = own,
		.stride = each};
	if (comm->rank == 0)
		aur_info("the %d ranks share memory", comm->size);
	return AUR_OK;
}

static aur_status shared_exchange_view(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, const float **parts)
{
	for (int i = 0; i < comm->size; i++) {
		const ptrdiff_t away = (ptrdiff_t)(i - comm->rank) * (ptrdiff_t)comm->memory.stride;
		parts[i] = (const float *)((const char *)send + away) + slices->begin[comm->rank];
	}
	/* Once all sums are there, and again before anyone changes them. */
	shared_of(comm)->meet_at_finish = 1;
	return meet(comm);
}

static aur_status shared_exchange_start(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *parts)
{
	struct aur_comm *world = world_of(comm);
	return world->ops->exchange_start(world, slices, send, parts);
}

static aur_status shared_reduce_scatter_start(
	struct aur_comm *comm, const struct aur_slices *slices, const float *send, float *out)
{
	struct aur_comm *world = world_of(comm);
	return world->ops->reduce_scatter_start(world, slices, send, out);
}

static aur_status shared_all_gather_start(
	struct aur_comm *comm, const struct aur_slices *slices, void *data, size_t element_bytes)
{
	struct aur_comm *world = world_of(comm);
	if (!aur_comm_in_common(comm, data))
		return world->ops->all_gather_start(world, slices, data, element_bytes);
	shared_of(comm)->meet_at_finish = 1;
	return AUR_OK;
}

static aur_status shared_finish(struct aur_comm *comm)
{
	struct shared *shared = shared_of(comm);
	const int meets = shared->meet_at_finish;
	shared->meet_at_finish = 0;
	AUR_TRY(world_of(comm)->ops->finish(world_of(comm)));
	return meets ? meet(comm) : AUR_OK;
}

static aur_status shared_settle(struct aur_comm *comm)
{
	return world_of(comm)->ops->settle(world_of(comm));
}

static aur_status shared_broadcast(struct aur_comm *comm, void *data, size_t bytes, int root)
{
	return aur_comm_in_common(comm, data) ? meet(comm) : aur_forward_broadcast(comm, data, bytes, root);
}

static void shared_close(struct aur_comm *comm)
{
	unmap(comm);
	free(comm->private_data);
	free(comm);
}

static const struct aur_comm_ops shared_ops = {
	.agree = aur_forward_agree,
	.share = shared_share,
	.exchange_view = shared_exchange_view,
	.exchange_start = shared_exchange_start,
	.reduce_scatter_start = shared_reduce_scatter_start,
	.all_gather_start = shared_all_gather_start,
	.finish = shared_finish,
	.settle = shared_settle,
	.all_reduce = aur_forward_all_reduce,
	.broadcast = shared_broadcast,
	.gather = aur_forward_gather,
	.barrier = aur_forward_barrier,
	.close = shared_close,
};

/* "0" where there is one. A system that does not say has none of its own to tell apart. */
static int memory_is_one(void)
{
	char nodes[32];
	read_setting("/sys/devices/system/node/online", "0", nodes);
	return strcspn(nodes, ",-") == strlen(nodes);
}

int aur_comm_can_share(const struct aur_comm *world)
{
	const char *asked = getenv("AURELIUS_EXCHANGE");
	if (asked && strcmp(asked, "mpi") == 0)
		return 0;
	return world->size > 1 && world->ranks_on_node == world->size && memory_is_one();
}

aur_status aur_comm_shared_create(struct aur_comm *world, struct aur_comm **comm)
{
	int possible = 0;
	*comm = NULL;
	AUR_TRY(all_have(world, aur_comm_can_share(world), &possible));
	if (!possible)
		return AUR_OK;
	struct aur_comm *made = malloc(sizeof *made);
	struct shared *shared = calloc(1, sizeof *shared);
	const aur_status status = made && shared ? AUR_OK : aur_fail(AUR_MEMORY, "communicator: no memory");
	if (aur_comm_agree(world, status) != AUR_OK) {
		free(made);
		free(shared);
		return world->agreed;
	}
	shared->forward.world = world;
	*made = *world;
	made->ops = &shared_ops;
	made->name = "shared";
	made->private_data = shared;
	*comm = made;
	return AUR_OK;
}
