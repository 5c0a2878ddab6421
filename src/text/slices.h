#ifndef AUR_TEXT_SLICES_H
#define AUR_TEXT_SLICES_H

#include "cleaning.h"
#include "core/vocab.h"
#include "text/encoder.h"

/* A text as a tokenizer sees it (cleaned and, where the vocabulary says so, in lower case), a slice at a time: memory
 * does not grow with the text. A slice ends where what follows does not depend on what went before, so that slices are
 * tokenized one by one as the whole text would be: characters between code points, words before white space, subwords
 * where the pattern ends a piece whatever stands around: between other characters and white space. A regular expression
 * of unknown meaning may look anywhere: its texts are one slice. */

struct aur_slices {
	const struct aur_vocab *vocab;
	struct aur_text rest; /* not yet given */
	int basic, lowercase;
	int anywhere;    /* 1: between any code points, else before a space */
	int spaces_only; /* 1: a line end is no place to cut */
	int subwords;    /* 1: as above; 2: nowhere */
	int gpt4;        /* subwords of GPT-4's pattern, else GPT-2's */
	struct aur_cleaning cleaning;
	char *cleaned, *lower; /* owned */
	size_t cleaned_room, lower_room;
};

/* Begins a text, which is borrowed as is the vocabulary. It must be UTF-8 where it is lower-cased or the kind is not
 * "bpe".
 * `slices` must be zeroed or have been begun before, whose memory is used again. */
void aur_slices_begin(struct aur_slices *slices, const struct aur_vocab *vocab, struct aur_text text);

/* Says that the text begun goes on where another was cut at a place of aur_slices_find_place. */
void aur_slices_continue(struct aur_slices *slices);

/* The first place from `from` (at least 1) on where the text may be cut in two that are begun one after the other, the
 * second as a continuation, and give the same slices' tokens as the whole. 0 where there is none before the end. */
size_t aur_slices_find_place(const struct aur_vocab *vocab, struct aur_text text, size_t from);

/* The next slice, at the end one of no bytes. It lies in the text or in `slices`, until the next call. It is longer
 * than AUR_SLICE_BYTES where there is no place to cut. AUR_MEMORY. */
aur_status aur_slices_next(struct aur_slices *slices, struct aur_text *slice);

void aur_slices_clear(struct aur_slices *slices);

#endif
