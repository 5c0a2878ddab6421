#include "words.h"

#include "internal.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

int aur_words_next(const char **at, const char *end, struct aur_text *word)
{
	const char *next = *at;
	const char *begin = next;
	while (next < end && aur_unicode_is_space(aur_utf8_next(&next)))
		begin = next;
	if (begin == end)
		return 0;
	const char *stop = next;
	while (next < end && !aur_unicode_is_space(aur_utf8_next(&next)))
		stop = next;
	*word = (struct aur_text){begin, (size_t)(stop - begin)};
	*at = next;
	return 1;
}

int aur_words_next_spaced(const char **at, const char *end, struct aur_text *piece)
{
	const char *begin = *at;
	while (begin < end && *begin == ' ')
		begin++;
	if (begin == end)
		return 0;
	const char *stop = memchr(begin, ' ', (size_t)(end - begin));
	if (!stop)
		stop = end;
	*piece = (struct aur_text){begin, (size_t)(stop - begin)};
	*at = stop;
	return 1;
}

int aur_word_has_digit(struct aur_text word)
{
	const char *at = word.bytes, *end = at + word.size;
	while (at < end)
		if (aur_unicode_is_digit(aur_utf8_next(&at)))
			return 1;
	return 0;
}

static int compare_texts(struct aur_text a, struct aur_text b)
{
	const int order = memcmp(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);
	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* ---- sets of words ---- */

enum { FIRST_ROOM = 1024, WORDS_MAX = INT32_MAX };

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 29;
}

/* Eight bytes at a time; the last ones one by one, since a copy of unknown length costs more than they do. */
static uint64_t hash_of(struct aur_text word)
{
	uint64_t hash = word.size, value;
	size_t at = 0;
	for (; word.size - at >= sizeof value; at += sizeof value) {
		memcpy(&value, word.bytes + at, sizeof value);
		hash = mix(hash, value);
	}
	value = 0;
	for (; at < word.size; at++)
		value = value << 8 | (unsigned char)word.bytes[at];
	return mix(mix(hash, value), 0);
}

/* The slot that holds the word, or the free one where it belongs. */
static size_t slot_of(const struct aur_words *words, struct aur_text text, uint64_t hash)
{
	const size_t mask = words->n_slots - 1;
	size_t slot = hash & mask;
	for (; words->slots[slot] != 0; slot = (slot + 1) & mask) {
		const struct aur_word *word = &words->words[words->slots[slot] - 1];
		if (word->hash == hash && word->text.size == text.size && memcmp(word->text.bytes, text.bytes, text.size) == 0)
			break;
	}
	return slot;
}

int64_t aur_words_find(const struct aur_words *words, struct aur_text word)
{
	return words->n > 0 ? (int64_t)words->slots[slot_of(words, word, hash_of(word))] - 1 : -1;
}

/* At most half of the slots are taken. */
static aur_status grow(struct aur_words *words)
{
	const int64_t room = words->room > 0 ? 2 * words->room : FIRST_ROOM;
	struct aur_word *grown = room <= WORDS_MAX ? realloc(words->words, (size_t)room * sizeof *grown) : NULL;
	if (grown)
		words->words = grown;
	uint32_t *slots = grown ? calloc(2 * (size_t)room, sizeof *slots) : NULL;
	if (!slots)
		return aur_fail(AUR_MEMORY, "no memory for %lld words", (long long)room);
	free(words->slots);
	words->slots = slots;
	words->n_slots = 2 * (size_t)room;
	words->room = room;
	for (int64_t i = 0; i < words->n; i++)
		slots[slot_of(words, grown[i].text, grown[i].hash)] = (uint32_t)(i + 1);
	return AUR_OK;
}

static aur_status add_hashed(struct aur_words *words, struct aur_text text, uint64_t hash)
{
	if (words->n == words->room)
		AUR_TRY(grow(words));
	words->words[words->n++] = (struct aur_word){text, hash, 0};
	words->slots[slot_of(words, text, hash)] = (uint32_t)words->n;
	return AUR_OK;
}

aur_status aur_words_add(struct aur_words *words, struct aur_text word)
{
	return add_hashed(words, word, hash_of(word));
}

/* ---- counting ---- */

enum { BLOCK_BYTES = 64 << 10 };

struct aur_word_block {
	struct aur_word_block *next;
	size_t used, room;
	char bytes[];
};

static aur_status copy_word(struct aur_words *words, struct aur_text *word)
{
	struct aur_word_block *block = words->blocks;
	if (!block || block->room - block->used < word->size) {
		const size_t room = word->size > BLOCK_BYTES ? word->size : BLOCK_BYTES;
		block = malloc(sizeof *block + room);
		if (!block)
			return aur_fail(AUR_MEMORY, "no memory for the words of the text");
		*block = (struct aur_word_block){.next = words->blocks, .room = room};
		words->blocks = block;
	}
	word->bytes = memcpy(block->bytes + block->used, word->bytes, word->size);
	block->used += word->size;
	return AUR_OK;
}

static aur_status count_word(struct aur_words *words, struct aur_text word, uint64_t hash, int64_t times)
{
	int64_t index = words->n > 0 ? (int64_t)words->slots[slot_of(words, word, hash)] - 1 : -1;
	if (index < 0) {
		index = words->n;
		AUR_TRY(copy_word(words, &word));
		AUR_TRY(add_hashed(words, word, hash));
	}
	words->words[index].count += times;
	return AUR_OK;
}

aur_status aur_words_tally(struct aur_words *words, struct aur_text word, int64_t times)
{
	return count_word(words, word, hash_of(word), times);
}

aur_status aur_words_count(struct aur_words *words, struct aur_text slice)
{
	const char *at = slice.bytes, *end = at + slice.size;
	struct aur_text word;
	while (aur_words_next(&at, end, &word))
		AUR_TRY(aur_words_tally(words, word, 1));
	return AUR_OK;
}

aur_status aur_words_merge(struct aur_words *words, const struct aur_words *other)
{
	for (int64_t i = 0; i < other->n; i++)
		AUR_TRY(count_word(words, other->words[i].text, other->words[i].hash, other->words[i].count));
	return AUR_OK;
}

/* ---- between processes ---- */

enum { PACKED_BYTES = 1 << 20 };

/* In front of a word's bytes. */
struct packed_head {
	int64_t count;
	uint64_t bytes;
};

aur_status aur_packed_reserve(struct aur_packed *packed, size_t bytes)
{
	if (bytes <= packed->room)
		return AUR_OK;
	char *grown = realloc(packed->bytes, bytes);
	if (!grown)
		return aur_fail(AUR_MEMORY, "no memory for %zu bytes of a vocabulary in the making", bytes);
	packed->bytes = grown;
	packed->room = bytes;
	return AUR_OK;
}

aur_status aur_words_pack(const struct aur_words *words, int64_t *at, struct aur_packed *packed)
{
	packed->size = 0;
	for (; *at < words->n; ++*at) {
		const struct aur_word *word = &words->words[*at];
		const struct packed_head head = {word->count, word->text.size};
		const size_t size = packed->size + sizeof head + word->text.size;
		if (packed->size > 0 && size > PACKED_BYTES)
			break;
		AUR_TRY(aur_packed_reserve(packed, size > PACKED_BYTES ? size : PACKED_BYTES));
		memcpy(packed->bytes + packed->size, &head, sizeof head);
		memcpy(packed->bytes + packed->size + sizeof head, word->text.bytes, word->text.size);
		packed->size = size;
	}
	return AUR_OK;
}

aur_status aur_words_unpack(struct aur_words *words, struct aur_text packed)
{
	struct packed_head head;
	while (packed.size > 0) {
		if (packed.size >= sizeof head)
			memcpy(&head, packed.bytes, sizeof head);
		if (packed.size < sizeof head || head.bytes > packed.size - sizeof head)
			return aur_fail(AUR_INTERNAL, "the words of another rank are cut short");
		AUR_TRY(aur_words_tally(words, (struct aur_text){packed.bytes + sizeof head, head.bytes}, head.count));
		packed.bytes += sizeof head + head.bytes;
		packed.size -= sizeof head + head.bytes;
	}
	return AUR_OK;
}

static int compare_words(const void *left, const void *right)
{
	return compare_texts(((const struct aur_word *)left)->text, ((const struct aur_word *)right)->text);
}

void aur_words_sort(struct aur_words *words)
{
	if (words->n > 0)
		qsort(words->words, (size_t)words->n, sizeof *words->words, compare_words);
}

void aur_words_clear(struct aur_words *words)
{
	for (struct aur_word_block *block = words->blocks, *next; block; block = next) {
		next = block->next;
		free(block);
	}
	free(words->words);
	free(words->slots);
	*words = (struct aur_words){0};
}
