#include "bpe_merge.h"

#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_ROOM = 256 };

#define NOWHERE UINT32_MAX

/* ---- the table ---- */

static size_t place_of(uint64_t pair, size_t mask)
{
	const uint64_t mixed = pair * 0x9e3779b97f4a7c15u;
	return (mixed ^ mixed >> 32) & mask;
}

/* The slot of the pair, or the free one where it belongs. */
static struct aur_merge_slot *find(const struct aur_merges *merges, uint32_t left, uint32_t right)
{
	const uint64_t pair = (uint64_t)left << 32 | right;
	size_t place = place_of(pair, merges->mask);
	while (merges->slots[place].rank != AUR_NO_RANK && merges->slots[place].pair != pair)
		place = (place + 1) & merges->mask;
	return &merges->slots[place];
}

static aur_status allocate(struct aur_merges *merges, int64_t n)
{
	size_t size = 2;
	while (size < 2 * (size_t)n)
		size *= 2;
	merges->slots = malloc(size * sizeof *merges->slots);
	if (!merges->slots)
		return aur_fail(AUR_MEMORY, "no memory for %lld merges", (long long)n);
	for (size_t i = 0; i < size; i++)
		merges->slots[i] = (struct aur_merge_slot){.rank = AUR_NO_RANK};
	merges->mask = size - 1;
	return AUR_OK;
}

static aur_status index_those(
	const struct aur_vocab *vocab, const unsigned char *added, int which, struct aur_merges *merges)
{
	for (int64_t id = 0; id < vocab->size; id++) {
		const struct aur_text token = aur_vocab_token(vocab, id);
		if (added[id] != which || token.size == 0 || aur_words_find(&merges->tokens, token) >= 0)
			continue;
		merges->ids[merges->tokens.n] = id;
		AUR_TRY(aur_words_add(&merges->tokens, token));
	}
	return AUR_OK;
}

/* Tokens by their bytes, gaps in the numbers left out. Of equal ones the first that was not added counts. */
static aur_status index_tokens(const struct aur_vocab *vocab, struct aur_merges *merges)
{
	unsigned char *added = calloc((size_t)vocab->size, 1);
	if (!added)
		return aur_fail(AUR_MEMORY, "no memory for %lld tokens", (long long)vocab->size);
	for (int64_t i = 0; i < vocab->n_added; i++)
		added[vocab->added[2 * i]] = 1;
	aur_status status = index_those(vocab, added, 0, merges);
	if (status == AUR_OK)
		status = index_those(vocab, added, 1, merges);
	free(added);
	return status;
}

int64_t aur_merges_token(const struct aur_merges *merges, struct aur_text bytes)
{
	const int64_t found = aur_words_find(&merges->tokens, bytes);
	return found >= 0 ? merges->ids[found] : -1;
}

/* `joined` has room for the longest two tokens. */
static aur_status add_merge(const struct aur_vocab *vocab, int64_t rank, char *joined, struct aur_merges *merges)
{
	const int64_t *pair = vocab->merges + 2 * rank;
	const struct aur_text left = aur_vocab_token(vocab, pair[0]), right = aur_vocab_token(vocab, pair[1]);
	memcpy(joined, left.bytes, left.size);
	memcpy(joined + left.size, right.bytes, right.size);
	const int64_t token = aur_merges_token(merges, (struct aur_text){joined, left.size + right.size});
	if (token < 0 || left.size == 0 || right.size == 0)
		return aur_fail(AUR_INPUT, "vocabulary: merge %lld of tokens %lld and %lld makes no token", (long long)rank,
			(long long)pair[0], (long long)pair[1]);
	for (size_t i = 1; i < left.size + right.size; i++)
		merges->beside[(unsigned char)joined[i - 1]][(unsigned char)joined[i] / 8] |=
			(unsigned char)(1 << (unsigned char)joined[i] % 8);
	struct aur_merge_slot *slot = find(merges, (uint32_t)pair[0], (uint32_t)pair[1]);
	if (slot->rank == AUR_NO_RANK)
		*slot = (struct aur_merge_slot){(uint64_t)pair[0] << 32 | (uint64_t)pair[1], (uint32_t)rank, (uint32_t)token};
	return AUR_OK;
}

static size_t longest_token(const struct aur_vocab *vocab)
{
	size_t longest = 0;
	for (int64_t id = 0; id < vocab->size; id++) {
		const size_t size = aur_vocab_token(vocab, id).size;
		longest = size > longest ? size : longest;
	}
	return longest;
}

aur_status aur_merges_make(const struct aur_vocab *vocab, struct aur_merges *merges)
{
	char *joined = malloc(2 * longest_token(vocab) + 1);
	merges->ids = malloc((size_t)vocab->size * sizeof *merges->ids);
	aur_status status = joined && merges->ids ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the tokens");
	AUR_TRY_CLEANUP(status);
	AUR_TRY_CLEANUP(allocate(merges, vocab->n_merges));
	AUR_TRY_CLEANUP(index_tokens(vocab, merges));
	for (int byte = 0; byte < 256; byte++) {
		const char one = (char)byte;
		merges->bytes[byte] = (int32_t)aur_merges_token(merges, (struct aur_text){&one, 1});
	}
	for (int64_t rank = 0; rank < vocab->n_merges; rank++)
		AUR_TRY_CLEANUP(add_merge(vocab, rank, joined, merges));
cleanup:
	free(joined);
	return status;
}

void aur_merges_clear(struct aur_merges *merges)
{
	aur_words_clear(&merges->tokens);
	free(merges->ids);
	free(merges->slots);
	*merges = (struct aur_merges){0};
}

/* ---- pieces of any length ---- */

void aur_merge_room_clear(struct aur_merge_room *room)
{
	free(room->ids);
	free(room->next);
	free(room->previous);
	free(room->heap);
	*room = (struct aur_merge_room){0};
}

/* A piece of n tokens has n - 1 pairs. */
static aur_status reserve(struct aur_merge_room *room, size_t n)
{
	if (room->room > 0 && n <= room->room)
		return AUR_OK;
	aur_merge_room_clear(room);
	const size_t size = n < LEAST_ROOM ? LEAST_ROOM : n;
	room->ids = malloc(size * sizeof *room->ids);
	room->next = malloc(size * sizeof *room->next);
	room->previous = malloc(size * sizeof *room->previous);
	room->heap = malloc(size * sizeof *room->heap);
	if (n >= NOWHERE || !room->ids || !room->next || !room->previous || !room->heap)
		return aur_fail(AUR_MEMORY, "no memory for a piece of text of %zu bytes", n);
	room->room = room->heap_room = size;
	return AUR_OK;
}

/* Every merge makes at most two pairs. What they replaced is still on the heap, so that it may hold more than there are
 * bytes, but it seldom does. */
static aur_status reserve_pairs(struct aur_merge_room *room, size_t n_heap)
{
	if (n_heap + 2 <= room->heap_room)
		return AUR_OK;
	const size_t size = room->heap_room + room->heap_room / 2;
	uint64_t *grown = realloc(room->heap, size * sizeof *grown);
	if (!grown)
		return aur_fail(AUR_MEMORY, "no memory for a piece of text of %zu bytes", room->room);
	room->heap = grown;
	room->heap_room = size;
	return AUR_OK;
}

static void push(uint64_t *heap, size_t *n, uint64_t value)
{
	size_t at = (*n)++;
	for (; at > 0 && heap[(at - 1) / 2] > value; at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = value;
}

static uint64_t pop(uint64_t *heap, size_t *n)
{
	const uint64_t least = heap[0], value = heap[--*n];
	size_t at = 0, child;
	while ((child = 2 * at + 1) < *n) {
		child += child + 1 < *n && heap[child + 1] < heap[child];
		if (heap[child] >= value)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = value;
	return least;
}

/* The merge of the token at `at` with its next one; NULL when there is none, or no longer a token at `at`. */
static const struct aur_merge_slot *merge_of(
	const struct aur_merges *merges, const struct aur_merge_room *room, uint32_t at)
{
	const uint32_t next = room->next[at];
	if (next == NOWHERE || room->ids[at] == NOWHERE)
		return NULL;
	const struct aur_merge_slot *slot = find(merges, room->ids[at], room->ids[next]);
	return slot->rank != AUR_NO_RANK ? slot : NULL;
}

static void look(const struct aur_merges *merges, struct aur_merge_room *room, uint32_t at, size_t *n_heap)
{
	const struct aur_merge_slot *slot = merge_of(merges, room, at);
	if (slot)
		push(room->heap, n_heap, (uint64_t)slot->rank << 32 | at);
}

static uint32_t put_bytes(
	const struct aur_merges *merges, const char *piece, size_t bytes, struct aur_merge_room *room, int64_t *absent)
{
	uint32_t n = 0;
	for (size_t i = 0; i < bytes; i++) {
		const int32_t id = merges->bytes[(unsigned char)piece[i]];
		*absent += id < 0;
		if (id < 0)
			continue;
		room->ids[n] = (uint32_t)id;
		room->previous[n] = n > 0 ? n - 1 : NOWHERE;
		room->next[n] = n + 1;
		n++;
	}
	if (n > 0)
		room->next[n - 1] = NOWHERE;
	return n;
}

static void merge_at(
	const struct aur_merges *merges, struct aur_merge_room *room, uint32_t at, uint32_t token, size_t *n_heap)
{
	const uint32_t gone = room->next[at], next = room->next[gone];
	room->ids[at] = token;
	room->ids[gone] = NOWHERE;
	room->next[at] = next;
	if (next != NOWHERE)
		room->previous[next] = at;
	look(merges, room, at, n_heap);
	if (room->previous[at] != NOWHERE)
		look(merges, room, room->previous[at], n_heap);
}

static aur_status merge_all(const struct aur_merges *merges, struct aur_merge_room *room, uint32_t n)
{
	size_t n_heap = 0;
	for (uint32_t at = 0; at < n; at++)
		look(merges, room, at, &n_heap);
	while (n_heap > 0) {
		const uint64_t least = pop(room->heap, &n_heap);
		const uint32_t at = (uint32_t)least;
		const struct aur_merge_slot *slot = merge_of(merges, room, at);
		/* A pair that has changed since is on the heap once more, with its new rank. */
		if (!slot || slot->rank != (uint32_t)(least >> 32))
			continue;
		AUR_TRY(reserve_pairs(room, n_heap));
		merge_at(merges, room, at, slot->token, &n_heap);
	}
	return AUR_OK;
}

/* ---- parts of long pieces ---- */

enum { PART_BYTES = 32 << 10 };

/* No merge reaches over two bytes that no token has beside each other, and so what is on the two sides does not touch.
 * Bytes without a token are left out, and what is around them comes together. */
static int is_apart(const struct aur_merges *merges, unsigned char left, unsigned char right)
{
	return merges->bytes[left] >= 0 && merges->bytes[right] >= 0 && !(merges->beside[left][right / 8] >> right % 8 & 1);
}

size_t aur_merges_part(const struct aur_merges *merges, const char *piece, size_t bytes)
{
	size_t part = PART_BYTES;
	while (part < bytes && !is_apart(merges, (unsigned char)piece[part - 1], (unsigned char)piece[part]))
		part++;
	return part < bytes ? part : bytes;
}

/* ---- short pieces ---- */

/* Most pieces are short, and looking through all pairs is then faster than a heap. */
enum { SHORT = 24 };

struct pairs {
	uint32_t ids[SHORT], ranks[SHORT], tokens[SHORT]; /* the pair at i is that of ids i and i + 1 */
	uint32_t n;                                       /* ids */
};

static void look_short(const struct aur_merges *merges, struct pairs *pairs, uint32_t at)
{
	const struct aur_merge_slot *slot = find(merges, pairs->ids[at], pairs->ids[at + 1]);
	pairs->ranks[at] = slot->rank;
	pairs->tokens[at] = slot->token;
}

/* The first pair of the lowest rank; where none has one, n. */
static uint32_t lowest(const struct pairs *pairs)
{
	uint32_t rank = AUR_NO_RANK, at = pairs->n;
	for (uint32_t i = 0; i + 1 < pairs->n; i++)
		if (pairs->ranks[i] < rank) {
			rank = pairs->ranks[i];
			at = i;
		}
	return at;
}

static void merge_short_at(const struct aur_merges *merges, struct pairs *pairs, uint32_t at)
{
	pairs->ids[at] = pairs->tokens[at];
	for (uint32_t i = at + 1; i + 1 < pairs->n; i++) {
		pairs->ids[i] = pairs->ids[i + 1];
		pairs->ranks[i] = pairs->ranks[i + 1];
		pairs->tokens[i] = pairs->tokens[i + 1];
	}
	pairs->n--;
	if (at + 1 < pairs->n)
		look_short(merges, pairs, at);
	if (at > 0)
		look_short(merges, pairs, at - 1);
}

static size_t merge_short(
	const struct aur_merges *merges, const char *piece, size_t bytes, uint32_t *ids, int64_t *absent)
{
	struct pairs pairs = {.n = 0};
	for (size_t i = 0; i < bytes; i++) {
		const int32_t id = merges->bytes[(unsigned char)piece[i]];
		if (id >= 0)
			pairs.ids[pairs.n++] = (uint32_t)id;
	}
	*absent += (int64_t)(bytes - pairs.n);
	for (uint32_t at = 0; at + 1 < pairs.n; at++)
		look_short(merges, &pairs, at);
	for (uint32_t at = lowest(&pairs); at < pairs.n; at = lowest(&pairs))
		merge_short_at(merges, &pairs, at);
	memcpy(ids, pairs.ids, pairs.n * sizeof *ids);
	return pairs.n;
}

aur_status aur_merge_piece(const struct aur_merges *merges, const char *piece, size_t bytes,
	struct aur_merge_room *room, size_t *count, int64_t *absent)
{
	AUR_TRY(reserve(room, bytes));
	if (bytes <= SHORT) {
		*count = merge_short(merges, piece, bytes, room->ids, absent);
		return AUR_OK;
	}
	const uint32_t n = put_bytes(merges, piece, bytes, room, absent);
	AUR_TRY(merge_all(merges, room, n));
	*count = 0;
	for (uint32_t at = n > 0 ? 0 : NOWHERE; at != NOWHERE; at = room->next[at])
		room->ids[(*count)++] = room->ids[at];
	return AUR_OK;
}
