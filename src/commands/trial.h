#ifndef AUR_COMMANDS_TRIAL_H
#define AUR_COMMANDS_TRIAL_H

#include "backend/backend.h"
#include "core/status.h"
#include "model/model.h"

#include <stdint.h>

/* How long a micro-batch takes, measured on a part of it: the model's own operations in their own shapes, with fewer
 * layers and sequences where the whole would take long. */
struct aur_trial {
	int64_t batch, layers; /* that were run */
	double seconds;        /* forward and backward of a micro-batch of `batch` sequences of the whole model */
};

/* Runs a micro-batch of at most `batch` sequences of `positions` tokens in `compute` on the threads set: a few runs of
 * well under a second each, with as many layers as fit, and once more with one layer, from which the others' time is
 * taken. AUR_MEMORY when it would take more than `free_bytes`. */
aur_status aur_trial_run(const struct aur_model_config *config, enum aur_dtype compute, int64_t batch,
	int64_t positions, int64_t free_bytes, struct aur_trial *trial);

#endif
