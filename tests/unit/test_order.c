#include "train_helpers.h"

#include "config/config.h"
#include "train/order.h"

#include <stdlib.h>
#include <string.h>

static struct aur_dataset *dataset_of(const char *path, int64_t train, int64_t val)
{
	struct aur_dataset *dataset = NULL;
	write_counting_dataset(path, train, val);
	assert_int_equal(aur_dataset_open(path, "", 0, &dataset), AUR_OK);
	return dataset;
}

/* The permutation must be a bijection of any domain, or samples would be seen twice and others never. */
static void permutation_visits_every_index_once(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {1, 2, 3, 5, 16, 17, 63, 64, 65, 1000, 4097};
	for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
		char seen[5000] = {0};
		for (uint64_t i = 0; i < sizes[s]; i++) {
			const uint64_t to = aur_permute(7, 3, sizes[s], i);
			assert_true(to < sizes[s]);
			assert_int_equal(seen[to]++, 0);
		}
	}
}

/* Two epochs in the same order would let the model learn the order. */
static void permutation_differs_between_epochs_and_seeds(void **state)
{
	(void)state;
	int same_epoch = 0, same_seed = 0, fixed = 0;
	for (uint64_t i = 0; i < 1000; i++) {
		same_epoch += aur_permute(7, 0, 1000, i) == aur_permute(7, 1, 1000, i);
		same_seed += aur_permute(7, 0, 1000, i) == aur_permute(8, 0, 1000, i);
		fixed += aur_permute(7, 0, 1000, i) == i;
	}
	assert_true(same_epoch < 20);
	assert_true(same_seed < 20);
	assert_true(fixed < 20);
}

/* Exactly once is the promise: over an epoch every window once, none overlapping, all inside the file. */
static void an_epoch_is_every_window_once(void **state)
{
	struct aur_dataset *dataset = dataset_of(in_folder(state, "order.h5"), 1003, 50);
	struct aur_sample_order order;
	assert_int_equal(aur_order_create(dataset, AUR_ORDER_SHUFFLE, 11, 8, &order), AUR_OK);
	for (int64_t epoch = 0; epoch < 4; epoch++) {
		char used[1003] = {0};
		for (int64_t i = 0; i < order.windows; i++) {
			const struct aur_place place = aur_order_place(&order, epoch * order.windows + i);
			assert_true(place.begin >= 0 && place.begin + 8 < 1003);
			for (int t = 0; t < 8; t++)
				assert_int_equal(used[place.begin + t]++, 0);
		}
	}
	aur_order_clear(&order);
	aur_dataset_close(&dataset);
}

/* A sample's place is a function of its number alone: a resume in the middle of an epoch asks for the same windows. */
static void place_depends_on_the_sample_number_alone(void **state)
{
	struct aur_dataset *dataset = dataset_of(in_folder(state, "place.h5"), 500, 0);
	static const int kinds[] = {AUR_ORDER_SHUFFLE, AUR_ORDER_RANDOM, AUR_ORDER_SEQUENTIAL};
	for (int k = 0; k < 3; k++) {
		struct aur_sample_order first, second;
		assert_int_equal(aur_order_create(dataset, kinds[k], 5, 16, &first), AUR_OK);
		assert_int_equal(aur_order_create(dataset, kinds[k], 5, 16, &second), AUR_OK);
		for (int64_t sample = 299; sample >= 0; sample--) {
			const struct aur_place a = aur_order_place(&first, sample), b = aur_order_place(&second, sample);
			assert_int_equal(a.begin, b.begin);
			assert_true(a.begin >= 0 && a.begin + 16 < 500);
		}
		aur_order_clear(&first);
		aur_order_clear(&second);
	}
	aur_dataset_close(&dataset);
}

static void random_order_reaches_both_ends(void **state)
{
	struct aur_dataset *dataset = dataset_of(in_folder(state, "random.h5"), 20, 0);
	struct aur_sample_order order;
	assert_int_equal(aur_order_create(dataset, AUR_ORDER_RANDOM, 5, 16, &order), AUR_OK);
	int counts[4] = {0};
	for (int64_t sample = 0; sample < 4000; sample++)
		counts[aur_order_place(&order, sample).begin]++;
	/* 1000 expected, standard deviation 27. */
	for (int i = 0; i < 4; i++)
		assert_in_range(counts[i], 850, 1150);
	aur_order_clear(&order);
	aur_dataset_close(&dataset);
}

static void sequential_order_walks_the_file(void **state)
{
	struct aur_dataset *dataset = dataset_of(in_folder(state, "sequential.h5"), 33, 0);
	struct aur_sample_order order;
	assert_int_equal(aur_order_create(dataset, AUR_ORDER_SEQUENTIAL, 5, 8, &order), AUR_OK);
	assert_int_equal(order.windows, 4);
	for (int64_t sample = 0; sample < 9; sample++)
		assert_int_equal(aur_order_place(&order, sample).begin, sample % 4 * 8);
	aur_order_clear(&order);
	aur_dataset_close(&dataset);
}

/* A window's last target is the next one's first token; the last window of all must still have its target. */
static void last_window_has_its_target(void **state)
{
	struct aur_dataset *dataset = dataset_of(in_folder(state, "last.h5"), 10, 9);
	int32_t tokens[4], targets[4];
	assert_int_equal(aur_dataset_windows(dataset, AUR_VAL, 4), 2);
	assert_int_equal(aur_dataset_window(dataset, AUR_VAL, 4, 1, tokens, targets), AUR_OK);
	assert_int_equal(tokens[0], 10 + 4);
	assert_int_equal(targets[3], 10 + 8);
	for (int i = 0; i < 3; i++)
		assert_int_equal(targets[i], tokens[i + 1]);
	aur_dataset_close(&dataset);
}

static void block_size_beyond_the_data_is_refused_with_the_numbers(void **state)
{
	struct aur_dataset *dataset = dataset_of(in_folder(state, "short.h5"), 8, 0);
	struct aur_sample_order order;
	assert_int_equal(aur_order_create(dataset, AUR_ORDER_SHUFFLE, 5, 8, &order), AUR_INPUT);
	assert_non_null(strstr(aur_error_message(), "8 tokens"));
	assert_int_equal(aur_order_create(dataset, AUR_ORDER_SHUFFLE, 5, 7, &order), AUR_OK);
	assert_int_equal(aur_order_place(&order, 3).begin, 0);
	aur_order_clear(&order);
	aur_dataset_close(&dataset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(permutation_visits_every_index_once),
		cmocka_unit_test(permutation_differs_between_epochs_and_seeds),
		cmocka_unit_test_setup_teardown(an_epoch_is_every_window_once, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(place_depends_on_the_sample_number_alone, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(random_order_reaches_both_ends, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(sequential_order_walks_the_file, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(last_window_has_its_target, folder_setup, folder_teardown),
		cmocka_unit_test_setup_teardown(
			block_size_beyond_the_data_is_refused_with_the_numbers, folder_setup, folder_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
