#include "comm/slices.h"

#include "backend/backend.h"

void aur_slices_make(struct aur_slices *slices, int64_t count, int64_t unit, int ranks)
{
	const int64_t units = (count + unit - 1) / unit;
	slices->size = ranks;
	slices->count = count;
	slices->longest = 0;
	for (int r = 0; r <= ranks; r++) {
		const int64_t begin = units * r / ranks * unit;
		slices->begin[r] = begin < count ? begin : count;
	}
	for (int r = 0; r < ranks; r++)
		if (aur_slice_length(slices, r) > slices->longest)
			slices->longest = aur_slice_length(slices, r);
}

int64_t aur_slices_parts(const struct aur_slices *slices)
{
	if (slices->size == 1)
		return 0;
	return (slices->size > AUR_TREE_PARTS ? slices->size : slices->size - 1) * slices->longest;
}

int64_t aur_slices_place(const struct aur_slices *slices, int own, int rank)
{
	return (slices->size > AUR_TREE_PARTS || rank < own ? rank : rank - 1) * slices->longest;
}
