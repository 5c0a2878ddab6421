#include "train/order.h"

#include "core/rng.h"

#include <stdlib.h>

enum { FEISTEL_ROUNDS = 8 };

/* The windows of one file in an epoch: one fewer than fit, so that any offset below T leaves room for all of them. A
 * file with a single window has only that one. */
static int64_t epoch_windows(int64_t tokens, int64_t positions)
{
	if (tokens <= positions)
		return 0;
	return tokens < 2 * positions ? 1 : tokens / positions - 1;
}

static int64_t sequential_windows(int64_t tokens, int64_t positions)
{
	return tokens <= positions ? 0 : (tokens - 1) / positions;
}

static int64_t window_starts(int64_t tokens, int64_t positions)
{
	return tokens <= positions ? 0 : tokens - positions;
}

static int64_t windows_of(const struct aur_sample_order *order, int64_t file)
{
	return order->window_sums[file + 1] - order->window_sums[file];
}

/* Numbers up to each file, so that a window's file is found by halving. */
static void sum_files(struct aur_sample_order *order, int64_t files)
{
	const int sequential = order->kind == AUR_ORDER_SEQUENTIAL;
	for (int64_t i = 0; i < files; i++) {
		const int64_t tokens = aur_dataset_file_tokens(order->dataset, AUR_TRAIN, i);
		const int64_t windows =
			sequential ? sequential_windows(tokens, order->positions) : epoch_windows(tokens, order->positions);
		order->window_sums[i + 1] = order->window_sums[i] + windows;
		order->start_sums[i + 1] = order->start_sums[i] + window_starts(tokens, order->positions);
	}
}

static int64_t windows_in_run(const struct aur_sample_order *order, const struct aur_dataset_source *source)
{
	if (order->kind != AUR_ORDER_SHUFFLE || source->chunk_tokens == 0)
		return 0;
	const int64_t windows = AUR_ORDER_RUN_CHUNKS * source->chunk_tokens / order->positions;
	return windows > 0 ? windows : 1;
}

static aur_status check_source(
	const struct aur_sample_order *order, const struct aur_dataset_source *described, int64_t starts, int64_t tokens)
{
	if (starts > 0)
		return AUR_OK;
	const char *name = aur_dataset_sources(order->dataset) > 1 ? described->name : "";
	return aur_fail(AUR_INPUT,
		"%s%sthe training part has %lld tokens, a window of model.block_size %lld needs one more than that "
		"(lower model.block_size or prepare more text)",
		name, name[0] ? ": " : "", (long long)tokens, (long long)order->positions);
}

/* Sources of equal size must not come in the same order. */
static uint64_t source_seed(uint64_t seed, int64_t source)
{
	return seed + (uint64_t)source * 0x9E3779B97F4A7C15u;
}

static aur_status create_sources(struct aur_sample_order *order, uint64_t seed, int64_t *weights)
{
	for (int64_t i = 0; i < aur_dataset_sources(order->dataset); i++) {
		const struct aur_dataset_source described = aur_dataset_source(order->dataset, i);
		struct aur_order_source *source = &order->sources[i];
		const int64_t first = described.first_file, end = first + described.files;
		int64_t tokens = 0;
		for (int64_t file = first; file < end; file++)
			tokens += aur_dataset_file_tokens(order->dataset, AUR_TRAIN, file);
		*source = (struct aur_order_source){
			.first_file = first,
			.files = described.files,
			.windows = order->window_sums[end] - order->window_sums[first],
			.starts = order->start_sums[end] - order->start_sums[first],
			.run = windows_in_run(order, &described),
			.seed = source_seed(seed, i),
		};
		AUR_TRY(check_source(order, &described, source->starts, tokens));
		order->windows += source->windows;
		weights[i] = described.weight;
	}
	return AUR_OK;
}

aur_status aur_order_create(
	const struct aur_dataset *dataset, int kind, uint64_t seed, int64_t positions, struct aur_sample_order *order)
{
	*order = (struct aur_sample_order){.kind = kind, .positions = positions, .dataset = dataset};
	const int64_t files = aur_dataset_files(dataset, AUR_TRAIN), sources = aur_dataset_sources(dataset);
	order->window_sums = calloc((size_t)files + 1, sizeof *order->window_sums);
	order->start_sums = calloc((size_t)files + 1, sizeof *order->start_sums);
	order->sources = calloc((size_t)sources, sizeof *order->sources);
	int64_t *weights = calloc((size_t)sources, sizeof *weights);
	aur_status status = AUR_OK;
	if (!order->window_sums || !order->start_sums || !order->sources || !weights)
		status = aur_fail(AUR_MEMORY, "order of the data: no memory for %lld files", (long long)files);
	if (status == AUR_OK) {
		sum_files(order, files);
		status = create_sources(order, seed, weights);
	}
	if (status == AUR_OK)
		status = aur_mixture_create(weights, sources, seed, &order->mixture);
	free(weights);
	if (status != AUR_OK)
		aur_order_clear(order);
	return status;
}

void aur_order_clear(struct aur_sample_order *order)
{
	if (!order)
		return;
	free(order->window_sums);
	free(order->start_sums);
	free(order->sources);
	aur_mixture_clear(&order->mixture);
	*order = (struct aur_sample_order){0};
}

/* Half the bits of a number that has an even number of them, so that both halves are equal. */
static unsigned half_bits(uint64_t n)
{
	unsigned bits = 1;
	while (bits < 32 && ((uint64_t)1 << (2 * bits)) < n)
		bits++;
	return bits;
}

static uint64_t feistel(uint64_t seed, uint64_t epoch, unsigned half, uint64_t value)
{
	const uint32_t mask = half >= 32 ? 0xffffffffu : (1u << half) - 1;
	uint32_t left = (uint32_t)(value >> half) & mask, right = (uint32_t)value & mask;
	for (uint32_t round = 0; round < FEISTEL_ROUNDS; round++) {
		const uint32_t stream = aur_rng_stream(AUR_SITE_ORDER, round, 0);
		const uint32_t mixed = left ^ (aur_philox(seed, right, stream, epoch).v[0] & mask);
		left = right;
		right = mixed;
	}
	return (uint64_t)left << half | right;
}

uint64_t aur_permute(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t index)
{
	const unsigned half = half_bits(n);
	do
		index = feistel(seed, epoch, half, index);
	while (index >= n);
	return index;
}

/* A uniform integer below n from 64 random bits: the bias is below n / 2^64. */
static int64_t below(uint64_t seed, uint32_t site, uint64_t sample, int64_t n)
{
	const struct aur_random4 random = aur_philox(seed, 0, aur_rng_stream(site, 0, 0), sample);
	const uint64_t bits = (uint64_t)random.v[1] << 32 | random.v[0];
	return (int64_t)((__extension__(unsigned __int128) bits) * (uint64_t)n >> 64);
}

/* The file of a source in which entry `index` of all the source's lies, and its number there. */
static int64_t find_file(
	const struct aur_order_source *source, const int64_t *sums, int64_t index, int64_t *index_in_file)
{
	index += sums[source->first_file];
	const int64_t file = aur_dataset_file_of(sums, source->first_file, source->files, index);
	*index_in_file = index - sums[file];
	return file;
}

/* The offset at which a file's windows begin in this epoch. */
static int64_t epoch_offset(
	const struct aur_sample_order *order, const struct aur_order_source *source, int64_t epoch, int64_t file)
{
	if (order->kind == AUR_ORDER_SEQUENTIAL)
		return 0;
	const int64_t tokens = aur_dataset_file_tokens(order->dataset, AUR_TRAIN, file);
	const int64_t room = tokens - windows_of(order, file) * order->positions;
	const int64_t choices = room < order->positions ? room : order->positions;
	return below(source->seed, AUR_SITE_ORDER_OFFSET, (uint64_t)epoch, choices);
}

/* The window at place `index` of a group of so many windows. The group after the last whole one holds the runs that are
 * left, and the windows that fill no run. */
static int64_t window_of_group(
	const struct aur_order_source *source, int64_t epoch, int64_t group, int64_t windows, int64_t index)
{
	const int64_t all_runs = source->windows / source->run;
	const uint64_t key = (uint64_t)epoch << 32 ^ (uint64_t)group;
	const int64_t place = (int64_t)aur_permute(~source->seed, key, (uint64_t)windows, (uint64_t)index);
	const int64_t run = group * AUR_ORDER_GROUP_RUNS + place / source->run;
	if (run >= all_runs)
		return all_runs * source->run + place % source->run;
	return (int64_t)aur_permute(source->seed, (uint64_t)epoch, (uint64_t)all_runs, (uint64_t)run) * source->run +
		   place % source->run;
}

static int64_t window_in_two_levels(const struct aur_order_source *source, int64_t epoch, int64_t index)
{
	const int64_t whole = AUR_ORDER_GROUP_RUNS * source->run, groups = source->windows / whole;
	const int64_t group = index / whole < groups ? index / whole : groups;
	const int64_t windows = group < groups ? whole : source->windows - groups * whole;
	const int64_t window = window_of_group(source, epoch, group, windows, index - group * whole);
	const int64_t turn = below(source->seed, AUR_SITE_ORDER_TURN, (uint64_t)epoch, source->windows);
	return (window + turn) % source->windows;
}

static struct aur_place place_in_epochs(
	const struct aur_sample_order *order, const struct aur_order_source *source, int64_t number)
{
	const int64_t epoch = number / source->windows;
	int64_t window = number % source->windows, in_file;
	if (source->run > 0)
		window = window_in_two_levels(source, epoch, window);
	else if (order->kind == AUR_ORDER_SHUFFLE)
		window = (int64_t)aur_permute(source->seed, (uint64_t)epoch, (uint64_t)source->windows, (uint64_t)window);
	const int64_t file = find_file(source, order->window_sums, window, &in_file);
	return (struct aur_place){file, epoch_offset(order, source, epoch, file) + in_file * order->positions};
}

struct aur_place aur_order_place(const struct aur_sample_order *order, int64_t sample)
{
	const struct aur_draw draw = aur_mixture_draw(&order->mixture, sample);
	const struct aur_order_source *source = &order->sources[draw.source];
	if (order->kind != AUR_ORDER_RANDOM)
		return place_in_epochs(order, source, draw.number);
	struct aur_place place;
	const int64_t start = below(source->seed, AUR_SITE_ORDER_RANDOM, (uint64_t)draw.number, source->starts);
	place.file = find_file(source, order->start_sums, start, &place.begin);
	return place;
}
