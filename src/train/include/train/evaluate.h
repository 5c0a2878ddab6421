#ifndef AUR_TRAIN_EVALUATE_H
#define AUR_TRAIN_EVALUATE_H

#include "comm/comm.h"
#include "model/model.h"
#include "train/dataset.h"

#include <stdint.h>

/* The loss over fixed windows of a split. */
struct aur_evaluate {
	struct aur_workspace *workspace; /* for micro-batches of `batch` sequences of `positions` */
	struct aur_backend *backend;
	struct aur_comm *comm;
	struct aur_dataset *dataset;
	enum aur_split split;
	const float *weights;        /* backend memory */
	const void *compute_weights; /* the same rounded to a bf16 workspace's type; not read with fp32 */
	int64_t positions, batch;
	int64_t windows;                                            /* how many, spread evenly over the split; 0: all */
	int rank_zero_only;                                         /* the other ranks wait instead of computing a share */
	void (*progress)(void *context, int64_t done, int64_t all); /* optional, on rank 0 */
	void *progress_context;
};

struct aur_evaluation {
	double loss;           /* nats a token: mean over windows, summed in order: the same bits on any number of ranks */
	double standard_error; /* of the mean, from the spread of the windows' losses; NaN with one window */
	int64_t windows, tokens;
};

/* Memory an evaluator needs, taken once: the windows' losses and a micro-batch of tokens. */
struct aur_evaluator;
aur_status aur_evaluator_create(
	struct aur_backend *backend, int64_t batch, int64_t positions, int64_t windows, struct aur_evaluator **evaluator);
void aur_evaluator_destroy(struct aur_evaluator **evaluator);

/* Collective. Agrees before it exchanges. AUR_INPUT when the split has no whole window, or is damaged. */
aur_status aur_evaluate_run(
	struct aur_evaluator *evaluator, const struct aur_evaluate *evaluate, struct aur_evaluation *result);

/* AUR_INPUT when there is a validation part and no window of it has `positions` tokens and one more. */
aur_status aur_evaluation_check_val(const struct aur_dataset *dataset, int64_t positions);

#endif
