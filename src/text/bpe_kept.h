#ifndef AUR_TEXT_BPE_KEPT_H
#define AUR_TEXT_BPE_KEPT_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Short pieces and their tokens, in two memories. A thread's own holds what it met last: one look, and what comes to a
 * place that is taken replaces it. What is not there is looked for among what all threads of a tokenizer have merged,
 * so that threads beside each other do not merge the same words again. That one is written once and never changed. */

enum { AUR_KEPT_TOKENS = 3, AUR_KEPT_BYTES = 15, AUR_KEPT_PIECES = 1 << 15 };

/* Half a line of the processor's cache. */
struct aur_kept {
	uint64_t key[2]; /* the piece's bytes, zeros, its length */
	uint32_t ids[AUR_KEPT_TOKENS];
	uint32_t count; /* 0: nothing is kept here */
};

static inline uint64_t aur_kept_hash(const uint64_t key[2])
{
	return ((key[0] ^ (key[1] << 23 | key[1] >> 41)) * 0x9e3779b97f4a7c15u) >> 32;
}

/* What all threads share. */
struct aur_kept_pool;

/* Takes 4 MiB when it is full. AUR_MEMORY. */
aur_status aur_kept_pool_create(struct aur_kept_pool **pool);
void aur_kept_pool_destroy(struct aur_kept_pool **pool);

/* Fills `kept`, which has the key, and returns 1; 0 when it is not there. Thread-safe, as is the next. */
int aur_kept_pool_find(const struct aur_kept_pool *pool, uint64_t hash, struct aur_kept *kept);

/* Keeps it for all, unless its places are taken. */
void aur_kept_pool_add(struct aur_kept_pool *pool, uint64_t hash, const struct aur_kept *kept);

#endif
