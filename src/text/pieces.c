#include "text/pieces.h"

#include "internal.h"
#include "slices.h"

#include <stdlib.h>

struct aur_pieces {
	const struct aur_tokenizer *tokenizer;
	struct aur_slices slices;
	const char *at, *end; /* what is left of the slice */
	int64_t unknown;
};

aur_status aur_pieces_create(const struct aur_tokenizer *tokenizer, struct aur_pieces **pieces)
{
	*pieces = calloc(1, sizeof **pieces);
	if (!*pieces)
		return aur_fail(AUR_MEMORY, "no memory to encode a text");
	(*pieces)->tokenizer = tokenizer;
	return AUR_OK;
}

void aur_pieces_destroy(struct aur_pieces **pieces)
{
	if (!pieces || !*pieces)
		return;
	aur_slices_clear(&(*pieces)->slices);
	free(*pieces);
	*pieces = NULL;
}

void aur_pieces_begin(struct aur_pieces *pieces, struct aur_text piece, int continued)
{
	aur_slices_begin(&pieces->slices, &pieces->tokenizer->vocab, piece);
	if (continued)
		aur_slices_continue(&pieces->slices);
	pieces->at = pieces->end = NULL;
}

aur_status aur_pieces_next(struct aur_pieces *pieces, int token_bytes, int64_t room, void *tokens, int64_t *count)
{
	const struct aur_tokenizer *tokenizer = pieces->tokenizer;
	struct aur_output output = {.tokens = tokens, .token_bytes = token_bytes, .room = room};
	while (output.count < room) {
		if (pieces->at == pieces->end) {
			struct aur_text slice;
			AUR_TRY(aur_slices_next(&pieces->slices, &slice));
			if (slice.size == 0)
				break;
			pieces->at = slice.bytes;
			pieces->end = slice.bytes + slice.size;
		}
		tokenizer->ops->encode(&tokenizer->vocab, tokenizer->lookup, &pieces->at, pieces->end, &output);
	}
	pieces->unknown += output.unknown;
	*count = output.count;
	return AUR_OK;
}

int64_t aur_pieces_unknown(const struct aur_pieces *pieces)
{
	return pieces->unknown;
}
