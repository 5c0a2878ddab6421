#include "bpe_pairs.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 1 << 12, FEW = 2 };

/* `*array` with room for one element more than `n`. */
static aur_status make_room(void **array, size_t n, size_t *room, size_t bytes_each)
{
	if (n < *room)
		return AUR_OK;
	const size_t wanted = *room > 0 ? *room + *room / 2 : FIRST_ROOM;
	void *grown = realloc(*array, wanted * bytes_each);
	if (!grown)
		return aur_fail(AUR_MEMORY, "no memory for %zu pairs of symbols", wanted);
	*array = grown;
	*room = wanted;
	return AUR_OK;
}

/* ---- finding a pair ---- */

/* The slot that holds the pair, or the free one where it belongs. */
static size_t slot_of(const struct aur_pairs *pairs, uint64_t key)
{
	const size_t mask = pairs->n_slots - 1;
	uint64_t hash = key * 0x9e3779b97f4a7c15u;
	hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
	size_t slot = (size_t)(hash >> 20) & mask;
	while (pairs->slots[slot] != 0 && pairs->pairs[pairs->slots[slot] - 1].key != key)
		slot = (slot + 1) & mask;
	return slot;
}

/* At most two thirds of the slots are taken. */
static aur_status grow_slots(struct aur_pairs *pairs)
{
	const size_t n_slots = pairs->n_slots > 0 ? 2 * pairs->n_slots : 2 * FIRST_ROOM;
	uint32_t *slots = n_slots <= UINT32_MAX ? calloc(n_slots, sizeof *slots) : NULL;
	if (!slots)
		return aur_fail(AUR_MEMORY, "no memory for %zu pairs of symbols", n_slots);
	free(pairs->slots);
	pairs->slots = slots;
	pairs->n_slots = n_slots;
	for (size_t i = 0; i < pairs->n; i++)
		slots[slot_of(pairs, pairs->pairs[i].key)] = (uint32_t)(i + 1);
	return AUR_OK;
}

static aur_status pair_of(struct aur_pairs *pairs, uint64_t key, struct aur_pair **pair)
{
	if (3 * (pairs->n + 1) > 2 * pairs->n_slots)
		AUR_TRY(grow_slots(pairs));
	const size_t slot = slot_of(pairs, key);
	if (pairs->slots[slot] == 0) {
		void *array = pairs->pairs;
		AUR_TRY(make_room(&array, pairs->n, &pairs->room, sizeof *pairs->pairs));
		pairs->pairs = array;
		pairs->pairs[pairs->n++] = (struct aur_pair){.key = key};
		pairs->slots[slot] = (uint32_t)pairs->n;
	}
	*pair = &pairs->pairs[pairs->slots[slot] - 1];
	return AUR_OK;
}

/* ---- words of a pair ---- */

static uint32_t *words_of(struct aur_pair *pair)
{
	return pair->room > 0 ? pair->words.many : pair->words.few;
}

static aur_status set_room(struct aur_pair *pair, uint32_t room)
{
	uint32_t *grown = realloc(pair->room > 0 ? pair->words.many : NULL, room * sizeof *grown);
	if (!grown)
		return aur_fail(AUR_MEMORY, "no memory for the places of a pair of symbols");
	if (pair->room == 0)
		memcpy(grown, pair->words.few, sizeof pair->words.few);
	pair->words.many = grown;
	pair->room = room;
	return AUR_OK;
}

static aur_status add_word(struct aur_pairs *pairs, struct aur_pair *pair, uint32_t word)
{
	if (pair->n_words == 0) {
		void *array = pairs->fresh;
		AUR_TRY(make_room(&array, pairs->n_fresh, &pairs->fresh_room, sizeof *pairs->fresh));
		pairs->fresh = array;
		pairs->fresh[pairs->n_fresh++] = (uint32_t)(pair - pairs->pairs);
	} else if (words_of(pair)[pair->n_words - 1] == word)
		return AUR_OK;
	if (pair->n_words == (pair->room > 0 ? pair->room : FEW))
		AUR_TRY(set_room(pair, pair->room > 0 ? 2 * pair->room : 4 * FEW));
	words_of(pair)[pair->n_words++] = word;
	return AUR_OK;
}

static void drop_words(struct aur_pair *pair)
{
	if (pair->room > 0)
		free(pair->words.many);
	pair->n_words = pair->room = 0;
}

aur_status aur_pairs_change(struct aur_pairs *pairs, int32_t left, int32_t right, int64_t change, uint32_t word)
{
	struct aur_pair *pair;
	AUR_TRY(pair_of(pairs, (uint64_t)left << 32 | (uint32_t)right, &pair));
	pair->count += change;
	return change > 0 ? add_word(pairs, pair, word) : AUR_OK;
}

uint32_t *aur_pair_take_words(struct aur_pair *pair, uint32_t few[2], uint32_t *count)
{
	uint32_t *taken = pair->room > 0 ? pair->words.many : NULL;
	if (!taken)
		memcpy(few, pair->words.few, sizeof pair->words.few);
	*count = pair->n_words;
	pair->n_words = pair->room = 0;
	return taken;
}

/* ---- the queue ---- */

static int comes_before(const struct aur_pairs *pairs, struct aur_pair_place a, struct aur_pair_place b)
{
	if (a.count != b.count)
		return a.count > b.count;
	return pairs->pairs[a.pair].key < pairs->pairs[b.pair].key;
}

static void sift_up(struct aur_pairs *pairs, size_t at)
{
	struct aur_pair_place *queue = pairs->queue;
	const struct aur_pair_place place = queue[at];
	for (size_t above; at > 0 && comes_before(pairs, place, queue[above = (at - 1) / 2]); at = above)
		queue[at] = queue[above];
	queue[at] = place;
}

static void sift_down(struct aur_pairs *pairs, size_t at)
{
	struct aur_pair_place *queue = pairs->queue;
	const struct aur_pair_place place = queue[at];
	for (size_t below; (below = 2 * at + 1) < pairs->n_queue; at = below) {
		if (below + 1 < pairs->n_queue && comes_before(pairs, queue[below + 1], queue[below]))
			below++;
		if (!comes_before(pairs, queue[below], place))
			break;
		queue[at] = queue[below];
	}
	queue[at] = place;
}

static aur_status queue_pair(struct aur_pairs *pairs, uint32_t index)
{
	void *array = pairs->queue;
	AUR_TRY(make_room(&array, pairs->n_queue, &pairs->queue_room, sizeof *pairs->queue));
	pairs->queue = array;
	pairs->queue[pairs->n_queue] = (struct aur_pair_place){pairs->pairs[index].count, index};
	sift_up(pairs, pairs->n_queue++);
	return AUR_OK;
}

aur_status aur_pairs_queue_fresh(struct aur_pairs *pairs)
{
	for (size_t i = 0; i < pairs->n_fresh; i++) {
		struct aur_pair *pair = &pairs->pairs[pairs->fresh[i]];
		if (pair->count <= 0) {
			drop_words(pair);
			continue;
		}
		/* No word is added any more but by the rarest of chances. */
		if (pair->room > pair->n_words)
			AUR_TRY(set_room(pair, pair->n_words));
		AUR_TRY(queue_pair(pairs, pairs->fresh[i]));
	}
	pairs->n_fresh = 0;
	return AUR_OK;
}

/* Counts fall while a pair waits; the first whose count is still true is the next. */
struct aur_pair *aur_pairs_pop(struct aur_pairs *pairs)
{
	while (pairs->n_queue > 0) {
		struct aur_pair_place *first = &pairs->queue[0];
		struct aur_pair *pair = &pairs->pairs[first->pair];
		const int is_true = first->count == pair->count;
		if (is_true || pair->count <= 0)
			*first = pairs->queue[--pairs->n_queue];
		else
			first->count = pair->count;
		if (pairs->n_queue > 0)
			sift_down(pairs, 0);
		if (is_true)
			return pair;
		if (pair->count <= 0)
			drop_words(pair);
	}
	return NULL;
}

void aur_pairs_clear(struct aur_pairs *pairs)
{
	for (size_t i = 0; i < pairs->n; i++)
		drop_words(&pairs->pairs[i]);
	free(pairs->pairs);
	free(pairs->slots);
	free(pairs->queue);
	free(pairs->fresh);
	*pairs = (struct aur_pairs){0};
}
