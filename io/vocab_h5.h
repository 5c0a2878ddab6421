#ifndef AUR_IO_VOCAB_H5_H
#define AUR_IO_VOCAB_H5_H

#include "core/vocab.h"
#include "h5.h"

/* The group /tokenizer: the same in datasets, checkpoints and exported models. */

aur_status aur_h5_put_vocab(struct aur_h5 *file, const struct aur_vocab *vocab);

/* `vocab` must be zeroed; the caller clears it. The stored hash must be that of the content. AUR_INPUT. */
aur_status aur_h5_get_vocab(struct aur_h5 *file, struct aur_vocab *vocab);

#endif
