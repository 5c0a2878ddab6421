#ifndef AUR_TRAIN_ORDER_H
#define AUR_TRAIN_ORDER_H

#include "config/config.h"
#include "train/dataset.h"
#include "train/mixture.h"

#include <stdint.h>

/* Which window is which sample. The position in the data is one integer, the global sample number: sample s of a run is
 * a function of (seed, s) alone, so any rank computes any sample, and a resume goes on where the number says.
 *
 *   shuffle     an epoch is every window once, in a permutation of (seed, epoch), from an offset drawn per epoch
 *   random      starts drawn with replacement
 *   sequential  windows in order, epoch after epoch
 *
 * In a mixture every source has its own order and its own epochs; which source sample s comes from says mixture.h.
 *
 * Compressed data is shuffled in two levels, so that a chunk is inflated once an epoch. Windows that follow each other
 * in the text form runs of AUR_ORDER_RUN_CHUNKS chunks, counted from a window drawn per epoch; runs are permuted; four
 * of them in turn form a group, and the windows of a group are permuted. Two groups' chunks are what a reader keeps
 * (AUR_TOKENS_KEPT_CHUNKS): of the one at hand and of the next. What no whole group is left for comes last. */
enum { AUR_ORDER_RUN_CHUNKS = 16, AUR_ORDER_GROUP_RUNS = 4 };

struct aur_order_source {
	int64_t first_file, files;
	int64_t windows; /* in an epoch of this source */
	int64_t starts;  /* places a window can begin at */
	int64_t run;     /* windows in a run; 0: one level */
	uint64_t seed;
};

struct aur_sample_order {
	int kind;                          /* enum aur_order of the configuration */
	int64_t positions;                 /* T */
	int64_t windows;                   /* of an epoch of every source, together */
	const struct aur_dataset *dataset; /* borrowed */
	struct aur_order_source *sources;  /* owned */
	int64_t *window_sums, *start_sums; /* owned [files + 1]: of all files before */
	struct aur_mixture mixture;
};

/* Where a sample's window begins. */
struct aur_place {
	int64_t file, begin;
};

/* Takes a few numbers for each file. AUR_INPUT when no file of the training split, or of one source of it, holds a
 * whole window (the numbers are named). AUR_MEMORY. */
aur_status aur_order_create(
	const struct aur_dataset *dataset, int kind, uint64_t seed, int64_t positions, struct aur_sample_order *order);
void aur_order_clear(struct aur_sample_order *order);

/* In time that grows with the logarithm of files and sources. */
struct aur_place aur_order_place(const struct aur_sample_order *order, int64_t sample);

/* A keyed bijection of [0, n): a Feistel network of eight rounds on the next even power of two, walked until it lands
 * inside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). */
uint64_t aur_permute(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t index);

#endif
