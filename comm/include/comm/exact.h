#ifndef AUR_COMM_EXACT_H
#define AUR_COMM_EXACT_H

#include "comm/comm.h"

/* The exact reduction: a sum over leaves whose order does not know how many ranks there are.
 *
 * A batch has G leaves, a power of two; rank r of N owns the G/N consecutive ones from r*G/N. Each rank adds its leaves
 * up by one balanced binary tree while it makes them, then slices are exchanged all-to-all and each rank adds the N
 * parts of its slice by the rest of the same tree. So the whole is ((l0+l1)+(l2+l3))+... for every N.
 */

enum { AUR_EXACT_BUFFERS = 17 }; /* a leaf and one sum for each level: up to 2^16 leaves a rank */

/* Sums that wait for their right-hand neighbour, as the carries of a binary counter. */
struct aur_leaf_tree {
	float *buffers[AUR_EXACT_BUFFERS]; /* borrowed, of `count` floats each, in the backend's memory */
	int n_buffers;                     /* aur_leaf_tree_buffers(leaves of a rank) */
	int64_t count;
	int waiting;                  /* sums on the stack */
	int level[AUR_EXACT_BUFFERS]; /* log2 of the leaves in each */
	int halves;                   /* 1: the sums of the two halves are not added, the caller adds them with others */
};

/* Buffers needed for `leaves` leaves on one rank: 1 + log2(leaves). */
int aur_leaf_tree_buffers(int64_t leaves);

/* A buffer for the next leaf, with whatever it holds. */
aur_status aur_leaf_tree_begin(struct aur_leaf_tree *tree, float **leaf);

/* The leaf is complete: adds it to what waits at its level, level by level. */
aur_status aur_leaf_tree_end(struct aur_leaf_tree *tree, struct aur_backend *backend);

/* The sum of all leaves since the last call, or its two halves where they were asked for and there are any; the tree is
 * empty again. AUR_INTERNAL when their number was not the planned one. */
aur_status aur_leaf_tree_take(struct aur_leaf_tree *tree, float *sums[2], int *n_sums);

/* Collective. out [length of this rank's slice] = the tree sum over ranks of `sum` [slices->count]. `parts` is scratch
 * of aur_slices_parts(slices) floats; NULL: `sum` lies in this rank's own memory of what the communicator shares, with
 * at most AUR_TREE_PARTS ranks, and the others' are read where they lie. With one rank `out` may be `sum`. */
aur_status aur_exact_reduce(struct aur_comm *comm, struct aur_backend *backend, const struct aur_slices *slices,
	const float *sum, float *parts, float *out);

#endif
