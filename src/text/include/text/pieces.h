#ifndef AUR_TEXT_PIECES_H
#define AUR_TEXT_PIECES_H

#include "core/status.h"
#include "text/tokenizer.h"

#include <stdint.h>

/* The tokens of texts that come in pieces, cut at places of aur_text_place: piece after piece they are those of
 * aur_tokenizer_encode over the whole text. For one thread; several may share the tokenizer. */

struct aur_pieces;

/* Borrows the tokenizer. AUR_MEMORY. */
aur_status aur_pieces_create(const struct aur_tokenizer *tokenizer, struct aur_pieces **pieces);
void aur_pieces_destroy(struct aur_pieces **pieces);

/* Begins a piece, which must be UTF-8 (aur_utf8_check) and is borrowed until its end. `continued`: 1 when it goes on
 * where a text was cut. */
void aur_pieces_begin(struct aur_pieces *pieces, struct aur_text piece, int continued);

/* Writes the next tokens of the piece, at most `room`, as uint16_t (token_bytes 2) or uint32_t (4). *count is less than
 * `room` only at the piece's end. AUR_MEMORY. */
aur_status aur_pieces_next(struct aur_pieces *pieces, int token_bytes, int64_t room, void *tokens, int64_t *count);

/* Pieces of text since the creation that were not in the vocabulary. */
int64_t aur_pieces_unknown(const struct aur_pieces *pieces);

#endif
