#ifndef AUR_TRAIN_ORDER_H
#define AUR_TRAIN_ORDER_H

#include "config/config.h"
#include "train/dataset.h"

#include <stdint.h>

/* Which window is which sample. The position in the data is one integer, the global sample number: sample s of a run is
 * a function of (seed, s) alone, so any rank computes any sample, and a resume goes on where the number says.
 *
 *   shuffle     an epoch is every window once, in a permutation of (seed, epoch), from an offset drawn per epoch
 *   random      starts drawn with replacement
 *   sequential  windows in order, epoch after epoch
 */
struct aur_sample_order {
	int kind; /* enum aur_order of the configuration */
	uint64_t seed;
	int64_t positions;                 /* T */
	int64_t windows;                   /* in an epoch, over all files */
	int64_t starts;                    /* places a window can begin at, over all files */
	const struct aur_dataset *dataset; /* borrowed */
};

/* Where a sample's window begins. */
struct aur_place {
	int64_t file, begin;
};

/* AUR_INPUT when no file of the training split holds a whole window (the numbers are named). */
aur_status aur_order_create(
	const struct aur_dataset *dataset, int kind, uint64_t seed, int64_t positions, struct aur_sample_order *order);

struct aur_place aur_order_place(const struct aur_sample_order *order, int64_t sample);

/* A keyed bijection of [0, n): a Feistel network of eight rounds on the next even power of two, walked until it lands
 * inside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). */
uint64_t aur_permute(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t index);

#endif
