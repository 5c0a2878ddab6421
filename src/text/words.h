#ifndef AUR_TEXT_WORDS_H
#define AUR_TEXT_WORDS_H

#include "text/tokenizer.h"

/* Words of a text, and sets of words. */

/* The next piece between white space (Unicode's). 0 at the end of the text. */
int aur_words_next(const char **at, const char *end, struct aur_text *word);

/* The next piece between single spaces, empty ones left out; it may hold other white space. 0 at the end. */
int aur_words_next_spaced(const char **at, const char *end, struct aur_text *piece);

/* 1 when one of its characters is a digit (aur_unicode_is_digit). */
int aur_word_has_digit(struct aur_text word);

struct aur_word {
	struct aur_text text;
	uint64_t hash;
	int64_t count;
};

/* Distinct words in the order in which they came, found by an open hash table. Zeroed, it is empty. */
struct aur_words {
	struct aur_word *words; /* owned [n], room for more */
	int64_t n, room;
	uint32_t *slots; /* owned [n_slots], a power of two: the word's index + 1; 0: free */
	size_t n_slots;
	struct aur_word_block *blocks; /* owned: bytes of words that were copied */
};

/* The word's index, or -1. */
int64_t aur_words_find(const struct aur_words *words, struct aur_text word);

/* Adds a word that is not there; its text is borrowed. AUR_MEMORY. */
aur_status aur_words_add(struct aur_words *words, struct aur_text word);

/* Adds `times` to a word's count; a new one is copied. AUR_MEMORY. */
aur_status aur_words_tally(struct aur_words *words, struct aur_text word, int64_t times);

/* Counts the white-space separated words of a slice of text; new ones are copied. AUR_MEMORY. */
aur_status aur_words_count(struct aur_words *words, struct aur_text slice);

/* Adds the other's words and counts; new words are copied. AUR_MEMORY. */
aur_status aur_words_merge(struct aur_words *words, const struct aur_words *other);

/* Packs words from index *at on with their counts, about a MiB but at least one, and moves *at; nothing at the end.
 * AUR_MEMORY. */
struct aur_packed;
aur_status aur_words_pack(const struct aur_words *words, int64_t *at, struct aur_packed *packed);

/* Adds packed words and counts, as aur_words_merge. AUR_MEMORY; AUR_INTERNAL when these are no packed words. */
aur_status aur_words_unpack(struct aur_words *words, struct aur_text packed);

/* Sorts by bytes, which is by code point in UTF-8. The words are no longer found. */
void aur_words_sort(struct aur_words *words);

/* What there is to say of words that are counted and sorted. */
void aur_word_figures_make(const struct aur_words *counts, struct aur_word_figures *figures);

void aur_words_clear(struct aur_words *words);

#endif
