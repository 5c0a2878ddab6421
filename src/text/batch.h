#ifndef AUR_TEXT_BATCH_H
#define AUR_TEXT_BATCH_H

#include "internal.h"
#include "source.h"

/* Slices that are encoded beside each other, each by one thread, and given out in their order: the tokens do not depend
 * on the number of threads. For kinds with encode_slice. */
struct aur_batch;

/* AUR_MEMORY. Borrows the tokenizer. Threads are started when there is work for several. */
aur_status aur_batch_create(const struct aur_tokenizer *tokenizer, int threads, struct aur_batch **batch);
void aur_batch_destroy(struct aur_batch **batch);

/* Encodes the source's next slices. AUR_MEMORY; AUR_INPUT when one cannot be split. */
aur_status aur_batch_fill(struct aur_batch *batch, struct aur_source *source);

/* The tokens of the next slice of the batch, borrowed until it is filled again; NULL when all were given. */
const struct aur_token_list *aur_batch_next(struct aur_batch *batch);

#endif
