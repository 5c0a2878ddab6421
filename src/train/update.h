#ifndef AUR_TRAIN_UPDATE_H
#define AUR_TRAIN_UPDATE_H

#include "train/trainer.h"

/* The second half of a step: `gradient`, this rank's slice of the sum over ranks, is clipped by the norm of all slices
 * and AdamW steps on the slice; then every rank has all weights, and those that products read. Collective. Writes norm,
 * learning rate and whether the step was left out. */
aur_status aur_trainer_update(struct aur_trainer *trainer, float *gradient, struct aur_step_result *result);

#endif
