#include "text/tokenizer.h"

#include "bpe_train.h"
#include "internal.h"
#include "pretokenize.h"
#include "text/clean.h"
#include "text/encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct aur_tokenizer_ops *const kinds[] = {&aur_tokenizer_char, &aur_tokenizer_word, &aur_tokenizer_bpe};

const struct aur_tokenizer_ops *aur_tokenizer_kind(const char *kind)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i]->kind, kind) == 0)
			return kinds[i];
	return NULL;
}

/* ---- token numbers ---- */

void aur_ids_clear(struct aur_ids *ids)
{
	free(ids->ids);
	*ids = (struct aur_ids){0};
}

/* ---- vocabularies ---- */

aur_status aur_vocab_reserve(struct aur_vocab *vocab, int64_t tokens, size_t bytes)
{
	vocab->bytes = malloc(bytes > 0 ? bytes : 1);
	vocab->offsets = calloc((size_t)tokens + 1, sizeof *vocab->offsets);
	if (!vocab->bytes || !vocab->offsets)
		return aur_fail(AUR_MEMORY, "no memory for a vocabulary of %lld tokens", (long long)tokens);
	return AUR_OK;
}

void aur_vocab_append(struct aur_vocab *vocab, const char *token, size_t bytes)
{
	const int64_t begin = vocab->offsets[vocab->size];
	memcpy(vocab->bytes + begin, token, bytes);
	vocab->offsets[++vocab->size] = begin + (int64_t)bytes;
}

struct aur_text aur_vocab_token(const struct aur_vocab *vocab, int64_t id)
{
	return (struct aur_text){vocab->bytes + vocab->offsets[id], (size_t)(vocab->offsets[id + 1] - vocab->offsets[id])};
}

/* ---- creating ---- */

static aur_status build_pieces(struct aur_tokenizer *tokenizer)
{
	const struct aur_vocab *vocab = &tokenizer->vocab;
	const char *separator = tokenizer->ops->separator;
	const size_t width = strlen(separator);
	tokenizer->pieces = malloc((size_t)vocab->offsets[vocab->size] + (size_t)vocab->size * width + 1);
	if (!tokenizer->pieces)
		return aur_fail(AUR_MEMORY, "no memory for a vocabulary of %lld tokens", (long long)vocab->size);
	char *out = tokenizer->pieces;
	for (int64_t id = 0; id < vocab->size; id++) {
		const struct aur_text token = aur_vocab_token(vocab, id);
		memcpy(out, separator, width);
		memcpy(out + width, token.bytes, token.size);
		out += width + token.size;
	}
	return AUR_OK;
}

aur_status aur_tokenizer_adopt(struct aur_vocab *vocab, struct aur_tokenizer **tokenizer)
{
	aur_status status = AUR_OK;
	struct aur_tokenizer *created = calloc(1, sizeof *created);
	if (!created) {
		aur_vocab_clear(vocab);
		return aur_fail(AUR_MEMORY, "no memory for a tokenizer");
	}
	created->vocab = *vocab;
	*vocab = (struct aur_vocab){0};
	created->ops = aur_tokenizer_kind(created->vocab.kind);
	AUR_TRY_CLEANUP(created->ops->open(&created->vocab, &created->lookup));
	AUR_TRY_CLEANUP(build_pieces(created));
	*tokenizer = created;
	return AUR_OK;
cleanup:
	aur_tokenizer_destroy(&created);
	return status;
}

aur_status aur_tokenizer_create(const struct aur_vocab *vocab, struct aur_tokenizer **tokenizer)
{
	if (strcmp(vocab->kind, "synthetic") == 0)
		return aur_fail(AUR_INPUT,
			"vocabulary: its %lld tokens are synthetic, numbers that stand for no text (the model was trained with "
			"data.train: synthetic): no text can be read or written with it",
			(long long)vocab->size);
	if (!aur_tokenizer_kind(vocab->kind))
		return aur_fail(AUR_INPUT, "vocabulary: tokenizer '%s' is not known to this program", vocab->kind);
	if (!aur_clean_known(vocab->clean))
		return aur_fail(AUR_INPUT, "vocabulary: cleaning '%s' is not known to this program", vocab->clean);
	if (vocab->size < 1 || vocab->size > INT32_MAX)
		return aur_fail(AUR_INPUT, "vocabulary: %lld tokens", (long long)vocab->size);
	AUR_TRY(aur_vocab_check(vocab, (size_t)vocab->offsets[vocab->size]));
	struct aur_vocab copy = {0};
	AUR_TRY(aur_vocab_copy(vocab, &copy));
	return aur_tokenizer_adopt(&copy, tokenizer);
}

void aur_tokenizer_destroy(struct aur_tokenizer **tokenizer)
{
	if (!tokenizer || !*tokenizer)
		return;
	struct aur_tokenizer *old = *tokenizer;
	if (old->ops)
		old->ops->close(old->lookup);
	aur_vocab_clear(&old->vocab);
	free(old->pieces);
	free(old);
	*tokenizer = NULL;
}

const struct aur_vocab *aur_tokenizer_vocab(const struct aur_tokenizer *tokenizer)
{
	return &tokenizer->vocab;
}

const struct aur_word_figures *aur_tokenizer_figures(const struct aur_tokenizer *tokenizer)
{
	return &tokenizer->figures;
}

void aur_tokenizer_set_figures(struct aur_tokenizer *tokenizer, const struct aur_word_figures *figures)
{
	tokenizer->figures = *figures;
}

/* ---- text in, numbers out ---- */

static aur_status encode_counted(struct aur_encoder *encoder, struct aur_ids *ids)
{
	int64_t tokens;
	AUR_TRY(aur_encoder_count(encoder, 0, &tokens));
	ids->ids = malloc((size_t)(tokens > 0 ? tokens : 1) * sizeof *ids->ids);
	if (!ids->ids)
		return aur_fail(AUR_MEMORY, "no memory for %lld tokens", (long long)tokens);
	AUR_TRY(aur_encoder_next(encoder, sizeof *ids->ids, tokens, ids->ids, &ids->count));
	AUR_TRY(aur_encoder_finish(encoder));
	ids->unknown = aur_encoder_unknown(encoder);
	snprintf(ids->first_unknown, sizeof ids->first_unknown, "%s", aur_encoder_first_unknown(encoder));
	return AUR_OK;
}

aur_status aur_tokenizer_encode(
	const struct aur_tokenizer *tokenizer, const char *text, size_t bytes, struct aur_ids *ids)
{
	const struct aur_text one = {text, bytes};
	struct aur_encoder *encoder;
	AUR_TRY(aur_encoder_create(tokenizer, &one, 1, &encoder));
	const aur_status status = encode_counted(encoder, ids);
	aur_encoder_destroy(&encoder);
	if (status != AUR_OK)
		aur_ids_clear(ids);
	return status;
}

const char *aur_tokenizer_piece(const struct aur_tokenizer *tokenizer, int32_t id, int first, size_t *bytes)
{
	const struct aur_vocab *vocab = &tokenizer->vocab;
	if (id < 0 || id >= vocab->size)
		return NULL;
	const size_t width = strlen(tokenizer->ops->separator);
	const char *piece = tokenizer->pieces + vocab->offsets[id] + (size_t)id * width;
	const size_t token = (size_t)(vocab->offsets[id + 1] - vocab->offsets[id]);
	*bytes = first ? token : token + width;
	return first ? piece + width : piece;
}

aur_status aur_tokenizer_decode(const struct aur_tokenizer *tokenizer, const int32_t *ids, int64_t count, char **text)
{
	size_t bytes = 0, piece_bytes;
	for (int64_t i = 0; i < count; i++) {
		if (!aur_tokenizer_piece(tokenizer, ids[i], i == 0, &piece_bytes))
			return aur_fail(AUR_INPUT, "token %d is not in the vocabulary (0 to %lld)", ids[i],
				(long long)tokenizer->vocab.size - 1);
		bytes += piece_bytes;
	}
	char *out = malloc(bytes + 1);
	if (!out)
		return aur_fail(AUR_MEMORY, "no memory for %zu bytes of text", bytes + 1);
	*text = out;
	for (int64_t i = 0; i < count; i++) {
		const char *piece = aur_tokenizer_piece(tokenizer, ids[i], i == 0, &piece_bytes);
		memcpy(out, piece, piece_bytes);
		out += piece_bytes;
	}
	*out = '\0';
	return AUR_OK;
}

/* ---- making a vocabulary ---- */

aur_status aur_tokenizer_options_check(const struct aur_tokenizer_options *options)
{
	if (!aur_tokenizer_kind(options->kind))
		return aur_fail(AUR_USAGE, "tokenizer '%s' is not known: char, word or bpe", options->kind);
	if (!aur_clean_known(options->clean))
		return aur_fail(AUR_USAGE, "cleaning '%s' is not known: none, basic or original", options->clean);
	const int characters = strcmp(options->kind, "char") == 0;
	const int original = strcmp(options->clean, "original") == 0;
	if (options->min_count < 0)
		return aur_fail(AUR_USAGE, "a minimum count of %lld: it must not be negative", (long long)options->min_count);
	if (strcmp(options->kind, "bpe") == 0)
		return aur_bpe_options_check(options);
	if (options->vocab_size != 0 || options->specials || options->pattern)
		return aur_fail(AUR_USAGE, "the size of a vocabulary, special tokens and a pattern are for the tokenizer bpe");
	if (options->min_count > 1 && (characters || original))
		return aur_fail(
			AUR_USAGE, "a minimum count is for the tokenizers word, without the original cleaning, and bpe");
	if (options->lowercase && characters && original)
		return aur_fail(
			AUR_USAGE, "the original cleaning of characters drops capitals: it does not go with lower case");
	return AUR_OK;
}

void aur_tokenizer_describe(const struct aur_tokenizer_options *options, struct aur_vocab *vocab)
{
	const int original_words = strcmp(options->kind, "word") == 0 && strcmp(options->clean, "original") == 0;
	snprintf(vocab->kind, sizeof vocab->kind, "%s", options->kind);
	snprintf(vocab->clean, sizeof vocab->clean, "%s", options->clean);
	vocab->lowercase = options->lowercase || original_words;
	if (strcmp(options->kind, "bpe") == 0)
		snprintf(vocab->pattern, sizeof vocab->pattern, "%s",
			aur_pattern_name(options->pattern ? options->pattern : "gpt2"));
}
