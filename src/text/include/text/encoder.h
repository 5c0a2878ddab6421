#ifndef AUR_TEXT_ENCODER_H
#define AUR_TEXT_ENCODER_H

#include "core/status.h"
#include "text/tokenizer.h"

#include <stdint.h>

/* The tokens of long texts, a run at a time, in the numbers that are stored. They are those of aur_tokenizer_encode
 * over each text; memory does not grow with the texts, but for byte-level BPE that splits by a regular expression other
 * than GPT-2's and GPT-4's: there it does with the longest text. */

/* A text is looked at in slices of about so many bytes, which fit a processor's cache. */
enum { AUR_SLICE_BYTES = 256 << 10 };

struct aur_encoder;

/* Begins at the first text. Borrows all. Fails with AUR_INPUT and the byte's position when a text is not UTF-8
 * (byte-level BPE takes any bytes, unless it lower-cases), AUR_MEMORY. */
aur_status aur_encoder_create(
	const struct aur_tokenizer *tokenizer, const struct aur_text *texts, int64_t n_texts, struct aur_encoder **encoder);
void aur_encoder_destroy(struct aur_encoder **encoder);

/* How many tokens text `index` has. May be asked at any time. AUR_MEMORY. */
aur_status aur_encoder_count(struct aur_encoder *encoder, int64_t index, int64_t *tokens);

/* Writes the next tokens, at most `room`, as uint16_t (token_bytes 2, vocabularies of at most 65,536) or uint32_t (4).
 * *count is less than `room` only at the end of the texts. AUR_MEMORY. */
aur_status aur_encoder_next(struct aur_encoder *encoder, int token_bytes, int64_t room, void *tokens, int64_t *count);

/* Passes what gives no token behind the last one, so that it is counted as unknown. AUR_INTERNAL when a token is left,
 * AUR_MEMORY. */
aur_status aur_encoder_finish(struct aur_encoder *encoder);

/* Of what has been passed: pieces that were not in the vocabulary, the first of them, and how often each token occurs
 * ([vocabulary], the caller's). */
int64_t aur_encoder_unknown(const struct aur_encoder *encoder);
const char *aur_encoder_first_unknown(const struct aur_encoder *encoder);
void aur_encoder_tally(const struct aur_encoder *encoder, int64_t *counts);

#endif
