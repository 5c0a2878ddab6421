#ifndef AUR_TEXT_PRETOKENIZE_H
#define AUR_TEXT_PRETOKENIZE_H

#include "core/status.h"
#include "text/tokenizer.h"

/* Splitting a text into the pieces within which byte-level BPE merges: by GPT-2's pattern, GPT-4's, or another regular
 * expression. Pieces follow each other without gaps, so that they are the text again.
 *
 * White space is Unicode's White_Space; letters and numbers are PCRE2's \p{L} and \p{N}. What a pattern does not match
 * is a piece of its own. Bytes that are not UTF-8 end the text for the pattern: a run of them is joined to the piece in
 * front of it (it is one by itself where there is none), and behind it the text goes on. */

/* A compiled pattern; may be used by several threads at once. */
struct aur_pattern;

/* `pattern` is "gpt2", "gpt4" or a regular expression. AUR_INPUT when PCRE2 cannot compile it, AUR_MEMORY. */
aur_status aur_pattern_create(const char *pattern, struct aur_pattern **created);
void aur_pattern_destroy(struct aur_pattern **pattern);

/* "gpt2" or "gpt4" when the regular expression is one of the forms in which those patterns are written, else itself. */
const char *aur_pattern_name(const char *regex);

/* The regular expression of "gpt2" or "gpt4" as tokenizer.json has it; anything else is returned as it is. */
const char *aur_pattern_regex(const char *pattern);

/* 1 when what a piece is may depend on what stands before it. */
int aur_pattern_looks_back(const struct aur_pattern *pattern);

/* What one thread splits with: memory for matches. Borrows the pattern, which must live longer. */
struct aur_pretokenizer;
aur_status aur_pretokenizer_create(const struct aur_pattern *pattern, struct aur_pretokenizer **pretokenizer);
void aur_pretokenizer_destroy(struct aur_pretokenizer **pretokenizer);

/* The piece that begins at *at, borrowed from the text; moves *at behind it. At the end of the text, *at = text.size,
 * the piece has no bytes. Texts hold any bytes. Fails with AUR_INPUT when a regular expression needs more memory or
 * time than PCRE2 gives it ("gpt2" and "gpt4" never do), AUR_MEMORY. */
aur_status aur_pretokenizer_next(
	struct aur_pretokenizer *pretokenizer, struct aur_text text, size_t *at, struct aur_text *piece);

/* The end of the piece that begins at `at`, in a text that may go on: `at` itself where what follows may decide. By
 * PCRE2's hard partial matching, for regular expressions; AUR_INPUT and AUR_MEMORY as above. */
aur_status aur_pretokenizer_peek(struct aur_pretokenizer *pretokenizer, struct aur_text text, size_t at, size_t *stop);

#endif
