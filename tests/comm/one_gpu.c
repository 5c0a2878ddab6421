/* The communicator over the real NCCL, on one GPU, as its only rank: what NCCL is asked for, in which order, with which
 * memory and streams, is what many ranks ask for. (NCCL wants a GPU for each rank; how ranks meet is tested on its
 * twin, comm.sh.) */

#include "oracle.h"

#include "comm/comm.h"
#include "comm/nccl.h"

#include <stdio.h>

/* Not a power of two, and no multiple of a bucket. */
enum { COUNT = 3000017, UNIT = 4096, BUCKET_BYTES = 1 << 20 };

enum { SKIP_CODE = 77 };

struct ranks {
	struct aur_backend *backend;
	struct aur_comm *world, *comm;
	struct aur_slices slices;
};

static void open_ranks(struct ranks *ranks)
{
	ranks->backend = ops_open(NULL);
	ops_assert_status(aur_comm_self_create(&ranks->world), AUR_OK, "");
	ops_assert_status(aur_comm_nccl_factory.create(ranks->world, ranks->backend, &ranks->comm), AUR_OK, "");
	ranks->comm->bucket_bytes = BUCKET_BYTES;
	aur_slices_make(&ranks->slices, COUNT, UNIT, 1);
}

static void close_ranks(struct ranks *ranks)
{
	aur_comm_close(&ranks->comm);
	aur_comm_close(&ranks->world);
	ops_close(&ranks->backend);
}

static void finish(struct ranks *ranks)
{
	ops_assert_status(ranks->comm->ops->finish(ranks->comm), AUR_OK, "");
	ops_assert_status(ranks->comm->ops->settle(ranks->comm), AUR_OK, "");
}

static void assert_equal_to(struct ranks *ranks, const char *what, const float *device, const float *want)
{
	ops_assert_same_bits(what, ops_get(ranks->backend, device, COUNT), want, COUNT * sizeof *want);
}

static void sums_of_one_rank_are_what_it_brings(void **state)
{
	(void)state;
	struct ranks ranks;
	open_ranks(&ranks);
	const float *values = ops_random(COUNT, 1, 1.0f);
	float *send = ops_put(ranks.backend, values, COUNT), *out = ops_put(ranks.backend, NULL, COUNT);
	ranks.comm->ops->hold(ranks.comm, send, COUNT * sizeof *send);
	ops_assert_status(ranks.comm->ops->reduce_scatter_start(ranks.comm, &ranks.slices, send, out), AUR_OK, "");
	finish(&ranks);
	assert_equal_to(&ranks, "the sum", out, values);
	close_ranks(&ranks);
}

/* Stretches are sent while the backend works on: each after what it was asked until then. */
static void stretches_are_sent_as_they_are_completed(void **state)
{
	(void)state;
	struct ranks ranks;
	open_ranks(&ranks);
	const struct aur_comm_ops *ops = ranks.comm->ops;
	const float *values = ops_random(COUNT, 2, 1.0f);
	float *from = ops_put(ranks.backend, values, COUNT), *send = ops_put(ranks.backend, NULL, COUNT);
	float *out = ops_put(ranks.backend, NULL, COUNT);
	const int64_t stretch = 262144;
	for (int64_t at = 0; at < COUNT; at += stretch) {
		const int64_t to = at + stretch < COUNT ? at + stretch : COUNT;
		ops_assert_status(
			ranks.backend->ops->copy(ranks.backend, send + at, from + at, (size_t)(to - at) * sizeof *send), AUR_OK,
			"");
		ops_assert_status(ops->reduce_stretch_start(ranks.comm, &ranks.slices, send, out, at, to), AUR_OK, "");
	}
	finish(&ranks);
	assert_equal_to(&ranks, "the stretches", out, values);
	close_ranks(&ranks);
}

static void gathering_and_exchanging_keep_what_is_there(void **state)
{
	(void)state;
	struct ranks ranks;
	open_ranks(&ranks);
	const float *values = ops_random(COUNT, 3, 1.0f);
	float *data = ops_put(ranks.backend, values, COUNT), *parts = ops_put_zeros(ranks.backend, COUNT);
	ops_assert_status(ranks.comm->ops->all_gather_start(ranks.comm, &ranks.slices, data, sizeof *data), AUR_OK, "");
	finish(&ranks);
	assert_equal_to(&ranks, "what was gathered", data, values);
	ops_assert_status(ranks.comm->ops->exchange_start(ranks.comm, &ranks.slices, data, parts), AUR_OK, "");
	finish(&ranks);
	assert_equal_to(&ranks, "what was exchanged", data, values);
	close_ranks(&ranks);
}

static void it_agrees_and_can_be_opened_again(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ranks ranks;
		open_ranks(&ranks);
		struct aur_agreement agreement = {.stop = i};
		double values[2] = {1.5, -2.0};
		ops_assert_status(ranks.comm->ops->agree(ranks.comm, &agreement), AUR_OK, "");
		assert_int_equal(agreement.stop, i);
		ops_assert_status(ranks.comm->ops->all_reduce(ranks.comm, values, 2, AUR_COMM_SUM), AUR_OK, "");
		assert_true(values[0] >= 1.5 && values[0] <= 1.5 && values[1] >= -2.0 && values[1] <= -2.0);
		assert_string_equal(ranks.comm->name, "nccl");
		close_ranks(&ranks);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_of_one_rank_are_what_it_brings),
		cmocka_unit_test(stretches_are_sent_as_they_are_completed),
		cmocka_unit_test(gathering_and_exchanging_keep_what_is_there),
		cmocka_unit_test(it_agrees_and_can_be_opened_again),
	};
	if (aur_comm_nccl_factory.version() == 0) {
		printf("SKIP: NCCL's library is not installed, or not where the loader looks\n");
		return SKIP_CODE;
	}
	return ops_main("nccl", tests, sizeof tests / sizeof *tests);
}
