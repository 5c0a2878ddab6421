#include "text/encoder.h"

#include "batch.h"
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

	struct aur_batch *batch, *counting; /* of the others; counting goes over texts beside the encoding */
	const struct aur_token_list *list;
	int64_t given; /* of the list's tokens */
	int threads;
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
		.counts = counts,
		.threads = 1};
	*encoder = created;
	return AUR_OK;
}

void aur_encoder_destroy(struct aur_encoder **encoder)
{
	if (!encoder || !*encoder)
		return;
	aur_slices_clear(&(*encoder)->source.slices);
	aur_batch_destroy(&(*encoder)->batch);
	aur_batch_destroy(&(*encoder)->counting);
	free((*encoder)->counts);
	free(*encoder);
	*encoder = NULL;
}

void aur_encoder_use_threads(struct aur_encoder *encoder, int threads)
{
	encoder->threads = threads > 1 ? threads : 1;
}

/* ---- counting ---- */

static aur_status count_slices(const struct aur_tokenizer *tokenizer, struct aur_source *source, int64_t *tokens)
{
	struct aur_text slice;
	aur_status status;
	while ((status = aur_source_next(source, &slice)) == AUR_OK && slice.size > 0)
		*tokens += tokenizer->ops->count(&tokenizer->vocab, tokenizer->lookup, slice);
	return status;
}

static aur_status count_batches(struct aur_batch *batch, struct aur_source *source, int64_t *tokens)
{
	const struct aur_token_list *list;
	do {
		AUR_TRY(aur_batch_fill(batch, source));
		list = aur_batch_next(batch);
		for (const struct aur_token_list *next = list; next; next = aur_batch_next(batch))
			*tokens += next->count;
	} while (list);
	return AUR_OK;
}

aur_status aur_encoder_count(struct aur_encoder *encoder, int64_t index, int64_t *tokens)
{
	const struct aur_tokenizer *tokenizer = encoder->tokenizer;
	struct aur_source source = {.vocab = &tokenizer->vocab, .texts = &encoder->texts[index], .n = 1};
	*tokens = 0;
	if (tokenizer->ops->encode_slice && !encoder->counting)
		AUR_TRY(aur_batch_create(tokenizer, encoder->threads, &encoder->counting));
	const aur_status status = encoder->counting ? count_batches(encoder->counting, &source, tokens)
												: count_slices(tokenizer, &source, tokens);
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

/* Goes on to a list; NULL at the end of the texts. What is unknown counts with the list's first token. */
static aur_status next_list(struct aur_encoder *encoder, struct aur_output *output)
{
	if (!encoder->batch)
		AUR_TRY(aur_batch_create(encoder->tokenizer, encoder->threads, &encoder->batch));
	encoder->given = 0;
	encoder->list = aur_batch_next(encoder->batch);
	if (!encoder->list) {
		AUR_TRY(aur_batch_fill(encoder->batch, &encoder->source));
		encoder->list = aur_batch_next(encoder->batch);
	}
	if (encoder->list && encoder->list->unknown > 0) {
		if (output->unknown == 0)
			memcpy(output->first_unknown, encoder->list->first_unknown, sizeof output->first_unknown);
		output->unknown += encoder->list->unknown;
	}
	return AUR_OK;
}

static void put_ids(const uint32_t *ids, int64_t count, struct aur_output *output)
{
	if (output->token_bytes == 2)
		for (int64_t i = 0; i < count; i++)
			((uint16_t *)output->tokens)[output->count + i] = (uint16_t)ids[i];
	else
		memcpy((uint32_t *)output->tokens + output->count, ids, (size_t)count * sizeof *ids);
	output->count += count;
}

static aur_status encode_lists(struct aur_encoder *encoder, struct aur_output *output)
{
	while (output->count < output->room) {
		if (!encoder->list || encoder->given == encoder->list->count)
			AUR_TRY(next_list(encoder, output));
		if (!encoder->list)
			break;
		const int64_t left = encoder->list->count - encoder->given, room = output->room - output->count;
		const int64_t count = left < room ? left : room;
		put_ids(encoder->list->ids + encoder->given, count, output);
		encoder->given += count;
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

aur_status aur_texts_check(const struct aur_text *texts, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		const int64_t wrong = aur_utf8_check(texts[i].bytes, texts[i].size);
		if (wrong >= 0)
			return aur_fail(AUR_INPUT, "not UTF-8 at byte %lld (convert it, for example with iconv)", (long long)wrong);
	}
	return AUR_OK;
}
