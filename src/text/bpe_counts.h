#ifndef AUR_TEXT_BPE_COUNTS_H
#define AUR_TEXT_BPE_COUNTS_H

#include "text/bpe_train.h"
#include "words.h"

/* Counts the pieces of all texts of the source, in threads. The order of `counts`, which must be zeroed, depends on
 * threads, its content does not. The caller clears it. */
aur_status aur_bpe_count(
	const struct aur_bpe_settings *settings, const struct aur_bpe_source *source, struct aur_words *counts);

#endif
