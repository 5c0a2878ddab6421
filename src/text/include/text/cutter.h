#ifndef AUR_TEXT_CUTTER_H
#define AUR_TEXT_CUTTER_H

#include "core/status.h"
#include "text/tokenizer.h"

/* Places to cut a text that a regular expression of unknown meaning splits: none can be told from what stands around it
 * (aur_text_place), but by splitting the text from its beginning. A place is where a piece ends, if the text in front
 * of it is split as it is when nothing follows; behind it the text begins anew, since the expression does not look
 * back. */

/* 1 when texts of this vocabulary are cut so: subwords of a pattern other than GPT-2's and GPT-4's. 0 also where
 * nothing is known to be safe: the expression looks back or is not read the same by every engine, texts are cleaned, or
 * tokens are found in them before they are split. */
int aur_cutter_fits(const struct aur_vocab *vocab);

/* For one thread. */
struct aur_cutter;

/* Borrows nothing. AUR_INPUT when the expression cannot be compiled, AUR_MEMORY. */
aur_status aur_cutter_create(const struct aur_vocab *vocab, struct aur_cutter **cutter);
void aur_cutter_destroy(struct aur_cutter **cutter);

/* The first place from `from` (at least 1) on in a text that begins where one was cut, or at its own beginning; where a
 * thousand ends of pieces are none, one from twice as far on. *place is 0 where there is none or more of the text has
 * to be seen. at_end: the text has no more than this. Which place it is does not depend on how much is seen. A text
 * that is not UTF-8 is cut between any two characters: nobody encodes it, but where it is wrong is told. AUR_INPUT when
 * the text cannot be split, AUR_MEMORY. */
aur_status aur_cutter_place(struct aur_cutter *cutter, struct aur_text text, size_t from, int at_end, size_t *place);

#endif
