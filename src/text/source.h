#ifndef AUR_TEXT_SOURCE_H
#define AUR_TEXT_SOURCE_H

#include "slices.h"

/* The slices of several texts, one after another. */
struct aur_source {
	const struct aur_vocab *vocab;
	const struct aur_text *texts;
	int64_t n, begun; /* texts, and how many have been begun */
	struct aur_slices slices;
};

/* The next slice that holds anything, at the end of all texts one of no bytes. AUR_MEMORY. */
aur_status aur_source_next(struct aur_source *source, struct aur_text *slice);

#endif
