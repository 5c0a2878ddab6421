#ifndef AUR_TRAIN_UPDATE_H
#define AUR_TRAIN_UPDATE_H

#include "train/trainer.h"

/* The second half of a step: `gradient`, this rank's slice of the sum over ranks, is clipped by the norm of all slices
 * and AdamW steps on the slice; then every rank has all weights, and those that products read. Collective. Norm,
 * learning rate and whether the step is left out are in trainer->state; the host does not wait for them. */
aur_status aur_trainer_update(struct aur_trainer *trainer, float *gradient);

#endif
