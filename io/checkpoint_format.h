#ifndef AUR_IO_CHECKPOINT_FORMAT_H
#define AUR_IO_CHECKPOINT_FORMAT_H

#include "h5.h"
#include "io/checkpoint.h"

/* What the writer and the reader of checkpoints agree on. */

#define AUR_CHECKPOINT_FORMAT "aurelius-checkpoint"
#define AUR_CHECKPOINT_ADVICE "the checkpoint is damaged: use an older one"

enum { AUR_CHECKPOINT_VERSION = 1 };

static const char *const aur_checkpoint_groups[AUR_CHECKPOINT_PARTS] = {"/params", "/adam/m", "/adam/v"};

/* /history. The reader's `history` must be zeroed; the caller clears it. */
aur_status aur_h5_put_history(struct aur_h5 *file, const struct aur_history *history);
aur_status aur_h5_get_history(struct aur_h5 *file, struct aur_history *history);

/* The attributes of / and /meta, /meta/config and /meta/choices. The reader's `meta` must be zeroed; the caller clears
 * it. */
aur_status aur_h5_put_meta(struct aur_h5 *file, const struct aur_checkpoint_meta *meta);
aur_status aur_h5_get_meta(struct aur_h5 *file, struct aur_checkpoint_meta *meta);

#endif
