#ifndef AUR_TRAIN_MIXTURE_H
#define AUR_TRAIN_MIXTURE_H

#include "core/status.h"

#include <stdint.h>

/* Which of several sources a sample comes from, and its number among that source's own samples.
 *
 * Sources are the leaves of a balanced binary tree. Of the first n samples that reach a node, floor((n L + o) / W) go
 * left, L of the node's weight W being there and o drawn from the seed below W: this is Bresenham's line, and the
 * sample that raises the floor is the one that goes left. So a sample is found in log2(sources) steps, without
 * memory; of any first n samples each source has its share to within log2(sources) + 1; and the samples of a source
 * are numbered 0, 1, 2, ... in the order in which they come, which makes an epoch of the source exact.
 */
struct aur_mixture {
	int64_t *bounds; /* owned [count + 1]: weights summed up, without common divisors */
	int64_t count;
	uint64_t seed;
};

struct aur_draw {
	int64_t source, number;
};

/* `weights` [count] are positive, their sum below 2^62. AUR_MEMORY. */
aur_status aur_mixture_create(const int64_t *weights, int64_t count, uint64_t seed, struct aur_mixture *mixture);
void aur_mixture_clear(struct aur_mixture *mixture);

struct aur_draw aur_mixture_draw(const struct aur_mixture *mixture, int64_t sample);

#endif
