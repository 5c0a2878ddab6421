#include "text/encoder.h"

#include "internal.h"
#include "source.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

/* Counters of one token: a text repeats its tokens, and one counter would wait for its own last value. */
enum { LANES = 4 };

struct aur_encoder {
	const struct aur_tokenizer *tokenizer;
	const struct aur_text *texts;
	struct aur_source source;
	int64_t *counts; /* owned [vocabulary, LANES] */
	int64_t unknown;
	char first_unknown[64];

	const char *at, *end; /* what is left of the slice, of kinds that encode in parts */

	void *worker; /* of the others: the kind's, and a slice's tokens */
	struct aur_token_list list;
	int64_t given;                  /* of the list's */
	struct aur_token_list counting; /* a slice's that is only counted: counting goes over texts beside the encoding */
};

aur_status aur_encoder_create(
	const struct aur_tokenizer *tokenizer, const struct aur_text *texts, int64_t n_texts, struct aur_encoder **encoder)
{
	if (!tokenizer->ops->any_bytes || tokenizer->vocab.lowercase)
		AUR_TRY(aur_texts_check(texts, n_texts));
	const int64_t size = tokenizer->vocab.size;
	struct aur_encoder *created = calloc(1, sizeof *created);
	int64_t *counts = calloc((size_t)size, LANES * sizeof *counts);
	if (!created || !counts) {
		free(created);
		free(counts);
		return aur_fail(AUR_MEMORY, "no memory for the counts of %lld tokens", (long long)size);
	}
	*created = (struct aur_encoder){.tokenizer = tokenizer,
		.texts = texts,
		.source = {.vocab = &tokenizer->vocab, .texts = texts, .n = n_texts},
		.counts = counts};
	aur_status status = AUR_OK;
	if (tokenizer->ops->encode_slice)
		status = tokenizer->ops->begin(&tokenizer->vocab, tokenizer->lookup, &created->worker);
	if (status != AUR_OK)
		aur_encoder_destroy(&created);
	*encoder = created;
	return status;
}

void aur_encoder_destroy(struct aur_encoder **encoder)
{
	if (!encoder || !*encoder)
		return;
	aur_slices_clear(&(*encoder)->source.slices);
	if ((*encoder)->worker)
		(*encoder)->tokenizer->ops->end((*encoder)->worker);
	free((*encoder)->list.ids);
	free((*encoder)->counting.ids);
	free((*encoder)->counts);
	free(*encoder);
	*encoder = NULL;
}

/* ---- counting ---- */

static aur_status count_slice(struct aur_encoder *encoder, struct aur_text slice, int64_t *tokens)
{
	const struct aur_tokenizer *tokenizer = encoder->tokenizer;
	if (!encoder->worker) {
		*tokens += tokenizer->ops->count(&tokenizer->vocab, tokenizer->lookup, slice);
		return AUR_OK;
	}
	AUR_TRY(tokenizer->ops->encode_slice(encoder->worker, slice, &encoder->counting));
	*tokens += encoder->counting.count;
	return AUR_OK;
}

aur_status aur_encoder_count(struct aur_encoder *encoder, int64_t index, int64_t *tokens)
{
	struct aur_source source = {.vocab = &encoder->tokenizer->vocab, .texts = &encoder->texts[index], .n = 1};
	struct aur_text slice;
	aur_status status;
	*tokens = 0;
	while ((status = aur_source_next(&source, &slice)) == AUR_OK && slice.size > 0)
		if ((status = count_slice(encoder, slice, tokens)) != AUR_OK)
			break;
	aur_slices_clear(&source.slices);
	return status;
}

/* ---- encoding ---- */

static void tally(const struct aur_output *output, int64_t *counts)
{
	const uint16_t *narrow = output->tokens;
	const uint32_t *wide = output->tokens;
	if (output->token_bytes == 2)
		for (int64_t i = 0; i < output->count; i++)
			counts[narrow[i] * LANES + i % LANES]++;
	else
		for (int64_t i = 0; i < output->count; i++)
			counts[(int64_t)wide[i] * LANES + i % LANES]++;
}

static aur_status encode_parts(struct aur_encoder *encoder, struct aur_output *output)
{
	const struct aur_tokenizer *tokenizer = encoder->tokenizer;
	while (output->count < output->room) {
		struct aur_text slice = {encoder->at, (size_t)(encoder->end - encoder->at)};
		if (slice.size == 0)
			AUR_TRY(aur_source_next(&encoder->source, &slice));
		if (slice.size == 0)
			break;
		encoder->at = slice.bytes;
		encoder->end = slice.bytes + slice.size;
		tokenizer->ops->encode(&tokenizer->vocab, tokenizer->lookup, &encoder->at, encoder->end, output);
	}
	return AUR_OK;
}

/* Goes on to a slice; *any is 0 at the end of the texts. What is unknown counts with the list's first token. */
static aur_status next_list(struct aur_encoder *encoder, struct aur_output *output, int *any)
{
	struct aur_text slice;
	encoder->given = encoder->list.count = 0;
	AUR_TRY(aur_source_next(&encoder->source, &slice));
	*any = slice.size > 0;
	if (!*any)
		return AUR_OK;
	AUR_TRY(encoder->tokenizer->ops->encode_slice(encoder->worker, slice, &encoder->list));
	if (encoder->list.unknown > 0) {
		if (output->unknown == 0)
			memcpy(output->first_unknown, encoder->list.first_unknown, sizeof output->first_unknown);
		output->unknown += encoder->list.unknown;
	}
	return AUR_OK;
}

static aur_status encode_lists(struct aur_encoder *encoder, struct aur_output *output)
{
	for (int any = 1; any && output->count < output->room;) {
		if (encoder->given == encoder->list.count)
			AUR_TRY(next_list(encoder, output, &any));
		encoder->given += aur_output_put_list(output, &encoder->list, encoder->given);
	}
	return AUR_OK;
}

aur_status aur_encoder_next(struct aur_encoder *encoder, int token_bytes, int64_t room, void *tokens, int64_t *count)
{
	struct aur_output output = {.tokens = tokens, .token_bytes = token_bytes, .room = room};
	AUR_TRY(encoder->tokenizer->ops->encode_slice ? encode_lists(encoder, &output) : encode_parts(encoder, &output));
	if (encoder->unknown == 0)
		memcpy(encoder->first_unknown, output.first_unknown, sizeof output.first_unknown);
	encoder->unknown += output.unknown;
	tally(&output, encoder->counts);
	*count = output.count;
	return AUR_OK;
}

aur_status aur_encoder_finish(struct aur_encoder *encoder)
{
	uint32_t token;
	int64_t left;
	AUR_TRY(aur_encoder_next(encoder, sizeof token, 1, &token, &left));
	return left == 0 ? AUR_OK : aur_fail(AUR_INTERNAL, "the texts have more tokens than were counted");
}

int64_t aur_encoder_unknown(const struct aur_encoder *encoder)
{
	return encoder->unknown;
}

const char *aur_encoder_first_unknown(const struct aur_encoder *encoder)
{
	return encoder->first_unknown;
}

void aur_encoder_tally(const struct aur_encoder *encoder, int64_t *counts)
{
	for (int64_t id = 0; id < encoder->tokenizer->vocab.size; id++) {
		counts[id] = 0;
		for (int64_t lane = 0; lane < LANES; lane++)
			counts[id] += encoder->counts[id * LANES + lane];
	}
}

void aur_note_unknown(struct aur_text piece, char note[64])
{
	const size_t bytes = aur_utf8_cut(piece.bytes, piece.size, 63);
	memcpy(note, piece.bytes, bytes);
	note[bytes] = '\0';
}

void aur_output_unknown(struct aur_output *output, const struct aur_vocab *vocab, struct aur_text piece)
{
	if (output->unknown++ == 0)
		aur_note_unknown(piece, output->first_unknown);
	if (vocab->unknown >= 0)
		aur_output_put(output, vocab->unknown);
}

int64_t aur_output_put_list(struct aur_output *output, const struct aur_token_list *list, int64_t from)
{
	const int64_t left = list->count - from, room = output->room - output->count, count = left < room ? left : room;
	/* A list that never had a token has no memory. */
	if (count < 1)
		return 0;
	const uint32_t *ids = list->ids + from;
	if (output->token_bytes == 2)
		for (int64_t i = 0; i < count; i++)
			((uint16_t *)output->tokens)[output->count + i] = (uint16_t)ids[i];
	else
		memcpy((uint32_t *)output->tokens + output->count, ids, (size_t)count * sizeof *ids);
	output->count += count;
	return count;
}

aur_status aur_texts_check(const struct aur_text *texts, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		const int64_t wrong = aur_utf8_check(texts[i].bytes, texts[i].size);
		if (wrong >= 0)
			return aur_fail(AUR_INPUT, "not UTF-8 at byte %lld (convert it, for example with iconv)", (long long)wrong);
	}
	return AUR_OK;
}
