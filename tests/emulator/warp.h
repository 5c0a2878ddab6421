#ifndef AUR_EMULATOR_WARP_H
#define AUR_EMULATOR_WARP_H

/* Shuffles, votes and barriers of a warp. A kernel that needs another one (a matrix product of the tensor cores) writes
 * it as a meeting of its own, with aur_emulator_meet: the lanes' operands in, their results out, computed in one place.
 */

#include "emulator/runtime.h"

#include <string.h>
#include <type_traits>

#define AUR_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

/* One lane's part of a shuffle. */
struct aur_emulator_shuffle {
	uint64_t value, result;
	int source; /* the lane it reads */
};

/* One lane's part of a vote or an integer reduction. */
struct aur_emulator_vote {
	uint64_t value, result;
};

void aur_emulator_settle_sync(void *const lanes[AUR_WARP]);
void aur_emulator_settle_shuffle(void *const lanes[AUR_WARP]);
void aur_emulator_settle_ballot(void *const lanes[AUR_WARP]);
void aur_emulator_settle_match(void *const lanes[AUR_WARP]);

static inline void __syncwarp(unsigned mask = 0xffffffffu, AUR_HERE)
{
	int nothing = 0;
	aur_emulator_meet("__syncwarp", mask, aur_emulator_settle_sync, &nothing, {file, line});
}

template <typename T>
T aur_emulator_shuffle_from(const char *name, unsigned mask, T value, int source, struct aur_emulator_place place)
{
	static_assert(sizeof(T) <= 8 && std::is_trivially_copyable<T>::value, "a shuffle moves at most 8 bytes");
	struct aur_emulator_shuffle mine = {0, 0, source};
	memcpy(&mine.value, &value, sizeof value);
	aur_emulator_meet(name, mask, aur_emulator_settle_shuffle, &mine, place);
	memcpy(static_cast<void *>(&value), &mine.result, sizeof value);
	return value;
}

/* Where a source outside of the segment of `width` lanes falls back to the own lane. */
static inline int aur_emulator_within(int source, int width)
{
	const int lane = aur_emulator_lane();
	return source >= 0 && source / width == lane / width ? source : lane;
}

template <typename T> T __shfl_sync(unsigned mask, T value, int source, int width = AUR_WARP, AUR_HERE)
{
	const int first = aur_emulator_lane() / width * width;
	return aur_emulator_shuffle_from("__shfl_sync", mask, value, first + (source & (width - 1)), {file, line});
}

template <typename T> T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = AUR_WARP, AUR_HERE)
{
	const int source = aur_emulator_within(aur_emulator_lane() - static_cast<int>(delta), width);
	return aur_emulator_shuffle_from("__shfl_up_sync", mask, value, source, {file, line});
}

template <typename T> T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = AUR_WARP, AUR_HERE)
{
	const int source = aur_emulator_within(aur_emulator_lane() + static_cast<int>(delta), width);
	return aur_emulator_shuffle_from("__shfl_down_sync", mask, value, source, {file, line});
}

/* Lanes of earlier segments may be read, those of later ones not. */
template <typename T> T __shfl_xor_sync(unsigned mask, T value, int other, int width = AUR_WARP, AUR_HERE)
{
	const int lane = aur_emulator_lane();
	const int source = lane ^ other;
	const int last = lane / width * width + width - 1;
	return aur_emulator_shuffle_from("__shfl_xor_sync", mask, value, source <= last ? source : lane, {file, line});
}

static inline unsigned aur_emulator_vote_of(
	const char *name, unsigned mask, uint64_t value, aur_emulator_settle settle, struct aur_emulator_place place)
{
	struct aur_emulator_vote mine = {value, 0};
	aur_emulator_meet(name, mask, settle, &mine, place);
	return static_cast<unsigned>(mine.result);
}

static inline unsigned __ballot_sync(unsigned mask, int predicate, AUR_HERE)
{
	return aur_emulator_vote_of("__ballot_sync", mask, predicate != 0, aur_emulator_settle_ballot, {file, line});
}

static inline int __any_sync(unsigned mask, int predicate, AUR_HERE)
{
	return aur_emulator_vote_of("__any_sync", mask, predicate != 0, aur_emulator_settle_ballot, {file, line}) != 0;
}

static inline int __all_sync(unsigned mask, int predicate, AUR_HERE)
{
	return aur_emulator_vote_of("__all_sync", mask, predicate == 0, aur_emulator_settle_ballot, {file, line}) == 0;
}

template <typename T> unsigned __match_any_sync(unsigned mask, T value, AUR_HERE)
{
	uint64_t bits = 0;
	memcpy(&bits, &value, sizeof value);
	return aur_emulator_vote_of("__match_any_sync", mask, bits, aur_emulator_settle_match, {file, line});
}

/* sm_80's reductions of integers. */
template <typename T, T (*combine)(T, T)> void aur_emulator_settle_reduce(void *const lanes[AUR_WARP])
{
	bool first = true;
	T total = 0;
	for (int i = 0; i < AUR_WARP; i++) {
		if (!lanes[i])
			continue;
		const T value = static_cast<T>(static_cast<const struct aur_emulator_vote *>(lanes[i])->value);
		total = first ? value : combine(total, value);
		first = false;
	}
	for (int i = 0; i < AUR_WARP; i++)
		if (lanes[i])
			static_cast<struct aur_emulator_vote *>(lanes[i])->result = static_cast<uint32_t>(total);
}

#define AUR_REDUCE(word, type, expression)                                                                             \
	static inline type aur_emulator_combine_##word##_##type(type a, type b)                                            \
	{                                                                                                                  \
		return expression;                                                                                             \
	}                                                                                                                  \
	static inline type __reduce_##word##_sync(unsigned mask, type value, AUR_HERE)                                     \
	{                                                                                                                  \
		return static_cast<type>(aur_emulator_vote_of("__reduce_" #word "_sync", mask, static_cast<uint32_t>(value),   \
			aur_emulator_settle_reduce<type, aur_emulator_combine_##word##_##type>, {file, line}));                    \
	}
AUR_REDUCE(add, unsigned, a + b)
AUR_REDUCE(min, unsigned, a < b ? a : b)
AUR_REDUCE(max, unsigned, a > b ? a : b)
AUR_REDUCE(or, unsigned, a | b)
AUR_REDUCE(and, unsigned, a &b)
AUR_REDUCE(xor, unsigned, a ^ b)
AUR_REDUCE(add, int, static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b)))
AUR_REDUCE(min, int, a < b ? a : b)
AUR_REDUCE(max, int, a > b ? a : b)
#undef AUR_REDUCE
#undef AUR_HERE

/* The lanes that happen to run together; here all that are left. No result may depend on it. */
static inline unsigned __activemask(void)
{
	return aur_emulator_live_lanes();
}

#endif
