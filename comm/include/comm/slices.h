#ifndef AUR_COMM_SLICES_H
#define AUR_COMM_SLICES_H

#include <stdint.h>

enum { AUR_MAX_RANKS = 4096 };

/* A flat arena cut among ranks: rank r holds [begin[r], begin[r + 1]). Cuts lie on multiples of `unit` elements, so
 * that what is computed per block of the arena does not depend on the number of ranks. */
struct aur_slices {
	int size;      /* ranks */
	int64_t count; /* elements in all */
	int64_t longest;
	int64_t begin[AUR_MAX_RANKS + 1];
};

void aur_slices_make(struct aur_slices *slices, int64_t count, int64_t unit, int ranks);

static inline int64_t aur_slice_length(const struct aur_slices *slices, int rank)
{
	return slices->begin[rank + 1] - slices->begin[rank];
}

/* Where a rank keeps the parts of its slice that it gets from the others: so many elements in all, and rank `rank`'s
 * part from there on. Its own part needs no place, unless there are more ranks than one operation adds up: sums of
 * groups are then kept in the place of each group's first. */
int64_t aur_slices_parts(const struct aur_slices *slices);
int64_t aur_slices_place(const struct aur_slices *slices, int own, int rank);

#endif
