#ifndef AUR_TEXT_BPE_PAIRS_H
#define AUR_TEXT_BPE_PAIRS_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Pairs of neighbouring symbols while a vocabulary is trained: how often each occurs, in which words, and which comes
 * next: the most frequent, among equals the one of the smallest left, then right symbol. */

struct aur_pair {
	uint64_t key; /* left << 32 | right */
	int64_t count;
	uint32_t n_words, room; /* room 0: the words are in `few` */
	union {
		uint32_t few[2]; /* most pairs occur in no more */
		uint32_t *many;  /* owned */
	} words;
};

/* A pair's place in the queue, with the count it had when it was put there. */
struct aur_pair_place {
	int64_t count;
	uint32_t pair;
};

/* Zeroed, it is empty. */
struct aur_pairs {
	struct aur_pair *pairs; /* owned [n] */
	size_t n, room;
	uint32_t *slots; /* owned [n_slots], a power of two: the pair's index + 1; 0: free */
	size_t n_slots;
	struct aur_pair_place *queue; /* owned: a binary heap */
	size_t n_queue, queue_room;
	uint32_t *fresh; /* owned: pairs that got their first word since they were last queued */
	size_t n_fresh, fresh_room;
};

/* Adds to a pair's count. With a positive change the word is one in which the pair occurs; the words of one pair must
 * come in one go each. AUR_MEMORY. */
aur_status aur_pairs_change(struct aur_pairs *pairs, int32_t left, int32_t right, int64_t change, uint32_t word);

/* Puts the pairs that are new and occur into the queue. AUR_MEMORY. */
aur_status aur_pairs_queue_fresh(struct aur_pairs *pairs);

/* Takes the next pair out of the queue: NULL when none is left. It is borrowed until the next change; *words are its
 * pair->n_words words, some of which may not hold it any more. They are freed by aur_pair_words_free. */
struct aur_pair *aur_pairs_pop(struct aur_pairs *pairs);

/* Takes the pair's list of words away from it. NULL: they were copied to `few`. */
uint32_t *aur_pair_take_words(struct aur_pair *pair, uint32_t few[2], uint32_t *count);

void aur_pairs_clear(struct aur_pairs *pairs);

#endif
