#ifndef AUR_IO_TOKENS_FILE_H
#define AUR_IO_TOKENS_FILE_H

#include "h5.h"
#include "io/tokens.h"
#include "tokens_format.h"

#include <time.h>
#include <xxhash.h>

/* An open token dataset, for tokens_open.c and tokens_read.c. */

struct aur_tokens_part {
	const char *name;
	struct aur_h5_dataset dataset; /* open while compressed tokens are read */
	int64_t count;
	int64_t chunk_tokens; /* 0: contiguous */
	/* contiguous */
	uint64_t *checksums;     /* owned, one a block */
	unsigned char *verified; /* owned, one a block */
};

/* What tells whether a path still leads to the file that was opened. */
struct aur_file_identity {
	uint64_t device, inode;
	int64_t bytes;
	struct timespec modified;
};

struct aur_tokens {
	char *path;
	struct aur_h5 *file; /* while compressed tokens are read */
	int fd;              /* while contiguous ones are */
	struct aur_file_identity identity;
	struct aur_tokens_info info;
	struct aur_vocab own_vocab;    /* of the first file */
	const struct aur_vocab *vocab; /* own_vocab, or borrowed */
	uint64_t vocab_hash, content;
	struct aur_tokens_part parts[AUR_TOKENS_SPLITS];
	struct aur_token_cache *cache; /* borrowed, unless owns_cache */
	int owns_cache;
};

/* Records "PATH: PART: WHAT (ADVICE)" and returns AUR_INPUT. */
aur_status aur_tokens_damaged(const struct aur_tokens *tokens, const struct aur_tokens_part *part, const char *what);

/* Opens again what aur_tokens_park closed. AUR_INPUT, AUR_IO. */
aur_status aur_tokens_unpark(struct aur_tokens *tokens);

/* tokens_cache.c: the bytes of a chunk, NULL when it is not there; and the place of the chunk not used for longest, or
 * NULL without memory, to be filled and then named. Forget: all chunks of a file. */
const unsigned char *aur_token_cache_find(struct aur_token_cache *cache, const void *part, int64_t chunk);
unsigned char *aur_token_cache_take(struct aur_token_cache *cache);
void aur_token_cache_name(struct aur_token_cache *cache, const unsigned char *place, const void *part, int64_t chunk);
void aur_token_cache_forget(struct aur_token_cache *cache, const void *part);

/* Room for a checksum in the making: contiguous tokens are verified without taking memory. */
XXH3_state_t *aur_token_cache_hash(struct aur_token_cache *cache);

#endif
