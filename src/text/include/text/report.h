#ifndef AUR_TEXT_REPORT_H
#define AUR_TEXT_REPORT_H

#include "core/status.h"
#include "text/tokenizer.h"

#include <stddef.h>
#include <stdint.h>

/* The figures of a prepared text: what `aurelius prepare` prints. */

enum { AUR_REPORT_TOKENS = 10 };

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
		least[AUR_REPORT_TOKENS];  /* rising counts, then rising ids; an unused unknown token is left out */
	struct aur_word_figures words; /* of the texts the tokenizer was trained on */
};

/* Fills the report on `texts`, in which token i of the vocabulary occurs tokens[i] times. AUR_MEMORY. */
aur_status aur_text_report_make(const struct aur_tokenizer *tokenizer, const struct aur_text *texts, int64_t n_texts,
	const int64_t *tokens, struct aur_text_report *report);

/* The same from what has been counted of the texts. AUR_MEMORY. */
aur_status aur_text_report_fill(const struct aur_tokenizer *tokenizer, int64_t bytes, int64_t characters, int64_t lines,
	const int64_t *tokens, struct aur_text_report *report);

struct aur_text_size {
	int64_t characters, line_ends;
};

/* Counts code points and line ends of a text, which must be UTF-8. */
struct aur_text_size aur_text_measure(struct aur_text text);

/* A token or word for people, on one line, terminated: line end, tab and the like as \n, \t, \r, other characters that
 * do not show as U+FEFF, bytes that are not UTF-8 as \xNN. What does not fit in `room` bytes is left out, with "..." at
 * the end. Returns `shown`. */
char *aur_text_readable(const char *text, size_t bytes, char *shown, size_t room);

#endif
