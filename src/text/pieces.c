#include "text/pieces.h"

#include "internal.h"
#include "slices.h"

#include <stdlib.h>

struct aur_pieces {
	const struct aur_tokenizer *tokenizer;
	struct aur_slices slices;
	const char *at, *end; /* what is left of the slice, of kinds that encode in parts */
	int64_t unknown;

	void *worker; /* of the others: the kind's, and the slice's tokens */
	struct aur_token_list list;
	int64_t given; /* of the list's */
};

aur_status aur_pieces_create(const struct aur_tokenizer *tokenizer, struct aur_pieces **pieces)
{
	*pieces = calloc(1, sizeof **pieces);
	if (!*pieces)
		return aur_fail(AUR_MEMORY, "no memory to encode a text");
	(*pieces)->tokenizer = tokenizer;
	aur_status status = AUR_OK;
	if (tokenizer->ops->encode_slice)
		status = tokenizer->ops->begin(&tokenizer->vocab, tokenizer->lookup, &(*pieces)->worker);
	if (status != AUR_OK)
		aur_pieces_destroy(pieces);
	return status;
}

void aur_pieces_destroy(struct aur_pieces **pieces)
{
	if (!pieces || !*pieces)
		return;
	aur_slices_clear(&(*pieces)->slices);
	if ((*pieces)->worker)
		(*pieces)->tokenizer->ops->end((*pieces)->worker);
	free((*pieces)->list.ids);
	free(*pieces);
	*pieces = NULL;
}

void aur_pieces_begin(struct aur_pieces *pieces, struct aur_text piece, int continued)
{
	aur_slices_begin(&pieces->slices, &pieces->tokenizer->vocab, piece);
	if (continued)
		aur_slices_continue(&pieces->slices);
	pieces->at = pieces->end = NULL;
	pieces->list.count = pieces->given = 0;
}

static int is_used_up(const struct aur_pieces *pieces)
{
	return pieces->worker ? pieces->given == pieces->list.count : pieces->at == pieces->end;
}

static aur_status take_slice(struct aur_pieces *pieces, struct aur_text slice)
{
	pieces->at = slice.bytes;
	pieces->end = slice.bytes + slice.size;
	if (!pieces->worker)
		return AUR_OK;
	pieces->given = 0;
	AUR_TRY(pieces->tokenizer->ops->encode_slice(pieces->worker, slice, &pieces->list));
	pieces->unknown += pieces->list.unknown;
	return AUR_OK;
}

static void give(struct aur_pieces *pieces, struct aur_output *output)
{
	const struct aur_tokenizer *tokenizer = pieces->tokenizer;
	if (!pieces->worker)
		tokenizer->ops->encode(&tokenizer->vocab, tokenizer->lookup, &pieces->at, pieces->end, output);
	pieces->given += aur_output_put_list(output, &pieces->list, pieces->given);
}

aur_status aur_pieces_next(struct aur_pieces *pieces, int token_bytes, int64_t room, void *tokens, int64_t *count)
{
	struct aur_output output = {.tokens = tokens, .token_bytes = token_bytes, .room = room};
	while (output.count < room) {
		if (is_used_up(pieces)) {
			struct aur_text slice;
			AUR_TRY(aur_slices_next(&pieces->slices, &slice));
			if (slice.size == 0)
				break;
			AUR_TRY(take_slice(pieces, slice));
		}
		give(pieces, &output);
	}
	pieces->unknown += output.unknown;
	*count = output.count;
	return AUR_OK;
}

int64_t aur_pieces_unknown(const struct aur_pieces *pieces)
{
	return pieces->unknown;
}
