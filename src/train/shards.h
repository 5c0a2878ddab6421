#ifndef AUR_TRAIN_SHARDS_H
#define AUR_TRAIN_SHARDS_H

#include "io/tokens.h"

/* Many token files, of which few are open at a time: the one not read for longest is closed for another. Used by one
 * thread at a time. */
struct aur_shards {
	struct aur_tokens **files; /* owned [count] */
	int64_t count;
	int64_t *used; /* owned [count]: when a file was read last; 0: it is closed */
	int64_t *open; /* owned [limit]: which files are open */
	int64_t n_open, limit, clock;
	struct aur_token_cache *cache; /* owned */
	int64_t most_kept;             /* chunks that it holds at most */
};

/* `sources` bounds what is kept of compressed files: enough for the group of each. */
aur_status aur_shards_create(int64_t sources, struct aur_shards *shards);

/* Adds a file or the files of a glob, sorted, checks each without reading its tokens and closes it again. `other`:
 * files that share the vocabulary; may be empty. AUR_INPUT names the file. */
aur_status aur_shards_add(struct aur_shards *shards, const char *pattern, const struct aur_shards *other);

/* Called when all are added. */
aur_status aur_shards_settle(struct aur_shards *shards);

aur_status aur_shards_read(
	struct aur_shards *shards, int64_t file, enum aur_split split, int64_t begin, int64_t count, int32_t *out);

/* Bytes of inflated chunks that are kept at most while the training parts (train), the validation parts (val) or both
 * are read. Chunks are counted whole, so that a small file counts as what it takes. */
int64_t aur_shards_kept_bytes(const struct aur_shards *shards, int train, int val);

void aur_shards_clear(struct aur_shards *shards);

#endif
