#ifndef AUR_TEXT_REPORT_H
#define AUR_TEXT_REPORT_H

#include "core/status.h"
#include "text/tokenizer.h"

#include <stddef.h>
#include <stdint.h>

/* The figures of a prepared text: what `aurelius prepare` prints. */

enum { AUR_REPORT_TOKENS = 10, AUR_REPORT_SHORT = 4 };

struct aur_token_count {
	int32_t id;
	int64_t count;
};

struct aur_text_report {
	int64_t bytes, characters, lines; /* of the texts as they were read; characters are code points */
	int64_t tokens;
	int64_t vocab_size;
	int n_most, n_least;                            /* filled entries below */
	struct aur_token_count most[AUR_REPORT_TOKENS]; /* falling counts, then rising ids */
	struct aur_token_count
		least[AUR_REPORT_TOKENS]; /* rising counts, then rising ids; an unused unknown token is left out */

	/* Word tokenizers only, else 0: distinct white-space separated words, before any is removed. */
	int64_t distinct_words;
	int64_t short_words;      /* of under AUR_REPORT_SHORT characters: they may mislead a model */
	int64_t digit_words;      /* that hold a digit: the original cleaning removes them */
	char short_examples[256]; /* the most frequent of them, readable, separated by spaces */
};

/* Fills the report on `texts`, whose tokens are ids[count]. AUR_INPUT (not UTF-8), AUR_MEMORY. */
aur_status aur_text_report_make(const struct aur_tokenizer *tokenizer, const struct aur_text *texts, int64_t n_texts,
	const int32_t *ids, int64_t count, struct aur_text_report *report);

/* A token or word for people, on one line, terminated: line end, tab and the like as \n, \t, \r, other characters that
 * do not show as U+FEFF, bytes that are not UTF-8 as \xNN. What does not fit in `room` bytes is left out, with "..." at
 * the end. Returns `shown`. */
char *aur_text_readable(const char *text, size_t bytes, char *shown, size_t room);

#endif
