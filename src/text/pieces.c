#include "text/pieces.h"

#include "internal.h"
#include "slices.h"

#include <stdlib.h>

struct aur_pieces {
	const struct aur_tokenizer *tokenizer;
	struct aur_slices slices;
	const char *at, *end; /* what is left of the slice */
	int64_t unknown;
	/* of kinds that encode whole slices */
	void *worker;
	struct aur_token_list list; /* of the slice */
	int64_t given;              /* how many of them */
};

aur_status aur_pieces_create(const struct aur_tokenizer *tokenizer, struct aur_pieces **pieces)
{
	*pieces = calloc(1, sizeof **pieces);
	if (!*pieces)
		return aur_fail(AUR_MEMORY, "no memory to encode a text");
	(*pieces)->tokenizer = tokenizer;
	if (!tokenizer->ops->begin)
		return AUR_OK;
	const aur_status status = tokenizer->ops->begin(&tokenizer->vocab, tokenizer->lookup, &(*pieces)->worker);
	if (status != AUR_OK)
		aur_pieces_destroy(pieces);
	return status;
}

void aur_pieces_destroy(struct aur_pieces **pieces)
{
	if (!pieces || !*pieces)
		return;
	if ((*pieces)->worker)
		(*pieces)->tokenizer->ops->end((*pieces)->worker);
	aur_slices_clear(&(*pieces)->slices);
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

/* By slices that are encoded as there is room for. */
static aur_status encode_parts(struct aur_pieces *pieces, struct aur_output *output)
{
	const struct aur_tokenizer *tokenizer = pieces->tokenizer;
	while (output->count < output->room) {
		if (pieces->at == pieces->end) {
			struct aur_text slice;
			AUR_TRY(aur_slices_next(&pieces->slices, &slice));
			if (slice.size == 0)
				break;
			pieces->at = slice.bytes;
			pieces->end = slice.bytes + slice.size;
		}
		tokenizer->ops->encode(&tokenizer->vocab, tokenizer->lookup, &pieces->at, pieces->end, output);
	}
	pieces->unknown += output->unknown;
	return AUR_OK;
}

static aur_status next_list(struct aur_pieces *pieces)
{
	struct aur_text slice;
	pieces->list.count = pieces->list.unknown = pieces->given = 0;
	AUR_TRY(aur_slices_next(&pieces->slices, &slice));
	if (slice.size == 0)
		return AUR_OK;
	AUR_TRY(pieces->tokenizer->ops->encode_slice(pieces->worker, slice, &pieces->list));
	pieces->unknown += pieces->list.unknown;
	return AUR_OK;
}

/* By lists of all tokens of a slice, handed on as there is room for. */
static aur_status encode_lists(struct aur_pieces *pieces, struct aur_output *output)
{
	while (output->count < output->room) {
		if (pieces->given == pieces->list.count)
			AUR_TRY(next_list(pieces));
		if (pieces->list.count == 0)
			break;
		while (pieces->given < pieces->list.count && output->count < output->room)
			aur_output_put(output, pieces->list.ids[pieces->given++]);
	}
	return AUR_OK;
}

aur_status aur_pieces_next(struct aur_pieces *pieces, int token_bytes, int64_t room, void *tokens, int64_t *count)
{
	struct aur_output output = {.tokens = tokens, .token_bytes = token_bytes, .room = room};
	AUR_TRY(pieces->worker ? encode_lists(pieces, &output) : encode_parts(pieces, &output));
	*count = output.count;
	return AUR_OK;
}

int64_t aur_pieces_unknown(const struct aur_pieces *pieces)
{
	return pieces->unknown;
}
