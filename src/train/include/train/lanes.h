#ifndef AUR_TRAIN_LANES_H
#define AUR_TRAIN_LANES_H

/* Lanes: leaves of one rank computed beside each other. A micro-batch of a small model is a chain of short operations,
 * and threads that share each of them wait for one another at every end. Lanes wait once a step: each runs whole leaves
 * alone, with activations, gradient buffers and threads of its own, as ranks do.
 *
 * A lane owns consecutive leaves, a power of two of them, and adds them up by their part of the balanced tree; the
 * lanes' sums are the rest of the same tree. So the bits do not depend on the number of lanes.
 */

#include "comm/exact.h"
#include "config/config.h"
#include "model/model.h"

enum { AUR_MOST_LANES = AUR_TREE_PARTS, AUR_LANE_GRAPHS = 8 };

/* A micro-batch as its backend recorded it. Only the gradient buffer differs from one to the next: all else that does
 * is written to the same memory before. */
struct aur_lane_graph {
	const float *gradients; /* NULL: free */
	void *graph;            /* NULL: run once so far, so that all its algorithms are chosen */
};

struct aur_lane {
	struct aur_backend *backend;     /* the trainer's in lane 0, else owned: each has its own scratch memory */
	struct aur_workspace *workspace; /* owned */
	struct aur_leaf_tree tree;
	int32_t *tokens, *targets; /* one micro-batch, in the trainer's arena as all below */
	struct aur_step_state *state;
	float *sums[2]; /* of the lane's leaves, once they are done, or of two halves of them */
	int n_sums;
	const struct aur_backend_graphs *recorder; /* NULL: micro-batches are not recorded */
	struct aur_lane_graph graphs[AUR_LANE_GRAPHS];
	double *losses; /* of one micro-batch that is recorded; NULL without a recorder */
};

/* How many lanes a rank takes that has `leaves` leaves and the calling thread's OpenMP threads: a power of two. As many
 * as system.lanes allows; with 0 fewer where their gradient buffers would take more than half a gigabyte, and 1 where
 * the operations of a micro-batch are long enough to be shared. */
int aur_lanes_choose(
	const struct aur_config *config, const struct aur_model *model, const struct aur_backend *backend, int64_t leaves);

#endif
