#ifndef AUR_TRAIN_TRAINER_H
#define AUR_TRAIN_TRAINER_H

#include "comm/comm.h"
#include "config/config.h"
#include "core/crew.h"
#include "model/model.h"
#include "train/lanes.h"
#include "train/loader.h"

#include <stdint.h>

/* One rank's share of a training: weights, gradients, its slice of m and v, and the step. All memory is taken at
 * creation. Everything that is not the user's business on one rank is collective. */

struct aur_trainer_times {
	double data_s, forward_s, backward_s, reduce_wait_s, optimizer_s, step_s;
};

/* What a step gave; the same on every rank. */
struct aur_step_result {
	int64_t step; /* its number, from 1 */
	double loss;  /* nats a token, mean over the batch: M micro-batch sums added in order */
	double grad_norm;
	double learning_rate;
	int skipped; /* 1: the norm was not finite and no rank updated */
	struct aur_trainer_times times;
};

/* Results on their way at a time. */
enum { AUR_STEP_ROOMS = 2 };

/* What a call of aur_trainer_step brought, in the order of the steps. */
struct aur_step_results {
	struct aur_step_result of[AUR_STEP_ROOMS];
	int count;
	int stop; /* 1: some rank was told to stop */
};

/* What this rank wants of a step. */
struct aur_step_request {
	int stop;    /* 1: to end after it */
	int at_once; /* 1: its result before the call returns; the same on all ranks */
};

/* Where the result of a step comes to lie (results.c): one piece of host memory that the device can copy to. */
struct aur_step_room {
	double *losses; /* [batch_size]; the piece begins here */
	struct aur_step_state *state;
	int32_t *fault;
	struct aur_stream *computed; /* owned: done when this rank's gradients of the step are. NULL where `stream` is */
	struct aur_stream *stream;   /* owned: done when the result is there. NULL: it is, once it was asked for */
	int64_t step;                /* whose result is on its way; 0: the room is free */
	struct aur_trainer_times times;
};

/* After so many steps in a row without a finite gradient the run has diverged. */
enum { AUR_SKIPS_ALLOWED = 10 };

struct aur_trainer {
	const struct aur_config *config; /* borrowed, as are model, backend and comm */
	const struct aur_model *model;
	struct aur_backend *backend;
	struct aur_comm *comm;
	struct aur_slices slices, sum_slices, loss_slices; /* owned, as all below */
	struct aur_lane *lanes;                            /* what computes the leaves, beside each other */
	int n_lanes;
	struct aur_crew *crew;                /* a thread a lane; NULL with one lane, which is the caller's */
	int64_t leaves_here, micros_per_leaf; /* leaves of this rank; in fast mode one leaf of all its micro-batches */
	int64_t local_batch;                  /* sequences of this rank */
	int overlaps;                         /* 1: gradients are summed over ranks while the backward pass goes on */
	void *memory;                         /* the arena in the backend's memory */
	float *weights;                       /* [count] flat */
	enum aur_dtype compute;               /* of activations and products: aur_precision_of */
	void *compute_weights;                /* the weights rounded to it; NULL with AUR_F32 */
	float *parts;                         /* scratch of the exchange; NULL: the others' sums are read in place */
	float *gradient;                      /* this rank's slice of the sum */
	float *m, *v;                         /* this rank's slices */
	double *sums;                         /* [blocks] */
	double *losses;                       /* [batch_size] */
	struct aur_step_state *state;         /* of the update; lanes have their own */
	struct aur_step_room rooms[AUR_STEP_ROOMS];
	struct aur_step_results results; /* of the call at work */
	double taken_s;                  /* when the last result was taken, or a step began with none on its way */
	const int32_t *next_tokens, *next_targets; /* this rank's sequences of the step at work, the loader's */
	struct aur_adamw_segment *segments;
	int64_t n_segments;
	int64_t step;    /* updates tried: steps done */
	int64_t updates; /* of the steps whose results were taken, as is `skipped` */
	int64_t skipped;
	int64_t diverged_at;   /* the step after which the run has diverged; 0: it has not */
	aur_status pending;    /* a failure of this rank between steps, brought to the next step's agreement */
	aur_status lost;       /* a failure among queued work, which may have cut an exchange: no agreement may follow */
	struct aur_arena plan; /* parts and bytes, for the log */
};

/* Collective, once, before the trainer is created: has the communicator make the memory that its ranks share, where it
 * can: the weights, of which all ranks then have one copy, and the sum of each rank's gradients. Without it, or where
 * that cannot be, a trainer takes all memory for itself. Fails on all ranks together, as aur_trainer_create does. */
aur_status aur_trainer_share(
	const struct aur_config *config, const struct aur_model *model, struct aur_backend *backend, struct aur_comm *comm);

/* AUR_USAGE, with the numbers that work, when so many ranks cannot share the batch. */
aur_status aur_trainer_check_ranks(const struct aur_config *config, int ranks);

/* Checks that the number of ranks fits the batch (AUR_USAGE names the numbers that work) and takes all memory
 * (AUR_MEMORY). Not collective; agree on the result. */
aur_status aur_trainer_create(const struct aur_config *config, const struct aur_model *model,
	struct aur_backend *backend, struct aur_comm *comm, struct aur_trainer **trainer);
void aur_trainer_destroy(struct aur_trainer **trainer);

/* What aur_trainer_create would take on one of `ranks` ranks, part by part, without taking it: on the rank with the
 * longest slice. AUR_USAGE when the number of ranks does not fit, AUR_MEMORY. */
aur_status aur_trainer_plan(const struct aur_config *config, const struct aur_model *model, struct aur_backend *backend,
	int ranks, struct aur_arena *plan);

/* Collective: makes rank 0's `weights` (host memory, read on rank 0 alone) those of all ranks; m and v become zero.
 * They may be trainer->weights themselves where the backend's memory is the host's. */
aur_status aur_trainer_set_weights(struct aur_trainer *trainer, float *weights);

/* One step. Collective; leaves on all ranks together. On a device the step is only asked for and its result comes with
 * the next call, unless it is wanted at once or a rank was told to stop; so a call brings no result, one or two. Where
 * results->stop is 1 or the run has diverged none is on its way. What is found wrong on this rank while a result is
 * taken is in trainer->pending. */
aur_status aur_trainer_step(struct aur_trainer *trainer, struct aur_loader *loader,
	const struct aur_step_request *request, struct aur_step_results *results);

/* AUR_DIVERGED after AUR_SKIPS_ALLOWED steps in a row without a finite gradient, the same on all ranks; rank 0 says so.
 */
aur_status aur_trainer_judge(const struct aur_trainer *trainer);

/* Writes trainer->updates to where the optimizer counts them. Asynchronous. */
aur_status aur_trainer_send_updates(struct aur_trainer *trainer);

/* Runs one micro-batch of this rank, forward and backward, and forgets what it gave: so that a backend meets the shapes
 * of the steps. Weights are set. Not collective; waits for the backend. */
aur_status aur_trainer_rehearse(struct aur_trainer *trainer);

/* Sequences before this rank's first in a batch. */
int64_t aur_trainer_first_sequence(const struct aur_trainer *trainer);

#endif
