#ifndef AUR_TEST_GOLDEN_H
#define AUR_TEST_GOLDEN_H

/* A golden file in memory, and what the model makes of the same numbers. */

#include "model/model.h"

enum { GOLDEN_STEPS = 20, GOLDEN_DECAYS = 2 };

struct golden_curve {
	double loss[GOLDEN_STEPS]; /* mean of the step's batch */
	double norm[GOLDEN_STEPS]; /* of its gradient before clipping */
};

/* Every pointer is owned. */
struct golden {
	struct aur_model *model;
	double beta1, beta2, epsilon, weight_decay, max_norm;
	double learning_rate[GOLDEN_STEPS];
	int64_t batches, batch, positions;
	int32_t *tokens, *targets;                 /* [batches, batch, positions] */
	float *weights;                            /* flat */
	double *loss;                              /* [batch], of batch 0 */
	double *gradients;                         /* flat, of batch 0's mean loss */
	struct golden_curve curves[GOLDEN_DECAYS]; /* decay on matrices, on all tensors */
};

/* Reads AUR_GOLDEN_FOLDER/name; any failure ends the test. */
void golden_read(const char *name, struct golden *golden);
void golden_clear(struct golden *golden);

/* The same from the model. */
struct golden_result {
	double *loss;     /* owned [batch] */
	float *gradients; /* owned, flat */
	struct golden_curve curves[GOLDEN_DECAYS];
};

void golden_run(
	const struct golden *golden, struct aur_backend *backend, enum aur_dtype compute, struct golden_result *result);
void golden_result_clear(struct golden_result *result);

#endif
