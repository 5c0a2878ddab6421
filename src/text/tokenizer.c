#include "text/tokenizer.h"

#include "internal.h"
#include "text/clean.h"
#include "unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct aur_tokenizer_ops *const kinds[] = {&aur_tokenizer_char, &aur_tokenizer_word};

struct aur_tokenizer {
	const struct aur_tokenizer_ops *ops;
	struct aur_vocab vocab;
	void *lookup;
	char *pieces; /* every token with the separator in front of it, for streaming */
};

static const struct aur_tokenizer_ops *kind_of(const char *kind)
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

aur_status aur_ids_reserve(struct aur_ids *ids, int64_t count)
{
	ids->ids = malloc((size_t)(count > 0 ? count : 1) * sizeof *ids->ids);
	if (!ids->ids)
		return aur_fail(AUR_MEMORY, "no memory for %lld tokens", (long long)count);
	return AUR_OK;
}

void aur_ids_add_unknown(struct aur_ids *ids, const struct aur_vocab *vocab, struct aur_text piece)
{
	if (ids->unknown++ == 0) {
		const size_t bytes = aur_utf8_cut(piece.bytes, piece.size, sizeof ids->first_unknown - 1);
		memcpy(ids->first_unknown, piece.bytes, bytes);
		ids->first_unknown[bytes] = '\0';
	}
	if (vocab->unknown >= 0)
		ids->ids[ids->count++] = (int32_t)vocab->unknown;
}

/* Gives back the room that dropped pieces left. */
static void trim_ids(struct aur_ids *ids)
{
	int32_t *smaller = realloc(ids->ids, (size_t)(ids->count > 0 ? ids->count : 1) * sizeof *ids->ids);
	if (smaller)
		ids->ids = smaller;
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

/* Takes over what `vocab` owns. */
static aur_status create_from(struct aur_vocab *vocab, struct aur_tokenizer **tokenizer)
{
	aur_status status = AUR_OK;
	struct aur_tokenizer *created = calloc(1, sizeof *created);
	if (!created) {
		aur_vocab_clear(vocab);
		return aur_fail(AUR_MEMORY, "no memory for a tokenizer");
	}
	created->vocab = *vocab;
	*vocab = (struct aur_vocab){0};
	created->ops = kind_of(created->vocab.kind);
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
	if (!kind_of(vocab->kind))
		return aur_fail(AUR_INPUT, "vocabulary: tokenizer '%s' is not known to this program", vocab->kind);
	if (!aur_clean_known(vocab->clean))
		return aur_fail(AUR_INPUT, "vocabulary: cleaning '%s' is not known to this program", vocab->clean);
	if (vocab->size < 1 || vocab->size > INT32_MAX)
		return aur_fail(AUR_INPUT, "vocabulary: %lld tokens", (long long)vocab->size);
	AUR_TRY(aur_vocab_check(vocab, (size_t)vocab->offsets[vocab->size]));
	struct aur_vocab copy = {0};
	AUR_TRY(aur_vocab_copy(vocab, &copy));
	return create_from(&copy, tokenizer);
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

/* ---- text in, numbers out ---- */

static aur_status lower_in_place(struct aur_text *text, char **owned)
{
	char *lower;
	size_t bytes;
	AUR_TRY(aur_unicode_lower(text->bytes, text->size, &lower, &bytes));
	free(*owned);
	*owned = lower;
	*text = (struct aur_text){lower, bytes};
	return AUR_OK;
}

aur_status aur_text_normalise(
	const char *clean, int lowercase, struct aur_text text, struct aur_text *normal, char **owned)
{
	const int64_t wrong = aur_utf8_check(text.bytes, text.size);
	if (wrong >= 0)
		return aur_fail(AUR_INPUT, "not UTF-8 at byte %lld (convert it, for example with iconv)", (long long)wrong);
	*owned = NULL;
	*normal = text;
	if (strcmp(clean, "basic") == 0) {
		AUR_TRY(aur_clean(clean, text.bytes, text.size, owned, &normal->size));
		normal->bytes = *owned;
	}
	if (!lowercase)
		return AUR_OK;
	const aur_status status = lower_in_place(normal, owned);
	if (status != AUR_OK)
		free(*owned);
	return status;
}

aur_status aur_tokenizer_encode(
	const struct aur_tokenizer *tokenizer, const char *text, size_t bytes, struct aur_ids *ids)
{
	const struct aur_vocab *vocab = &tokenizer->vocab;
	struct aur_text normal;
	char *owned;
	AUR_TRY(aur_text_normalise(vocab->clean, vocab->lowercase, (struct aur_text){text, bytes}, &normal, &owned));
	const aur_status status = tokenizer->ops->encode(vocab, tokenizer->lookup, normal, ids);
	free(owned);
	if (status == AUR_OK)
		trim_ids(ids);
	else
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
	if (!kind_of(options->kind))
		return aur_fail(AUR_USAGE, "tokenizer '%s' is not known: char or word", options->kind);
	if (!aur_clean_known(options->clean))
		return aur_fail(AUR_USAGE, "cleaning '%s' is not known: none, basic or original", options->clean);
	const int characters = strcmp(options->kind, "char") == 0;
	const int original = strcmp(options->clean, "original") == 0;
	if (options->min_count < 0)
		return aur_fail(AUR_USAGE, "a minimum count of %lld: it must not be negative", (long long)options->min_count);
	if (options->min_count > 1 && (characters || original))
		return aur_fail(AUR_USAGE, "a minimum count is for the word tokenizer without the original cleaning");
	if (options->lowercase && characters && original)
		return aur_fail(
			AUR_USAGE, "the original cleaning of characters drops capitals: it does not go with lower case");
	return AUR_OK;
}

static void describe(const struct aur_tokenizer_options *options, struct aur_vocab *vocab)
{
	const int original_words = strcmp(options->kind, "word") == 0 && strcmp(options->clean, "original") == 0;
	snprintf(vocab->kind, sizeof vocab->kind, "%s", options->kind);
	snprintf(vocab->clean, sizeof vocab->clean, "%s", options->clean);
	vocab->lowercase = options->lowercase || original_words;
}

aur_status aur_texts_normalise(
	const char *clean, int lowercase, const struct aur_text *texts, int64_t n, struct aur_text **normal, char ***owned)
{
	aur_status status = AUR_OK;
	*normal = calloc((size_t)n + 1, sizeof **normal);
	*owned = calloc((size_t)n + 1, sizeof **owned);
	if (!*normal || !*owned) {
		status = aur_fail(AUR_MEMORY, "no memory for %lld texts", (long long)n);
		goto cleanup;
	}
	for (int64_t i = 0; i < n; i++) {
		char *one = NULL;
		AUR_TRY_CLEANUP(aur_text_normalise(clean, lowercase, texts[i], &(*normal)[i], &one));
		(*owned)[i] = one;
	}
	return AUR_OK;
cleanup:
	aur_texts_free(n, normal, owned);
	return status;
}

void aur_texts_free(int64_t n, struct aur_text **normal, char ***owned)
{
	for (int64_t i = 0; *owned && i < n; i++)
		free((*owned)[i]);
	free(*owned);
	free(*normal);
	*owned = NULL;
	*normal = NULL;
}

aur_status aur_tokenizer_train_texts(const struct aur_tokenizer_options *options, const struct aur_text *texts,
	int64_t n_texts, struct aur_tokenizer **tokenizer)
{
	AUR_TRY(aur_tokenizer_options_check(options));
	struct aur_vocab vocab = {0};
	struct aur_text *normal;
	char **owned;
	describe(options, &vocab);
	AUR_TRY(aur_texts_normalise(vocab.clean, vocab.lowercase, texts, n_texts, &normal, &owned));
	const aur_status status = kind_of(options->kind)->train(normal, n_texts, options->min_count, &vocab);
	aur_texts_free(n_texts, &normal, &owned);
	if (status == AUR_OK)
		return create_from(&vocab, tokenizer);
	aur_vocab_clear(&vocab);
	return status;
}

aur_status aur_tokenizer_train(
	const struct aur_tokenizer_options *options, const char *text, size_t bytes, struct aur_tokenizer **tokenizer)
{
	return aur_tokenizer_train_texts(options, &(struct aur_text){text, bytes}, 1, tokenizer);
}
