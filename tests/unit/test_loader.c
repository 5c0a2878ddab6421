#include "stream_helpers.h"
#include "train_helpers.h"

#include "config/config.h"
#include "train/loader.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

enum { T = 8, BATCH = 12, STEPS = 9 };

/* The order lives as long as the loader. */
static struct aur_sample_order order;

static struct aur_loader *loader_of(
	struct aur_dataset *dataset, int64_t first, int64_t count, int64_t start, int64_t depth)
{
	const struct aur_loader_options options = {.dataset = dataset,
		.order = &order,
		.batch_size = BATCH,
		.first = first,
		.count = count,
		.start_sample = start,
		.depth = depth};
	struct aur_loader *loader = NULL;
	assert_ok(aur_order_create(dataset, AUR_ORDER_SHUFFLE, 3, T, &order));
	assert_ok(aur_loader_create(&options, &loader));
	return loader;
}

/* First tokens of every sequence of STEPS steps as `ranks` ranks see them, in global order. */
static void collect(const char *path, int ranks, int64_t start, int64_t depth, int32_t firsts[STEPS * BATCH])
{
	for (int rank = 0; rank < ranks; rank++) {
		struct aur_dataset *dataset = NULL;
		assert_ok(aur_dataset_open(path, "", 0, &dataset));
		const int64_t count = BATCH / ranks;
		struct aur_loader *loader = loader_of(dataset, rank * count, count, start, depth);
		for (int64_t step = 0; step < STEPS; step++) {
			const int32_t *tokens, *targets;
			assert_ok(aur_loader_next(loader, &tokens, &targets));
			for (int64_t i = 0; i < count; i++) {
				firsts[step * BATCH + rank * count + i] = tokens[i * T];
				for (int t = 0; t < T; t++)
					assert_int_equal(targets[i * T + t], tokens[i * T] + t + 1);
			}
		}
		aur_loader_destroy(&loader);
		aur_order_clear(&order);
		aur_dataset_close(&dataset);
	}
}

/* Which rank reads a sample, and how far ahead, must not change which sample it is. */
static void any_number_of_ranks_sees_the_same_samples(void **state)
{
	const char *path = in_folder(state, "data.h5");
	write_counting_dataset(path, 700, 0);
	int32_t one[STEPS * BATCH], many[STEPS * BATCH];
	collect(path, 1, 0, 1, one);
	static const int ranks[] = {2, 3, 4, 12};
	for (int i = 0; i < 4; i++) {
		collect(path, ranks[i], 0, 1 + i, many);
		assert_memory_equal(one, many, sizeof one);
	}
}

/* A resume starts the loader at the checkpoint's sample number. */
static void a_resume_goes_on_with_the_next_sample(void **state)
{
	const char *path = in_folder(state, "data.h5");
	write_counting_dataset(path, 700, 0);
	int32_t whole[STEPS * BATCH], rest[STEPS * BATCH];
	collect(path, 1, 0, 2, whole);
	collect(path, 2, 5 * BATCH, 2, rest);
	assert_memory_equal(whole + 5 * BATCH, rest, (STEPS - 5) * BATCH * sizeof *rest);
}

/* A damaged block met in the thread must come out of next(), with its message, not hang the step. */
static void a_read_that_fails_in_the_thread_is_returned(void **state)
{
	const char *path = in_folder(state, "damaged.h5");
	write_counting_dataset(path, 700, 0);
	size_t bytes;
	unsigned char *data = read_file(path, &bytes);
	/* Tokens 300, 301, 302 as uint16: found in the raw file and changed. */
	int changed = 0;
	for (size_t i = 0; i + 6 < bytes && !changed; i++)
		if (memcmp(data + i, "\x2c\x01\x2d\x01\x2e\x01", 6) == 0)
			data[i] ^= 1, changed = 1;
	assert_true(changed);
	write_file(path, data, bytes);
	free(data);
	struct aur_dataset *dataset = NULL;
	assert_ok(aur_dataset_open(path, "", 0, &dataset));
	struct aur_loader *loader = loader_of(dataset, 0, BATCH, 0, 2);
	const int32_t *tokens, *targets;
	assert_int_equal(aur_loader_next(loader, &tokens, &targets), AUR_INPUT);
	assert_message_has("damaged.h5");
	aur_loader_destroy(&loader);
	aur_order_clear(&order);
	aur_dataset_close(&dataset);
}

/* The windows of the next group of chunks must not wait for the first batch that needs them: once they were looked at,
 * the file may be overwritten. */
static void the_next_group_of_chunks_is_inflated_ahead(void **state)
{
	enum { POSITIONS = 512, TOKENS = 10 << 20, BEFORE = 40 };
	const char *path = in_folder(state, "deflate.h5");
	write_shard(path, (struct shard){.train = TOKENS, .compress = 1});
	struct aur_dataset *dataset = NULL;
	struct aur_loader *loader = NULL;
	const int32_t *tokens, *targets;
	assert_ok(aur_dataset_open(path, "", 0, &dataset));
	assert_ok(aur_order_create(dataset, AUR_ORDER_SHUFFLE, 3, POSITIONS, &order));
	const int64_t group = AUR_ORDER_GROUP_RUNS * order.sources[0].run;
	assert_true(2 * group <= order.windows);
	const struct aur_loader_options options = {
		.dataset = dataset, .order = &order, .batch_size = 2, .count = 2, .start_sample = group - BEFORE, .depth = 2};
	assert_ok(aur_loader_create(&options, &loader));
	while (aur_loader_ahead(loader) < group / 2)
		sched_yield();
	size_t bytes;
	unsigned char *data = read_file(path, &bytes);
	memset(data, 0x55, bytes);
	const int file = open(path, O_WRONLY);
	assert_int_equal(pwrite(file, data, bytes, 0), (ssize_t)bytes);
	close(file);
	free(data);
	for (int64_t step = 0; step < (2 * 2 + group / 2) / 2; step++) {
		assert_ok(aur_loader_next(loader, &tokens, &targets));
		for (int64_t i = 0; i < 2; i++) {
			const struct aur_place place = aur_order_place(&order, options.start_sample + 2 * step + i);
			assert_int_equal(tokens[i * POSITIONS], place.begin % SHARD_VOCAB);
		}
	}
	aur_loader_destroy(&loader);
	aur_order_clear(&order);
	aur_dataset_close(&dataset);
}

/* Paths may be long: the message's end says what is wrong. */
static void a_failure_in_a_file_of_a_long_name_is_told_whole(void **state)
{
	char path[1400];
	snprintf(path, sizeof path, "%s", ((struct folder *)*state)->path);
	for (int i = 0; i < 5; i++) {
		snprintf(path + strlen(path), sizeof path - strlen(path), "/%0200d", i);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	snprintf(path + strlen(path), sizeof path - strlen(path), "/data.h5");
	write_counting_dataset(path, 700, 0);
	struct aur_dataset *dataset = NULL;
	const int32_t *tokens, *targets;
	assert_ok(aur_dataset_open(path, "", 0, &dataset));
	assert_int_equal(truncate(path, 100), 0);
	struct aur_loader *loader = loader_of(dataset, 0, BATCH, 0, 2);
	assert_int_equal(aur_loader_next(loader, &tokens, &targets), AUR_INPUT);
	assert_message_has("/data.h5: ");
	assert_message_has("put it back");
	aur_loader_destroy(&loader);
	aur_order_clear(&order);
	aur_dataset_close(&dataset);
}

static void it_stops_while_batches_wait(void **state)
{
	const char *path = in_folder(state, "data.h5");
	write_counting_dataset(path, 700, 0);
	struct aur_dataset *dataset = NULL;
	assert_ok(aur_dataset_open(path, "", 0, &dataset));
	for (int i = 0; i < 50; i++) {
		struct aur_loader *loader = loader_of(dataset, 0, BATCH, 0, 3);
		aur_loader_destroy(&loader);
		aur_order_clear(&order);
		assert_null(loader);
	}
	aur_dataset_close(&dataset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(any_number_of_ranks_sees_the_same_samples, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(a_resume_goes_on_with_the_next_sample, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(a_read_that_fails_in_the_thread_is_returned, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(the_next_group_of_chunks_is_inflated_ahead, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
			a_failure_in_a_file_of_a_long_name_is_told_whole, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(it_stops_while_batches_wait, folder_setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
