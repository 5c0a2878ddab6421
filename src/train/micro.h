#ifndef AUR_TRAIN_MICRO_H
#define AUR_TRAIN_MICRO_H

#include "train/trainer.h"

/* Which micro-batch, and where its gradients go. */
struct aur_micro {
	int64_t index;    /* counts this rank's in a step */
	float *gradients; /* a gradient buffer of the lane: += */
	/* OPTIONAL, as in struct aur_micro_batch. */
	aur_status (*completed)(void *context, int64_t done);
	void *context;
};

/* Forward and backward of one micro-batch of the sequences at hand (trainer->next_tokens); its losses go to their place
 * in trainer->losses. From the second time on that a lane uses a gradient buffer, the backend runs what it recorded,
 * where it can record: but not with `completed`, whose exchanges are no operations. Asynchronous. */
aur_status aur_micro_run(struct aur_trainer *trainer, struct aur_lane *lane, const struct aur_micro *micro);

/* Gives the recordings back. */
void aur_micro_forget(struct aur_lane *lane);

#endif
