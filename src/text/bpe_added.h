#ifndef AUR_TEXT_BPE_ADDED_H
#define AUR_TEXT_BPE_ADDED_H

#include "internal.h"

/* Tokens beside the merges that are found in texts before these are split: of several at one place the longest. */
struct aur_added {
	const struct aur_vocab *vocab;
	int64_t *ids; /* owned [n]: longer ones first */
	int64_t n;
	unsigned char begins[256]; /* 1: one begins with this byte */
};

/* Takes those that are not special. Borrows the vocabulary. AUR_MEMORY. */
aur_status aur_added_make(const struct aur_vocab *vocab, struct aur_added *added);
void aur_added_clear(struct aur_added *added);

/* The first one in the text from `at` on: where it begins, text.size when there is none, and its number. */
size_t aur_added_find(const struct aur_added *added, struct aur_text text, size_t at, int64_t *id);

#endif
