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

/* What is tried: a micro-batch of at most `batch` sequences of `positions` tokens. */
struct aur_trial_options {
	const struct aur_model_config *config; /* borrowed */
	const char *backend;                   /* its name */
	enum aur_dtype compute;
	int tf32; /* products of fp32 round to it */
	int64_t batch, positions;
	int64_t free_bytes; /* it may take */
	double flops_per_s; /* the ceiling of products: a trial is as large as a moment at it allows */
	int lanes;          /* so many at once, as lanes of a training run, which share the threads set */
};

/* A few runs of well under a second each, with as many layers as fit, and once more with one layer, from which the
 * others' time is taken. AUR_MEMORY when it would take more than the free bytes. */
aur_status aur_trial_run(const struct aur_trial_options *options, struct aur_trial *trial);

#endif
