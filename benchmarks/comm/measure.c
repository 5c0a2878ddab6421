#include "bench.h"

#include "core/clock.h"

#include <stdlib.h>

/* Whole numbers below a hundred: their sums are the same in every order. */
static float value_of(int rank, int64_t i)
{
	return (float)((i + 31 * rank) % 97);
}

static int64_t received_count(const struct bench *bench, int64_t count)
{
	const int64_t parts = aur_slices_parts(&bench->slices);
	return parts > count ? parts : count;
}

/* Rank r's slices are as long as every other's where the size divides; else as near as elements allow. */
static void cut(struct bench *bench, int64_t count)
{
	aur_slices_make(&bench->slices, count, bench->settings->as_training ? AUR_NORM_BLOCK : 1, bench->world->size);
}

static int64_t count_of(const struct bench *bench, int64_t bytes)
{
	const int64_t ranks = bench->world->size, count = bytes / (int64_t)sizeof(float);
	if (bench->settings->as_training)
		return count;
	return count < ranks ? ranks : count / ranks * ranks;
}

static aur_status take_memory(struct bench *bench)
{
	struct aur_backend *backend = bench->backend;
	const int64_t count = count_of(bench, bench->settings->most);
	void *send = NULL, *received = NULL;
	cut(bench, count);
	bench->host = malloc((size_t)received_count(bench, count) * sizeof *bench->host);
	if (!bench->host)
		return aur_fail(AUR_MEMORY, "no memory for %lld numbers (lower --max)", (long long)count);
	aur_status status = backend->ops->allocate(backend, (size_t)count * sizeof(float), &send);
	if (status == AUR_OK)
		status = backend->ops->allocate(backend, (size_t)received_count(bench, count) * sizeof(float), &received);
	bench->send = send;
	bench->received = received;
	return status;
}

aur_status bench_open(struct bench *bench)
{
	struct aur_comm *world = bench->world;
	if (world->size < 2)
		return aur_comm_agree(
			world, aur_fail(AUR_USAGE, "one rank has nobody to exchange with: mpirun -np N aurelius-bench-comm"));
	world->bucket_bytes = (size_t)(bench->settings->bucket_mb * 1e6);
	aur_backend_use_device(world->rank_on_node);
	AUR_TRY(aur_comm_agree(world, aur_backend_open(bench->settings->backend, &bench->backend)));
	AUR_TRY(aur_comm_open_device(world, bench->backend, bench->settings->share_gpu, &bench->comm));
	/* What ranks share is not moved: there is nothing to measure. */
	if (bench->comm->ops->share) {
		aur_comm_close_device(world, &bench->comm);
		bench->comm = world;
	}
	return aur_comm_agree(world, take_memory(bench));
}

void bench_close(struct bench *bench)
{
	aur_comm_close_device(bench->world, &bench->comm);
	if (bench->send)
		bench->backend->ops->release(bench->backend, bench->send);
	if (bench->received)
		bench->backend->ops->release(bench->backend, bench->received);
	free(bench->host);
	aur_backend_close(&bench->backend);
}

static aur_status call(struct bench *bench, enum bench_op op)
{
	struct aur_comm *comm = bench->comm;
	const struct aur_slices *slices = &bench->slices;
	float *own = bench->received + slices->begin[comm->rank];
	if (op == BENCH_EXCHANGE)
		AUR_TRY(comm->ops->exchange_start(comm, slices, bench->send, bench->received));
	if (op == BENCH_REDUCE_SCATTER || op == BENCH_ALL_REDUCE)
		AUR_TRY(comm->ops->reduce_scatter_start(comm, slices, bench->send, own));
	if (op == BENCH_ALL_REDUCE)
		AUR_TRY(comm->ops->finish(comm));
	if (op == BENCH_ALL_GATHER || op == BENCH_ALL_REDUCE)
		AUR_TRY(comm->ops->all_gather_start(comm, slices, bench->received, sizeof(float)));
	return comm->ops->finish(comm);
}

static aur_status repeat(struct bench *bench, enum bench_op op, int times)
{
	for (int i = 0; i < times; i++)
		AUR_TRY(call(bench, op));
	return bench->comm->ops->settle(bench->comm);
}

/* What is sent: this rank's numbers; and in the place of its slice, as a gathering takes them. */
static aur_status fill(struct bench *bench, int64_t count)
{
	struct aur_backend *backend = bench->backend;
	const size_t bytes = (size_t)count * sizeof *bench->host;
	for (int64_t i = 0; i < count; i++)
		bench->host[i] = value_of(bench->comm->rank, i);
	AUR_TRY(backend->ops->upload(backend, bench->send, bench->host, bytes));
	AUR_TRY(backend->ops->upload(backend, bench->received, bench->host, bytes));
	return backend->ops->synchronise(backend);
}

static float sum_at(const struct bench *bench, int64_t i)
{
	float sum = 0;
	for (int r = 0; r < bench->comm->size; r++)
		sum += value_of(r, i);
	return sum;
}

static int64_t count_wrong_parts(const struct bench *bench)
{
	const struct aur_slices *slices = &bench->slices;
	const int own = bench->comm->rank;
	int64_t wrong = 0;
	for (int r = 0; r < slices->size; r++)
		for (int64_t i = 0; r != own && i < aur_slice_length(slices, own); i++)
			wrong += bench->host[aur_slices_place(slices, own, r) + i] != value_of(r, slices->begin[own] + i);
	return wrong;
}

static int64_t count_wrong(const struct bench *bench, enum bench_op op)
{
	const struct aur_slices *slices = &bench->slices;
	const int own = bench->comm->rank;
	int64_t wrong = 0;
	if (op == BENCH_EXCHANGE)
		return count_wrong_parts(bench);
	for (int r = 0; r < slices->size; r++)
		for (int64_t i = slices->begin[r]; i < slices->begin[r + 1]; i++) {
			if (op == BENCH_REDUCE_SCATTER && r != own)
				continue;
			wrong += bench->host[i] != (op == BENCH_ALL_GATHER ? value_of(r, i) : sum_at(bench, i));
		}
	return wrong;
}

/* One call more, whose result is looked at. */
static aur_status check(struct bench *bench, enum bench_op op, int64_t count, int64_t *wrong)
{
	struct aur_backend *backend = bench->backend;
	AUR_TRY(fill(bench, count));
	AUR_TRY(repeat(bench, op, 1));
	AUR_TRY(backend->ops->download(
		backend, bench->host, bench->received, (size_t)received_count(bench, count) * sizeof *bench->host));
	AUR_TRY(backend->ops->synchronise(backend));
	double all = (double)count_wrong(bench, op);
	AUR_TRY(bench->world->ops->all_reduce(bench->world, &all, 1, AUR_COMM_SUM));
	*wrong = (int64_t)all;
	return AUR_OK;
}

/* How nccl-tests counts: what each rank's link has to carry at least, as a share of the bytes. */
static double bus_factor(enum bench_op op, int ranks)
{
	return (op == BENCH_ALL_REDUCE ? 2.0 : 1.0) * (ranks - 1) / ranks;
}

aur_status bench_measure(struct bench *bench, enum bench_op op, int64_t bytes, struct bench_result *result)
{
	const struct bench_settings *settings = bench->settings;
	const int64_t count = count_of(bench, bytes);
	cut(bench, count);
	AUR_TRY(fill(bench, count));
	AUR_TRY(repeat(bench, op, settings->warm_ups));
	AUR_TRY(bench->world->ops->barrier(bench->world));
	const double start = aur_clock_s();
	AUR_TRY(repeat(bench, op, settings->repeats));
	double seconds = (aur_clock_s() - start) / settings->repeats;
	AUR_TRY(bench->world->ops->all_reduce(bench->world, &seconds, 1, AUR_COMM_MAX));
	*result = (struct bench_result){.op = op, .bytes = count * (int64_t)sizeof(float), .seconds = seconds};
	result->algorithm_rate = (double)result->bytes / seconds;
	result->bus_rate = result->algorithm_rate * bus_factor(op, bench->world->size);
	return check(bench, op, count, &result->wrong);
}
