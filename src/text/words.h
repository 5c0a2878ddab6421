#ifndef AUR_TEXT_WORDS_H
#define AUR_TEXT_WORDS_H

#include "text/tokenizer.h"

/* Words of a text, and how often each occurs. */

/* The next piece between white space (Unicode's). 0 at the end of the text. */
int aur_words_next(const char **at, const char *end, struct aur_text *word);

/* The next piece between single spaces, empty ones left out; it may hold other white space. 0 at the end. */
int aur_words_next_spaced(const char **at, const char *end, struct aur_text *piece);

/* 1 when one of its characters is a digit (aur_unicode_is_digit). */
int aur_word_has_digit(struct aur_text word);

struct aur_word {
	struct aur_text text;
	int64_t count;
};

/* Distinct words, sorted by bytes, which is by code point in UTF-8. */
struct aur_word_counts {
	struct aur_word *words; /* owned; their texts are borrowed from the texts that were counted */
	int64_t n;
};

/* Counts the white-space separated words of the texts, which must live as long as the result. AUR_MEMORY. */
aur_status aur_words_count(const struct aur_text *texts, int64_t n, struct aur_word_counts *counts);
void aur_words_clear(struct aur_word_counts *counts);

#endif
