#ifndef AUR_TEXT_BPE_MERGE_H
#define AUR_TEXT_BPE_MERGE_H

#include "core/vocab.h"
#include "words.h"

#include <stddef.h>
#include <stdint.h>

/* The merges of byte-level BPE (Sennrich, Haddow, Birch 2016, arXiv:1508.07909; on bytes: Radford et al. 2019): of all
 * neighbours in a piece the pair of the lowest rank, the first of equal ones, becomes one token, until no pair is left
 * that has a rank. */

#define AUR_NO_RANK UINT32_MAX

struct aur_merge_slot {
	uint64_t pair; /* left << 32 | right */
	uint32_t rank; /* AUR_NO_RANK: the slot is free */
	uint32_t token;
};

/* Read by all threads. */
struct aur_merges {
	struct aur_merge_slot *slots; /* owned [mask + 1], at most half taken */
	size_t mask;
	int32_t bytes[256];            /* the token of each byte, -1: there is none */
	unsigned char beside[256][32]; /* bits: which bytes some merge has behind each */
	struct aur_words tokens;       /* by their bytes, which are borrowed from the vocabulary */
	int64_t *ids;                  /* owned: their numbers */
};

/* Borrows the vocabulary. AUR_INPUT when the two tokens of a merge make none of the vocabulary, AUR_MEMORY. `merges`
 * must be zeroed; aur_merges_clear frees it, whatever came back. */
aur_status aur_merges_make(const struct aur_vocab *vocab, struct aur_merges *merges);
void aur_merges_clear(struct aur_merges *merges);

/* The token that these bytes are, -1: none. */
int64_t aur_merges_token(const struct aur_merges *merges, struct aur_text bytes);

/* Room to merge in, one a thread. Zeroed, it is empty. */
struct aur_merge_room {
	uint32_t *ids; /* owned, as are the others: [room] the tokens, where one begins */
	uint32_t *next, *previous;
	uint64_t *heap; /* [heap_room] rank << 32 | place */
	size_t room, heap_room;
};

void aur_merge_room_clear(struct aur_merge_room *room);

/* How many of a piece's first bytes can be merged by themselves: a part of some size, up to a place that no merge
 * reaches over; all where there is no such place. */
size_t aur_merges_part(const struct aur_merges *merges, const char *piece, size_t bytes);

/* What becomes of `bytes` bytes of a piece: *count tokens in room->ids. Bytes without a token are left out and counted
 * in *absent. AUR_MEMORY. */
aur_status aur_merge_piece(const struct aur_merges *merges, const char *piece, size_t bytes,
	struct aur_merge_room *room, size_t *count, int64_t *absent);

#endif
