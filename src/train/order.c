#include "train/order.h"

#include "core/rng.h"

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
	const int64_t tokens = aur_dataset_file_tokens(order->dataset, AUR_TRAIN, file);
	return order->kind == AUR_ORDER_SEQUENTIAL ? sequential_windows(tokens, order->positions)
											   : epoch_windows(tokens, order->positions);
}

aur_status aur_order_create(
	const struct aur_dataset *dataset, int kind, uint64_t seed, int64_t positions, struct aur_sample_order *order)
{
	*order = (struct aur_sample_order){.kind = kind, .seed = seed, .positions = positions, .dataset = dataset};
	const int64_t files = aur_dataset_files(dataset, AUR_TRAIN);
	for (int64_t i = 0; i < files; i++) {
		order->windows += windows_of(order, i);
		order->starts += window_starts(aur_dataset_file_tokens(dataset, AUR_TRAIN, i), positions);
	}
	if (order->starts < 1)
		return aur_fail(AUR_INPUT,
			"the training part has %lld tokens, a window of model.block_size %lld needs one more than that "
			"(lower model.block_size or prepare more text)",
			(long long)aur_dataset_tokens(dataset, AUR_TRAIN), (long long)positions);
	return AUR_OK;
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
static int64_t below(const struct aur_sample_order *order, uint32_t site, uint64_t sample, int64_t n)
{
	const struct aur_random4 random = aur_philox(order->seed, 0, aur_rng_stream(site, 0, 0), sample);
	const uint64_t bits = (uint64_t)random.v[1] << 32 | random.v[0];
	return (int64_t)((__extension__(unsigned __int128) bits) * (uint64_t)n >> 64);
}

/* The offset at which a file's windows begin in this epoch. */
static int64_t epoch_offset(const struct aur_sample_order *order, int64_t epoch, int64_t file)
{
	if (order->kind == AUR_ORDER_SEQUENTIAL)
		return 0;
	const int64_t tokens = aur_dataset_file_tokens(order->dataset, AUR_TRAIN, file);
	const int64_t room = tokens - windows_of(order, file) * order->positions;
	const int64_t choices = room < order->positions ? room : order->positions;
	return below(order, AUR_SITE_ORDER_OFFSET, (uint64_t)epoch, choices);
}

static struct aur_place place_of_window(const struct aur_sample_order *order, int64_t epoch, int64_t window)
{
	int64_t file = 0;
	for (int64_t here = windows_of(order, 0); window >= here; here = windows_of(order, file)) {
		window -= here;
		file++;
	}
	return (struct aur_place){file, epoch_offset(order, epoch, file) + window * order->positions};
}

static struct aur_place place_of_start(const struct aur_sample_order *order, int64_t start)
{
	int64_t file = 0;
	for (;; file++) {
		const int64_t tokens = aur_dataset_file_tokens(order->dataset, AUR_TRAIN, file);
		const int64_t here = window_starts(tokens, order->positions);
		if (start < here)
			return (struct aur_place){file, start};
		start -= here;
	}
}

struct aur_place aur_order_place(const struct aur_sample_order *order, int64_t sample)
{
	if (order->kind == AUR_ORDER_RANDOM)
		return place_of_start(order, below(order, AUR_SITE_ORDER_RANDOM, (uint64_t)sample, order->starts));
	const int64_t epoch = sample / order->windows, index = sample % order->windows;
	if (order->kind == AUR_ORDER_SEQUENTIAL)
		return place_of_window(order, epoch, index);
	const uint64_t window = aur_permute(order->seed, (uint64_t)epoch, (uint64_t)order->windows, (uint64_t)index);
	return place_of_window(order, epoch, (int64_t)window);
}
