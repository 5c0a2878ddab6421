#include "train_helpers.h"

#include "text/tokenizer.h"
#include "train/order.h"

enum { SEED = 7, POSITIONS = 50 };

static struct aur_dataset *open_synthetic(const char *value, uint64_t seed)
{
	struct aur_dataset *dataset = NULL;
	assert_int_equal(aur_dataset_open(value, "", seed, &dataset), AUR_OK);
	return dataset;
}

static void read_at(struct aur_dataset *dataset, enum aur_split split, int64_t begin, int64_t count, int32_t *tokens)
{
	int32_t targets[4096];
	assert_true(count <= 4096);
	assert_int_equal(aur_dataset_read(dataset, split, 0, begin, count, tokens, targets), AUR_OK);
	for (int64_t i = 0; i + 1 < count; i++)
		assert_int_equal(targets[i], tokens[i + 1]);
}

/* What a rank reads must not depend on where its windows begin: a token is a function of its place. */
static void a_token_depends_on_its_place_alone(void **state)
{
	(void)state;
	struct aur_dataset *dataset = open_synthetic("synthetic:65", SEED);
	int32_t all[64], some[64];
	read_at(dataset, AUR_TRAIN, ((int64_t)1 << 34) - 20, 64, all);
	for (int64_t begin = 0; begin < 9; begin++) {
		read_at(dataset, AUR_TRAIN, ((int64_t)1 << 34) - 20 + begin, 50, some);
		assert_memory_equal(some, all + begin, 50 * sizeof *some);
	}
	aur_dataset_close(&dataset);
}

static void the_last_target_is_the_next_window_s_first_token(void **state)
{
	(void)state;
	struct aur_dataset *dataset = open_synthetic("synthetic", SEED);
	int32_t first[POSITIONS], second[POSITIONS], targets[POSITIONS];
	assert_int_equal(aur_dataset_window(dataset, AUR_VAL, POSITIONS, 0, first, targets), AUR_OK);
	read_at(dataset, AUR_VAL, POSITIONS, POSITIONS, second);
	assert_int_equal(targets[POSITIONS - 1], second[0]);
	aur_dataset_close(&dataset);
}

static int differing(const int32_t *a, const int32_t *b, int n)
{
	int count = 0;
	for (int i = 0; i < n; i++)
		count += a[i] != b[i];
	return count;
}

/* Far places, seeds and splits must not repeat each other. */
static void places_seeds_and_splits_differ(void **state)
{
	(void)state;
	struct aur_dataset *dataset = open_synthetic("synthetic", SEED), *other = open_synthetic("synthetic", SEED + 1);
	int32_t here[400], there[400];
	read_at(dataset, AUR_TRAIN, 0, 400, here);
	read_at(dataset, AUR_TRAIN, (int64_t)1 << 34, 400, there);
	assert_true(differing(here, there, 400) > 390);
	read_at(dataset, AUR_VAL, 0, 400, there);
	assert_true(differing(here, there, 400) > 390);
	read_at(other, AUR_TRAIN, 0, 400, there);
	assert_true(differing(here, there, 400) > 390);
	assert_true(aur_dataset_hash(dataset) != aur_dataset_hash(other));
	aur_dataset_close(&dataset);
	aur_dataset_close(&other);
}

/* Chi-squared over 10 tokens with 9 degrees of freedom: above 27.9 in one of a thousand. The draw is fixed. */
static void tokens_are_uniform_over_the_vocabulary(void **state)
{
	(void)state;
	enum { VOCABULARY = 10, N = 40000 };
	struct aur_dataset *dataset = open_synthetic("synthetic:10", SEED);
	int32_t tokens[4000];
	double counts[VOCABULARY] = {0}, chi = 0;
	for (int64_t begin = 0; begin < N; begin += 4000) {
		read_at(dataset, AUR_TRAIN, begin, 4000, tokens);
		for (int i = 0; i < 4000; i++) {
			assert_in_range(tokens[i], 0, VOCABULARY - 1);
			counts[tokens[i]]++;
		}
	}
	for (int i = 0; i < VOCABULARY; i++)
		chi += (counts[i] - N / 10.0) * (counts[i] - N / 10.0) / (N / 10.0);
	assert_true(chi < 27.9);
	aur_dataset_close(&dataset);
}

static void the_vocabulary_is_gpt2s_size_unless_said(void **state)
{
	(void)state;
	struct aur_dataset *dataset = open_synthetic("synthetic", SEED);
	assert_int_equal(aur_dataset_vocab(dataset)->size, 50257);
	assert_string_equal(aur_dataset_vocab(dataset)->kind, "synthetic");
	assert_true(aur_dataset_is_synthetic(dataset));
	aur_dataset_close(&dataset);
	dataset = open_synthetic("synthetic:65", SEED);
	assert_int_equal(aur_dataset_vocab(dataset)->size, 65);
	aur_dataset_close(&dataset);
}

/* Every order takes windows from 2^40 tokens without counting them. */
static void every_order_finds_windows(void **state)
{
	(void)state;
	struct aur_dataset *dataset = open_synthetic("synthetic", SEED);
	const int kinds[] = {AUR_ORDER_SHUFFLE, AUR_ORDER_RANDOM, AUR_ORDER_SEQUENTIAL};
	for (int i = 0; i < 3; i++) {
		struct aur_sample_order order;
		assert_int_equal(aur_order_create(dataset, kinds[i], SEED, POSITIONS, &order), AUR_OK);
		for (int64_t sample = 0; sample < 100; sample++) {
			const struct aur_place place = aur_order_place(&order, sample);
			assert_int_equal(place.file, 0);
			assert_true(place.begin >= 0);
			assert_true(place.begin + POSITIONS < aur_dataset_tokens(dataset, AUR_TRAIN));
		}
		aur_order_clear(&order);
	}
	aur_dataset_close(&dataset);
}

static void what_is_no_size_is_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {"synthetic:", "synthetic:1", "synthetic:-5", "synthetic: 65", "synthetic:65x",
		"synthetic:99999999999999999999"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct aur_dataset *dataset = NULL;
		assert_int_equal(aur_dataset_open(wrong[i], "", SEED, &dataset), AUR_USAGE);
		assert_non_null(strstr(aur_error_message(), wrong[i]));
		assert_null(dataset);
		aur_error_clear();
	}
}

/* Files cannot share a vocabulary with numbers. */
static void files_beside_synthetic_tokens_are_refused(void **state)
{
	(void)state;
	struct aur_dataset *dataset = NULL;
	assert_int_equal(aur_dataset_open("synthetic", "a.h5", SEED, &dataset), AUR_USAGE);
	assert_int_equal(aur_dataset_open("a.h5", "synthetic", SEED, &dataset), AUR_USAGE);
	assert_non_null(strstr(aur_error_message(), "data.val"));
	aur_error_clear();
}

/* A file may be called synthetic all the same: a path is no such word. */
static void a_path_is_no_word(void **state)
{
	(void)state;
	struct aur_dataset *dataset = NULL;
	assert_int_equal(aur_dataset_open("./synthetic", "", SEED, &dataset), AUR_INPUT);
	assert_int_equal(aur_dataset_open("synthetic.h5", "", SEED, &dataset), AUR_INPUT);
	aur_error_clear();
}

static void no_tokenizer_is_made_of_it(void **state)
{
	(void)state;
	struct aur_dataset *dataset = open_synthetic("synthetic", SEED);
	struct aur_tokenizer *tokenizer = NULL;
	assert_int_equal(aur_tokenizer_create(aur_dataset_vocab(dataset), &tokenizer), AUR_INPUT);
	assert_non_null(strstr(aur_error_message(), "synthetic"));
	aur_error_clear();
	aur_dataset_close(&dataset);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_depends_on_its_place_alone),
		cmocka_unit_test(the_last_target_is_the_next_window_s_first_token),
		cmocka_unit_test(places_seeds_and_splits_differ),
		cmocka_unit_test(tokens_are_uniform_over_the_vocabulary),
		cmocka_unit_test(the_vocabulary_is_gpt2s_size_unless_said),
		cmocka_unit_test(every_order_finds_windows),
		cmocka_unit_test(what_is_no_size_is_refused),
		cmocka_unit_test(files_beside_synthetic_tokens_are_refused),
		cmocka_unit_test(a_path_is_no_word),
		cmocka_unit_test(no_tokenizer_is_made_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
