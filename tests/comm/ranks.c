#include "comm/exact.h"
#include "comm/mpi.h"
#include "comm/nccl.h"
#include "comm/staged.h"
#include "core/log.h"
#include "nccl_differ.h"
#include "stand_in.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One rank of a test: ranks CASE [WAY]. comm.sh starts them and says what they must print and end with. WAY is nccl or
 * staged: the communicator that is tested, on the stand-in for a device. It ends as the program does: what all agreed
 * upon by MPI_Finalize, what failed on one rank by MPI_Abort. */

struct bench {
	struct aur_comm *world, *comm; /* host memory; what is tested */
	struct aur_backend *backend;
	const char *way;
};

#define CHECK(condition)                                                                                               \
	do {                                                                                                               \
		if (!(condition))                                                                                              \
			return aur_fail(AUR_INTERNAL, "%s:%d: not so: %s", __FILE__, __LINE__, #condition);                        \
	} while (0)

static aur_status open_tested(struct bench *bench)
{
	if (strcmp(bench->way, "staged") == 0)
		return aur_comm_staged_create(bench->world, bench->backend, &bench->comm);
	aur_comm_register(&aur_comm_nccl_factory);
	AUR_TRY(aur_comm_open_device(bench->world, bench->backend, 0, &bench->comm));
	CHECK(strcmp(bench->comm->name, "nccl") == 0);
	return AUR_OK;
}

/* Device memory filled with NaN: what nobody wrote shows. */
static void *take(struct bench *bench, size_t bytes)
{
	void *memory = NULL;
	if (bench->backend->ops->allocate(bench->backend, bytes + 8, &memory) == AUR_OK)
		memset(memory, 0xff, bytes);
	return memory;
}

static void drop(struct bench *bench, void *memory)
{
	bench->backend->ops->release(bench->backend, memory);
}

/* Whole numbers: their sums are the same in every order. */
static void fill(float *values, int64_t count, int rank)
{
	for (int64_t i = 0; i < count; i++)
		values[i] = (float)((i * 7919 + rank * 104729) % 2003 - 1001);
}

static aur_status end(struct aur_comm *comm, aur_status started)
{
	AUR_TRY(started);
	AUR_TRY(comm->ops->finish(comm));
	return comm->ops->settle(comm);
}

static aur_status compare_exchange(struct bench *bench, const struct aur_slices *slices, const float *send)
{
	const int own = bench->world->rank;
	const size_t bytes = (size_t)aur_slices_parts(slices) * sizeof *send;
	float *expected = take(bench, bytes), *got = take(bench, bytes);
	AUR_TRY(end(bench->world, bench->world->ops->exchange_start(bench->world, slices, send, expected)));
	AUR_TRY(end(bench->comm, bench->comm->ops->exchange_start(bench->comm, slices, send, got)));
	CHECK(memcmp(expected, got, bytes) == 0);
	for (int r = 0; r < slices->size; r++)
		if (r != own && aur_slice_length(slices, own) > 0)
			CHECK(isfinite(got[aur_slices_place(slices, own, r)]));
	drop(bench, expected);
	drop(bench, got);
	return AUR_OK;
}

static aur_status compare_reduce_scatter(struct bench *bench, const struct aur_slices *slices, const float *send)
{
	const int64_t own = aur_slice_length(slices, bench->world->rank);
	float *expected = take(bench, (size_t)own * sizeof *send), *got = take(bench, (size_t)own * sizeof *send);
	AUR_TRY(end(bench->world, bench->world->ops->reduce_scatter_start(bench->world, slices, send, expected)));
	AUR_TRY(end(bench->comm, bench->comm->ops->reduce_scatter_start(bench->comm, slices, send, got)));
	for (int64_t i = 0; i < own; i++)
		CHECK(isfinite(got[i]) && got[i] == expected[i]);
	drop(bench, expected);
	drop(bench, got);
	return AUR_OK;
}

/* In stretches, one of them empty, with a single wait at the end. */
static aur_status sum_stretches(struct bench *bench, const struct aur_slices *slices, const float *send, float *out)
{
	const struct aur_comm_ops *ops = bench->comm->ops;
	const int64_t cuts[] = {0, slices->count / 3, slices->count / 3, slices->count / 2, slices->count};
	for (int i = 0; i < 4; i++)
		AUR_TRY(ops->reduce_stretch_start(bench->comm, slices, send, out, cuts[i], cuts[i + 1]));
	return end(bench->comm, AUR_OK);
}

static aur_status compare_stretches(struct bench *bench, const struct aur_slices *slices, const float *send)
{
	const int64_t own = aur_slice_length(slices, bench->world->rank);
	if (!bench->comm->ops->reduce_stretch_start) {
		CHECK(strcmp(bench->way, "staged") == 0);
		return AUR_OK;
	}
	float *expected = take(bench, (size_t)own * sizeof *send), *got = take(bench, (size_t)own * sizeof *send);
	AUR_TRY(end(bench->world, bench->world->ops->reduce_scatter_start(bench->world, slices, send, expected)));
	AUR_TRY(sum_stretches(bench, slices, send, got));
	for (int64_t i = 0; i < own; i++)
		CHECK(isfinite(got[i]) && got[i] == expected[i]);
	drop(bench, expected);
	drop(bench, got);
	return AUR_OK;
}

static aur_status compare_all_gather(struct bench *bench, const struct aur_slices *slices, size_t element_bytes)
{
	const int own = bench->world->rank;
	const size_t bytes = (size_t)slices->count * element_bytes;
	unsigned char *expected = take(bench, bytes), *got = take(bench, bytes);
	for (size_t i = (size_t)slices->begin[own] * element_bytes; i < (size_t)slices->begin[own + 1] * element_bytes; i++)
		expected[i] = got[i] = (unsigned char)((i * 131 + (size_t)own) % 251);
	AUR_TRY(end(bench->world, bench->world->ops->all_gather_start(bench->world, slices, expected, element_bytes)));
	AUR_TRY(end(bench->comm, bench->comm->ops->all_gather_start(bench->comm, slices, got, element_bytes)));
	CHECK(memcmp(expected, got, bytes) == 0);
	for (size_t i = 0; i < bytes; i++)
		CHECK(got[i] != 0xff);
	drop(bench, expected);
	drop(bench, got);
	return AUR_OK;
}

static aur_status compare_exact(struct bench *bench, const struct aur_slices *slices, const float *sum)
{
	const size_t own = (size_t)aur_slice_length(slices, bench->world->rank) * sizeof *sum;
	float *parts = take(bench, (size_t)aur_slices_parts(slices) * sizeof *sum);
	float *expected = take(bench, own), *got = take(bench, own);
	AUR_TRY(aur_exact_reduce(bench->world, bench->backend, slices, sum, parts, expected));
	AUR_TRY(aur_exact_reduce(bench->comm, bench->backend, slices, sum, parts, got));
	CHECK(memcmp(expected, got, own) == 0);
	drop(bench, parts);
	drop(bench, expected);
	drop(bench, got);
	return AUR_OK;
}

static aur_status compare_all(struct bench *bench, int64_t count, int64_t unit)
{
	static struct aur_slices slices;
	float *send = take(bench, (size_t)count * sizeof *send);
	fill(send, count, bench->world->rank);
	aur_slices_make(&slices, count, unit, bench->world->size);
	AUR_TRY(compare_exchange(bench, &slices, send));
	AUR_TRY(compare_reduce_scatter(bench, &slices, send));
	AUR_TRY(compare_stretches(bench, &slices, send));
	AUR_TRY(compare_all_gather(bench, &slices, sizeof(float)));
	AUR_TRY(compare_all_gather(bench, &slices, sizeof(double)));
	if ((bench->world->size & (bench->world->size - 1)) == 0)
		AUR_TRY(compare_exact(bench, &slices, send));
	drop(bench, send);
	return AUR_OK;
}

/* Equal slices, slices of unequal length, and so few elements that some ranks have none; buckets larger than all of
 * them, smaller than a slice, and of a single element. */
static aur_status same_as_mpi(struct bench *bench)
{
	static const int64_t counts[][2] = {{4096, 64}, {40001, 64}, {64, 64}, {3, 1}, {1000, 7}};
	static const size_t buckets[] = {1 << 20, 9000, 260, 1};
	for (int c = 0; c < 5; c++)
		for (int b = 0; b < 4; b++) {
			if (buckets[b] == 1 && counts[c][0] > 1000)
				continue;
			bench->comm->bucket_bytes = buckets[b];
			AUR_TRY(compare_all(bench, counts[c][0], counts[c][1]));
		}
	return AUR_OK;
}

static aur_status host_values_are_forwarded(struct bench *bench)
{
	struct aur_comm *comm = bench->comm;
	double value = comm->rank + 1;
	int64_t told = comm->rank == 1 ? 77 : 0;
	AUR_TRY(comm->ops->all_reduce(comm, &value, 1, AUR_COMM_SUM));
	CHECK(value == (double)(comm->size * (comm->size + 1)) / 2);
	AUR_TRY(comm->ops->broadcast(comm, &told, sizeof told, 1));
	CHECK(told == 77);
	AUR_TRY(comm->ops->barrier(comm));
	const aur_status mine = comm->rank == 1 ? aur_fail(AUR_IO, "disk: full") : AUR_OK;
	CHECK(aur_comm_agree(comm, mine) == AUR_IO);
	CHECK(comm->agreed == AUR_IO && bench->world->agreed == AUR_IO);
	return aur_comm_agree(comm, AUR_OK);
}

/* start() gives the stream work behind the backend's and returns; what the backend is asked after finish() comes behind
 * that. */
static aur_status start_does_not_wait(struct bench *bench)
{
	struct aur_slices slices;
	float *data = take(bench, 64 * sizeof *data);
	aur_slices_make(&slices, 64, 1, bench->comm->size);
	const int other = (bench->comm->rank + 1) % bench->comm->size;
	fill(data + slices.begin[bench->comm->rank], aur_slice_length(&slices, bench->comm->rank), bench->comm->rank);
	stand_in_ordered_after = stand_in_ordered_before = 0;
	AUR_TRY(bench->comm->ops->all_gather_start(bench->comm, &slices, data, sizeof *data));
	CHECK(stand_in_ordered_after == 1 && stand_in_ordered_before == 0);
	CHECK(stand_in_waiting() == 1 && isnan(data[slices.begin[other]]));
	AUR_TRY(bench->comm->ops->finish(bench->comm));
	CHECK(stand_in_ordered_before == 1 && isfinite(data[slices.begin[other]]));
	drop(bench, data);
	return bench->comm->ops->settle(bench->comm);
}

static aur_status memory_is_held(struct bench *bench)
{
	void *memory = take(bench, 4096);
	CHECK(bench->comm->ops->hold);
	bench->comm->ops->hold(bench->comm, memory, 4096);
	/* Before the memory: NCCL's twin refuses to end a communicator that still holds some. */
	aur_comm_close(&bench->comm);
	drop(bench, memory);
	return AUR_OK;
}

/* Exchanges until one fails, as steps would. */
static aur_status exchange_for_ever(struct bench *bench)
{
	struct aur_slices slices;
	float *data = take(bench, 1000 * sizeof *data);
	aur_slices_make(&slices, 1000, 1, bench->comm->size);
	fill(data, 1000, bench->comm->rank);
	for (int i = 0; i < 20; i++) {
		AUR_TRY(aur_comm_agree(bench->comm, AUR_OK));
		AUR_TRY(end(bench->comm, bench->comm->ops->all_gather_start(bench->comm, &slices, data, sizeof *data)));
	}
	return AUR_OK;
}

static aur_status another_slice(struct bench *bench)
{
	struct aur_slices slices;
	float *data = take(bench, 1001 * sizeof *data);
	fill(data, 1001, bench->comm->rank);
	aur_slices_make(&slices, 1001 - 2 * bench->comm->rank, 1, bench->comm->size);
	return end(bench->comm, bench->comm->ops->all_gather_start(bench->comm, &slices, data, sizeof *data));
}

static aur_status another_message(struct bench *bench)
{
	struct aur_slices slices;
	float *send = take(bench, 1000 * sizeof *send), *parts = take(bench, 4000 * sizeof *parts);
	fill(send, 1000, bench->comm->rank);
	aur_slices_make(&slices, bench->comm->rank == 1 ? 900 : 1000, 1, bench->comm->size);
	return end(bench->comm, bench->comm->ops->exchange_start(bench->comm, &slices, send, parts));
}

static aur_status another_call(struct bench *bench)
{
	struct aur_slices slices;
	float *data = take(bench, 1001 * sizeof *data), *out = take(bench, 1001 * sizeof *out);
	fill(data, 1001, bench->comm->rank);
	aur_slices_make(&slices, 1001, 1, bench->comm->size);
	if (bench->comm->rank == 1)
		return end(bench->comm, bench->comm->ops->reduce_scatter_start(bench->comm, &slices, data, out));
	return end(bench->comm, bench->comm->ops->all_gather_start(bench->comm, &slices, data, sizeof *data));
}

static aur_status differ(const struct bench *bench, const char *what)
{
	char text[512] = "";
	const int found = nccl_differ(bench->world->rank, what, stand_in_run, text, sizeof text);
	return found ? aur_fail(AUR_NETWORK, "%s", text) : AUR_OK;
}

struct one_case {
	const char *name;
	aur_status (*run)(struct bench *bench);
};

static const struct one_case cases[] = {
	{"same-as-mpi", same_as_mpi},
	{"host-values", host_values_are_forwarded},
	{"start-does-not-wait", start_does_not_wait},
	{"memory-is-held", memory_is_held},
	{"exchange-for-ever", exchange_for_ever},
	{"another-slice", another_slice},
	{"another-message", another_message},
	{"another-call", another_call},
};

/* What devices ranks have, for the choice of a communicator: the name of the one chosen is printed. */
static aur_status choose(struct bench *bench, const char *what)
{
	const int rank = bench->world->rank, odd = rank == bench->world->size - 1;
	const int sharing = strncmp(what, "sharing", 7) == 0;
	aur_backend_close(&bench->backend);
	AUR_TRY(stand_in_open(
		sharing ? rank / 2 : rank, odd && strcmp(what, "models") == 0 ? "A100" : "H200", &bench->backend));
	if (strcmp(what, "host") == 0 || (odd && strcmp(what, "backends") == 0))
		bench->backend->host_memory = 1;
	if (odd && strcmp(what, "backends") == 0)
		bench->backend->name = "other";
	if (strcmp(what, "no-library") != 0)
		aur_comm_register(&aur_comm_nccl_factory);
	AUR_TRY(aur_comm_open_device(bench->world, bench->backend, strcmp(what, "sharing-allowed") == 0, &bench->comm));
	if (rank == 0)
		printf("chosen: %s\n", bench->comm->name);
	const aur_status status = strcmp(what, "host") == 0 ? AUR_OK : exchange_for_ever(bench);
	aur_comm_close_device(bench->world, &bench->comm);
	return status;
}

static aur_status run(struct bench *bench, int argc, char **argv)
{
	if (argc != 3)
		return aur_fail(AUR_USAGE, "ranks CASE WAY");
	bench->way = argv[2];
	AUR_TRY(stand_in_open(bench->world->rank, "H200", &bench->backend));
	if (strcmp(argv[1], "choose") == 0)
		return choose(bench, argv[2]);
	if (strcmp(argv[1], "differ") == 0)
		return differ(bench, argv[2]);
	AUR_TRY(open_tested(bench));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (strcmp(argv[1], cases[i].name) == 0)
			return cases[i].run(bench);
	return aur_fail(AUR_USAGE, "%s: no such case", argv[1]);
}

static void print_line(enum aur_log_level level, const char *line)
{
	(void)level;
	puts(line);
}

int main(int argc, char **argv)
{
	struct bench bench = {0};
	int provided;
	MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
	aur_status status = aur_comm_mpi_create(MPI_COMM_WORLD, &bench.world);
	const int rank = bench.world->rank;
	aur_log_set_sink(rank == 0 ? print_line : NULL);
	if (status == AUR_OK)
		status = run(&bench, argc, argv);
	if (aur_error_message()[0] != '\0' && status != AUR_OK)
		fprintf(stderr, "rank %d: %s\n", rank, aur_error_message());
	if (bench.comm)
		aur_comm_close_device(bench.world, &bench.comm);
	if (status != bench.world->agreed)
		MPI_Abort(MPI_COMM_WORLD, aur_status_exit_code(status));
	aur_backend_close(&bench.backend);
	aur_comm_close(&bench.world);
	MPI_Finalize();
	return aur_status_exit_code(status);
}
