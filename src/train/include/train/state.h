#ifndef AUR_TRAIN_STATE_H
#define AUR_TRAIN_STATE_H

#include "io/checkpoint.h"
#include "train/trainer.h"

/* The trainer's state to and from checkpoints. */

/* Collective. Rank 0 writes `path`; the slices of m and v reach it tensor by tensor. `meta` and `history` are read on
 * rank 0 alone; step, samples, updates, skipped and ranks are filled in from the trainer. All ranks return the same
 * status; on failure older files are untouched. */
aur_status aur_state_save(struct aur_trainer *trainer, const char *path, struct aur_checkpoint_meta *meta,
	const struct aur_vocab *vocab, const struct aur_history *history);

/* Collective. Every rank has `checkpoint` open and reads its own slices of m and v; rank 0 reads the weights. */
aur_status aur_state_load(struct aur_trainer *trainer, struct aur_checkpoint *checkpoint);

/* Collective. Weights alone, from a checkpoint or an exported model; m, v and the step begin at zero. `checkpoint` is
 * read on rank 0 alone. */
aur_status aur_state_load_weights(struct aur_trainer *trainer, struct aur_checkpoint *checkpoint);

/* Host memory for all weights, to be handed to aur_trainer_set_weights: the trainer's own where the backend's memory is
 * the host's. AUR_MEMORY; *weights is then NULL. The other gives it back, and accepts NULL. */
aur_status aur_state_host_weights(struct aur_trainer *trainer, float **weights);
void aur_state_free_weights(const struct aur_trainer *trainer, float **weights);

#endif
