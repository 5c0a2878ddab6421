#include "text/encoder.h"

#include "internal.h"
#include "slices.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

/* Counters of one token: a text repeats its tokens, and one counter would wait for its own last value. */
enum { LANES = 4 };

struct aur_encoder {
	const struct aur_tokenizer *tokenizer;
	const struct aur_text *texts;
	int64_t n_texts, begun; /* texts that have been begun */
	struct aur_slices slices;
	const char *at, *end; /* what is left of the slice */
	int64_t *counts;      /* owned [vocabulary, LANES] */
	int64_t unknown;
	char first_unknown[64];
};

aur_status aur_encoder_create(
	const struct aur_tokenizer *tokenizer, const struct aur_text *texts, int64_t n_texts, struct aur_encoder **encoder)
{
	AUR_TRY(aur_texts_check(texts, n_texts));
	const int64_t size = tokenizer->vocab.size;
	struct aur_encoder *created = calloc(1, sizeof *created);
	int64_t *counts = calloc((size_t)size, LANES * sizeof *counts);
	if (!created || !counts) {
		free(created);
		free(counts);
		return aur_fail(AUR_MEMORY, "no memory for the counts of %lld tokens", (long long)size);
	}
	*created = (struct aur_encoder){.tokenizer = tokenizer, .texts = texts, .n_texts = n_texts, .counts = counts};
	*encoder = created;
	return AUR_OK;
}

void aur_encoder_destroy(struct aur_encoder **encoder)
{
	if (!encoder || !*encoder)
		return;
	aur_slices_clear(&(*encoder)->slices);
	free((*encoder)->counts);
	free(*encoder);
	*encoder = NULL;
}

aur_status aur_encoder_count(const struct aur_encoder *encoder, int64_t index, int64_t *tokens)
{
	const struct aur_tokenizer *tokenizer = encoder->tokenizer;
	struct aur_slices slices = {0};
	struct aur_text slice;
	aur_status status;
	*tokens = 0;
	aur_slices_begin(&slices, &tokenizer->vocab, encoder->texts[index]);
	while ((status = aur_slices_next(&slices, &slice)) == AUR_OK && slice.size > 0)
		*tokens += tokenizer->ops->count(&tokenizer->vocab, tokenizer->lookup, slice);
	aur_slices_clear(&slices);
	return status;
}

/* The next slice that holds anything; at the end of all texts there is none. */
static aur_status next_slice(struct aur_encoder *encoder)
{
	struct aur_text slice = {0};
	while (slice.size == 0) {
		if (encoder->begun > 0)
			AUR_TRY(aur_slices_next(&encoder->slices, &slice));
		if (slice.size == 0 && encoder->begun == encoder->n_texts)
			break;
		if (slice.size == 0)
			aur_slices_begin(&encoder->slices, &encoder->tokenizer->vocab, encoder->texts[encoder->begun++]);
	}
	encoder->at = slice.bytes;
	encoder->end = slice.bytes + slice.size;
	return AUR_OK;
}

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

aur_status aur_encoder_next(struct aur_encoder *encoder, int token_bytes, int64_t room, void *tokens, int64_t *count)
{
	const struct aur_tokenizer *tokenizer = encoder->tokenizer;
	struct aur_output output = {.tokens = tokens, .token_bytes = token_bytes, .room = room};
	while (output.count < room) {
		if (encoder->at == encoder->end)
			AUR_TRY(next_slice(encoder));
		if (encoder->at == encoder->end)
			break;
		tokenizer->ops->encode(&tokenizer->vocab, tokenizer->lookup, &encoder->at, encoder->end, &output);
	}
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

void aur_output_unknown(struct aur_output *output, const struct aur_vocab *vocab, struct aur_text piece)
{
	if (output->unknown++ == 0) {
		const size_t bytes = aur_utf8_cut(piece.bytes, piece.size, sizeof output->first_unknown - 1);
		memcpy(output->first_unknown, piece.bytes, bytes);
		output->first_unknown[bytes] = '\0';
	}
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
