#include "io_helpers.h"

#include "comm/exact.h"
#include "cpu/cpu.h"

#include <math.h>

/* Ranks of one process that take turns: each has its tree sum, and the parts arrive as an exchange would bring them. */

static struct aur_backend *backend;

static int open_backend(void **state)
{
	(void)state;
	aur_backend_register(&aur_cpu_factory);
	return aur_backend_open("cpu", &backend) == AUR_OK ? 0 : -1;
}

static int close_backend(void **state)
{
	(void)state;
	aur_backend_close(&backend);
	return 0;
}

enum { COUNT = 1003, LEAVES = 8 };

/* Numbers whose sum in fp32 depends on the order: magnitudes from 1e-4 to 1e4. */
static float leaf_value(int leaf, int64_t i)
{
	const double angle = (double)(leaf * 7919 + i * 104729 % 99991);
	return (float)(sin(angle) * pow(10.0, fmod(angle, 8.0) - 4.0));
}

/* The sum of its leaves, or of their two halves where `halves` asks for them; returns how many sums these are. */
static int sums_of_rank(int ranks, int rank, int halves, float *out)
{
	struct aur_leaf_tree tree = {.count = COUNT, .n_buffers = aur_leaf_tree_buffers(LEAVES / ranks), .halves = halves};
	for (int i = 0; i < tree.n_buffers; i++)
		tree.buffers[i] = malloc(COUNT * sizeof(float));
	for (int leaf = rank * LEAVES / ranks; leaf < (rank + 1) * LEAVES / ranks; leaf++) {
		float *gradients = NULL;
		assert_ok(aur_leaf_tree_begin(&tree, &gradients));
		for (int64_t i = 0; i < COUNT; i++)
			gradients[i] = leaf_value(leaf, i);
		assert_ok(aur_leaf_tree_end(&tree, backend));
	}
	float *sums[2] = {NULL, NULL};
	int n_sums = 0;
	assert_ok(aur_leaf_tree_take(&tree, sums, &n_sums));
	assert_int_equal(n_sums, halves && ranks < LEAVES ? 2 : 1);
	for (int i = 0; i < n_sums; i++)
		memcpy(out + i * COUNT, sums[i], COUNT * sizeof(float));
	for (int i = 0; i < tree.n_buffers; i++)
		free(tree.buffers[i]);
	return n_sums;
}

static void total_of(int ranks, int halves, float *out)
{
	float *sums = malloc((size_t)(2 * ranks) * COUNT * sizeof *sums);
	assert_non_null(sums);
	struct aur_tree_add add = {.out = out, .count = COUNT};
	for (int rank = 0; rank < ranks; rank++)
		for (int end = add.n_parts + sums_of_rank(ranks, rank, halves, sums + add.n_parts * COUNT); add.n_parts < end;
			 add.n_parts++)
			add.parts[add.n_parts] = sums + add.n_parts * COUNT;
	assert_ok(backend->ops->tree_add(backend, &add));
	free(sums);
}

/* The promise the whole design rests on. */
static void one_two_four_and_eight_ranks_sum_to_the_same_bits(void **state)
{
	(void)state;
	float one[COUNT], many[COUNT], in_order[COUNT] = {0};
	total_of(1, 0, one);
	static const int ranks[] = {1, 2, 4, 8};
	for (int r = 0; r < 8; r++) {
		total_of(ranks[r / 2], r % 2, many);
		assert_memory_equal(one, many, sizeof one);
	}
	/* The numbers were chosen so that another order does differ: otherwise this test could not fail. */
	for (int leaf = 0; leaf < LEAVES; leaf++)
		for (int64_t i = 0; i < COUNT; i++)
			in_order[i] += leaf_value(leaf, i);
	assert_memory_not_equal(one, in_order, sizeof one);
}

static void buffers_are_one_and_the_logarithm_of_the_leaves(void **state)
{
	(void)state;
	assert_int_equal(aur_leaf_tree_buffers(1), 1);
	assert_int_equal(aur_leaf_tree_buffers(2), 2);
	assert_int_equal(aur_leaf_tree_buffers(8), 4);
	assert_int_equal(aur_leaf_tree_buffers(1024), 11);
}

/* Slices that did not begin on a block would make the norm depend on the number of ranks. */
static void slices_cover_everything_and_begin_on_blocks(void **state)
{
	(void)state;
	static const int64_t counts[] = {64, 4096, 4097, 100000, 1000003};
	for (int c = 0; c < 5; c++) {
		for (int ranks = 1; ranks <= 16; ranks++) {
			static struct aur_slices slices;
			aur_slices_make(&slices, counts[c], 4096, ranks);
			assert_int_equal(slices.begin[0], 0);
			assert_int_equal(slices.begin[ranks], counts[c]);
			for (int r = 0; r < ranks; r++) {
				assert_true(slices.begin[r] % 4096 == 0 || slices.begin[r] == counts[c]);
				assert_true(aur_slice_length(&slices, r) >= 0);
				assert_true(aur_slice_length(&slices, r) <= slices.longest);
			}
		}
	}
}

static void a_failure_on_one_rank_is_kept_by_agree(void **state)
{
	(void)state;
	struct aur_comm *comm = NULL;
	assert_ok(aur_comm_self_create(&comm));
	assert_ok(aur_comm_agree(comm, AUR_OK));
	assert_int_equal(aur_comm_agree(comm, aur_fail(AUR_IO, "disk: full")), AUR_IO);
	assert_string_equal(aur_error_message(), "disk: full");
	assert_int_equal(comm->agreed, AUR_IO);
	aur_comm_close(&comm);
	assert_null(comm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_two_four_and_eight_ranks_sum_to_the_same_bits),
		cmocka_unit_test(buffers_are_one_and_the_logarithm_of_the_leaves),
		cmocka_unit_test(slices_cover_everything_and_begin_on_blocks),
		cmocka_unit_test(a_failure_on_one_rank_is_kept_by_agree),
	};
	return cmocka_run_group_tests(tests, open_backend, close_backend);
}
