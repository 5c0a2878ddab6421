#include "rounds.h"
#include "stream_helpers.h"

#include <stdlib.h>
#include <string.h>

/* ---- mixtures ---- */

/* A source must have its share at any time of a run, not only in the end; and its samples must be numbered without gaps
 * or repeats, or its epochs would not be exact. */
static void every_source_has_its_share_of_any_beginning(void **state)
{
	(void)state;
	uint64_t random = 3;
	for (int trial = 0; trial < rounds_of(40); trial++) {
		const int64_t count = 1 + draw(&random, 9);
		int64_t weights[9], seen[9] = {0}, sum = 0, depth = 0;
		for (int64_t i = 0; i < count; i++)
			sum += weights[i] = 1 + draw(&random, trial % 2 ? 5 : 1000000);
		while ((int64_t)1 << depth < count)
			depth++;
		struct aur_mixture mixture;
		assert_ok(aur_mixture_create(weights, count, (uint64_t)trial, &mixture));
		for (int64_t sample = 0; sample < 2000; sample++) {
			const struct aur_draw drawn = aur_mixture_draw(&mixture, sample);
			assert_int_equal(drawn.number, seen[drawn.source]++);
			for (int64_t i = 0; i < count; i++) {
				const double share = (double)weights[i] / (double)sum * (double)(sample + 1);
				assert_true((double)seen[i] > share - (double)depth - 1 && (double)seen[i] < share + (double)depth + 1);
			}
		}
		aur_mixture_clear(&mixture);
	}
}

/* Ratios are exact over a period, also where samples are counted in quintillions. */
static void a_period_holds_exact_counts(void **state)
{
	(void)state;
	const int64_t weights[] = {700000, 200000, 100000};
	struct aur_mixture mixture;
	assert_ok(aur_mixture_create(weights, 3, 9, &mixture));
	for (int64_t start = 0; start < INT64_MAX / 2; start = 3 * start + 10) {
		int64_t seen[3] = {0};
		for (int64_t i = 0; i < 10; i++)
			seen[aur_mixture_draw(&mixture, start / 10 * 10 + i).source]++;
		assert_true(seen[0] == 7 && seen[1] + seen[2] == 3);
	}
	aur_mixture_clear(&mixture);
}

/* ---- orders ---- */

/* Runs of older versions go on with the order they began with: these sums are theirs. */
static void the_order_of_plain_files_never_changes(void **state)
{
	static const uint64_t sums[] = {0x639cd0a095731339u, 0x68d62cd56caac1fdu, 0x96c0bda4fa2c76e7u};
	static const int64_t tokens[] = {1003, 50, 777};
	char list[400] = "";
	struct aur_dataset *dataset;
	for (int i = 0; i < 3; i++) {
		const char *path = in_folder(state, (const char *[]){"a.h5", "b.h5", "c.h5"}[i]);
		write_shard(path, (struct shard){.train = tokens[i]});
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? "," : "", path);
	}
	assert_ok(aur_dataset_open(list, "", 0, &dataset));
	for (int kind = 0; kind < 3; kind++) {
		struct aur_sample_order order;
		uint64_t sum = 0xcbf29ce484222325u;
		assert_ok(aur_order_create(dataset, kind, 11, 8, &order));
		for (int64_t sample = 0; sample < 2000; sample++) {
			const struct aur_place place = aur_order_place(&order, sample);
			sum = (sum ^ (uint64_t)place.file) * 0x100000001b3u;
			sum = (sum ^ (uint64_t)place.begin) * 0x100000001b3u;
		}
		assert_true(sum == sums[kind]);
		aur_order_clear(&order);
	}
	aur_dataset_close(&dataset);
}

enum { MOST_FILES = 12, MOST_TOKENS = 3000 };

/* Files of random sizes, some without a whole window, in random sources. */
struct corpus {
	char list[4096];
	int64_t tokens[MOST_FILES], salt[MOST_FILES], files, sources;
};

static void make_corpus(void **state, uint64_t *random, struct corpus *corpus)
{
	*corpus = (struct corpus){.sources = 1 + draw(random, 4)};
	const int weighted = draw(random, 3) > 0;
	for (int64_t source = 0; source < corpus->sources; source++) {
		const int64_t here = weighted ? 1 + draw(random, 3) : 1;
		char name[32], weight[32] = "";
		if (weighted)
			snprintf(weight, sizeof weight, "@%lld", (long long)(1 + draw(random, 5)));
		for (int64_t i = 0; i < here; i++, corpus->files++) {
			const int64_t file = corpus->files;
			corpus->tokens[file] = i == 0 ? 200 + draw(random, MOST_TOKENS - 200) : draw(random, MOST_TOKENS);
			corpus->salt[file] = draw(random, SHARD_VOCAB);
			snprintf(name, sizeof name, "s%lld-%lld.h5", (long long)source, (long long)i);
			write_shard(in_folder(state, name),
				(struct shard){
					.train = corpus->tokens[file], .salt = corpus->salt[file], .compress = draw(random, 2) > 0});
		}
		snprintf(name, sizeof name, "s%lld-*.h5", (long long)source);
		snprintf(corpus->list + strlen(corpus->list), sizeof corpus->list - strlen(corpus->list), "%s%s%s",
			source ? "," : "", in_folder(state, name), weight);
	}
}

static void remove_shards(void **state)
{
	char command[128];
	snprintf(command, sizeof command, "rm -f '%s'/s*.h5", ((struct folder *)*state)->path);
	assert_int_equal(system(command), 0);
}

/* One source's epoch as it is seen: which tokens were inputs. */
struct epoch {
	unsigned char used[MOST_FILES][MOST_TOKENS];
	int64_t windows;
};

static void see(struct epoch *epoch, const struct aur_order_source *source, const struct corpus *corpus,
	struct aur_place place, int64_t positions)
{
	assert_in_range(place.file, source->first_file, source->first_file + source->files - 1);
	assert_true(place.begin >= 0 && place.begin + positions < corpus->tokens[place.file]);
	for (int64_t t = 0; t < positions; t++)
		assert_int_equal(epoch->used[place.file][place.begin + t]++, 0);
	if (++epoch->windows == source->windows)
		memset(epoch, 0, sizeof *epoch);
}

/* What the order says and what is read must be the same tokens, by whichever rank. */
static void check_read(
	struct aur_dataset *dataset, const struct corpus *corpus, struct aur_place place, int64_t positions)
{
	int32_t tokens[128], targets[128];
	assert_ok(aur_dataset_read(dataset, AUR_TRAIN, place.file, place.begin, positions, tokens, targets));
	for (int64_t t = 0; t < positions; t++) {
		assert_int_equal(tokens[t], (corpus->salt[place.file] + place.begin + t) % SHARD_VOCAB);
		assert_int_equal(targets[t], (corpus->salt[place.file] + place.begin + t + 1) % SHARD_VOCAB);
	}
}

/* Ranks take their sequences of every batch, as a training does; together they must see every window of every source
 * once in each of its epochs, whatever the sizes, the weights, the storage, the order and the number of ranks, and
 * wherever another number of ranks takes over. */
static void every_window_is_seen_once_an_epoch(void **state)
{
	uint64_t random = 11;
	static struct epoch epochs[4];
	for (int trial = 0; trial < rounds_of(12); trial++) {
		struct corpus corpus;
		struct aur_dataset *dataset;
		struct aur_sample_order order;
		make_corpus(state, &random, &corpus);
		const int64_t positions = 1 + draw(&random, 100);
		const int kind = draw(&random, 3) > 0 ? AUR_ORDER_SHUFFLE : AUR_ORDER_SEQUENTIAL;
		memset(epochs, 0, sizeof epochs);
		assert_ok(aur_dataset_open(corpus.list, "", 0, &dataset));
		assert_ok(aur_order_create(dataset, kind, (uint64_t)trial, positions, &order));
		for (int64_t step = 0, batch = 8; step * batch < 3 * order.windows; step++) {
			const int64_t ranks = step % 7 < 3 ? 1 : step % 7 < 5 ? 2 : 4;
			for (int64_t rank = 0; rank < ranks; rank++)
				for (int64_t i = 0; i < batch / ranks; i++) {
					const int64_t sample = step * batch + rank * (batch / ranks) + i;
					const struct aur_place place = aur_order_place(&order, sample);
					const int64_t source = aur_mixture_draw(&order.mixture, sample).source;
					see(&epochs[source], &order.sources[source], &corpus, place, positions);
					check_read(dataset, &corpus, place, positions);
				}
		}
		aur_order_clear(&order);
		aur_dataset_close(&dataset);
		remove_shards(state);
	}
}

/* ---- two levels ---- */

/* Chunks a reader keeps, by the rule of the cache: the one not used for longest goes. */
struct keeping {
	int64_t chunk[AUR_TOKENS_KEPT_CHUNKS], used[AUR_TOKENS_KEPT_CHUNKS], clock, inflated;
};

static void keep(struct keeping *keeping, int64_t chunk)
{
	int oldest = 0;
	for (int i = 0; i < AUR_TOKENS_KEPT_CHUNKS; i++) {
		if (keeping->used[i] > 0 && keeping->chunk[i] == chunk) {
			keeping->used[i] = ++keeping->clock;
			return;
		}
		oldest = keeping->used[i] < keeping->used[oldest] ? i : oldest;
	}
	keeping->chunk[oldest] = chunk;
	keeping->used[oldest] = ++keeping->clock;
	keeping->inflated++;
}

/* What compression costs must be paid once an epoch; runs begin within chunks, so those at their ends come twice. Every
 * window comes once, in groups of many runs too. */
static void a_chunk_is_inflated_about_once_an_epoch(void **state)
{
	enum { POSITIONS = 512, FILES = 3, MOST = 11000000 };
	char list[600] = "";
	struct aur_dataset *dataset;
	struct aur_sample_order order;
	int64_t tokens[FILES] = {9000000, 4000000, MOST}, chunks = 0;
	for (int i = 0; i < FILES; i++) {
		const char *path = in_folder(state, (const char *[]){"a.h5", "b.h5", "c.h5"}[i]);
		write_shard(path, (struct shard){.train = tokens[i], .compress = 1});
		snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? "," : "", path);
		chunks += tokens[i] / 65536 + 1;
	}
	assert_ok(aur_dataset_open(list, "", 0, &dataset));
	assert_ok(aur_order_create(dataset, AUR_ORDER_SHUFFLE, 5, POSITIONS, &order));
	assert_true(order.sources[0].run > 0);
	int64_t far = 0, before = 0;
	for (int64_t epoch = 0; epoch < 2; epoch++) {
		struct keeping keeping = {.clock = 0};
		static unsigned char seen[FILES][MOST / POSITIONS];
		memset(seen, 0, sizeof seen);
		for (int64_t i = 0; i < order.windows; i++) {
			const struct aur_place place = aur_order_place(&order, epoch * order.windows + i);
			const int64_t first = place.file * 1000000 + place.begin / 65536;
			const int64_t last = place.file * 1000000 + (place.begin + POSITIONS) / 65536;
			keep(&keeping, first);
			keep(&keeping, last);
			/* Windows of a file are whole windows apart. */
			assert_int_equal(seen[place.file][place.begin / POSITIONS]++, 0);
			far += llabs(first - before) > 1;
			before = first;
		}
		assert_in_range(keeping.inflated, chunks - FILES, chunks + chunks / 6);
	}
	/* And yet neighbours in the text are no neighbours in the order. */
	assert_true(far > order.windows);
	aur_order_clear(&order);
	aur_dataset_close(&dataset);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_source_has_its_share_of_any_beginning),
		cmocka_unit_test(a_period_holds_exact_counts),
		IN_FOLDER(the_order_of_plain_files_never_changes),
		IN_FOLDER(every_window_is_seen_once_an_epoch),
		IN_FOLDER(a_chunk_is_inflated_about_once_an_epoch),
	};
	return cmocka_run_group_tests_name("streaming", tests, NULL, NULL);
}
