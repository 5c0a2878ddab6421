#ifndef AUR_TRAIN_LOADER_H
#define AUR_TRAIN_LOADER_H

#include "train/dataset.h"
#include "train/order.h"

#include <stdint.h>

/* One thread that keeps this rank's batches ready ahead of the step, and where tokens are compressed has the chunks
 * inflated that the next ones lie in. */

struct aur_loader_options {
	struct aur_dataset *dataset;          /* borrowed; belongs to the loader's thread until destroy */
	const struct aur_sample_order *order; /* borrowed */
	int64_t batch_size;                   /* sequences of a step over all ranks */
	int64_t first;                        /* of this rank within a batch */
	int64_t count;                        /* of this rank */
	int64_t start_sample;                 /* global number of the first sequence of the first batch */
	int64_t depth;                        /* batches kept ready, at least 1 */
};

struct aur_loader;

/* Takes all its memory and starts the thread. AUR_MEMORY, AUR_INTERNAL. */
aur_status aur_loader_create(const struct aur_loader_options *options, struct aur_loader **loader);

/* Waits for the next batch: tokens, targets [count, positions], valid until the next call. A read that failed in the
 * thread is returned here. */
aur_status aur_loader_next(struct aur_loader *loader, const int32_t **tokens, const int32_t **targets);

/* Sequences of this rank beyond the batches that are ready whose tokens have been looked at. */
int64_t aur_loader_ahead(struct aur_loader *loader);

/* Stops the thread and waits for it. */
void aur_loader_destroy(struct aur_loader **loader);

#endif
