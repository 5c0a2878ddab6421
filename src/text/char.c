#include "internal.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { ASCII = 128, CODE_POINTS = 0x110000, REPLACEMENT = 0xfffd };

static const char original_characters[] = " .!?abcdefghijklmnopqrstuvwxyz";

/* ---- making a vocabulary ---- */

static aur_status train_original(struct aur_vocab *vocab)
{
	const size_t n = sizeof original_characters - 1;
	AUR_TRY(aur_vocab_reserve(vocab, (int64_t)n, n));
	for (size_t i = 0; i < n; i++)
		aur_vocab_append(vocab, original_characters + i, 1);
	vocab->unknown = -1;
	return AUR_OK;
}

static void mark_present(struct aur_text text, unsigned char *present)
{
	const char *at = text.bytes, *end = at + text.size;
	while (at < end)
		present[aur_utf8_next(&at)] = 1;
}

static aur_status train_present(unsigned char *present, struct aur_vocab *vocab)
{
	int64_t n = 1;
	size_t bytes = 4;
	char token[4];
	/* A text may hold the replacement character itself: it is the unknown token. */
	present[REPLACEMENT] = 0;
	for (uint32_t code = 0; code < CODE_POINTS; code++) {
		n += present[code];
		bytes += present[code] ? aur_utf8_put(code, token) : 0;
	}
	if (n == 1)
		return aur_fail(AUR_INPUT, "the text has no characters");
	AUR_TRY(aur_vocab_reserve(vocab, n, bytes));
	vocab->unknown = 0;
	aur_vocab_append(vocab, token, aur_utf8_put(REPLACEMENT, token));
	for (uint32_t code = 0; code < CODE_POINTS; code++)
		if (present[code])
			aur_vocab_append(vocab, token, aur_utf8_put(code, token));
	return AUR_OK;
}

static aur_status char_train(const struct aur_text *texts, int64_t n, int64_t min_count, struct aur_vocab *vocab)
{
	(void)min_count;
	if (strcmp(vocab->clean, "original") == 0)
		return train_original(vocab);
	unsigned char *present = calloc(CODE_POINTS, 1);
	if (!present)
		return aur_fail(AUR_MEMORY, "no memory for the table of characters");
	for (int64_t i = 0; i < n; i++)
		mark_present(texts[i], present);
	const aur_status status = train_present(present, vocab);
	free(present);
	return status;
}

/* ---- looking up ---- */

struct code_entry {
	uint32_t code;
	int32_t id;
	UT_hash_handle hh;
};

struct char_lookup {
	int32_t ascii[ASCII];     /* -1: not in the vocabulary */
	struct code_entry *table; /* the others */
	struct code_entry *entries;
};

static void char_close(void *lookup)
{
	struct char_lookup *characters = lookup;
	if (!characters)
		return;
	HASH_CLEAR(hh, characters->table);
	free(characters->entries);
	free(characters);
}

static int32_t find_code(const struct char_lookup *characters, uint32_t code)
{
	if (code < ASCII)
		return characters->ascii[code];
	const struct code_entry *entry;
	HASH_FIND(hh, characters->table, &code, sizeof code, entry);
	return entry ? entry->id : -1;
}

/* The one code point of a token. */
static aur_status code_of(struct aur_text token, int64_t id, uint32_t *code)
{
	const char *at = token.bytes;
	if (token.size == 0 || aur_utf8_check(token.bytes, token.size) >= 0)
		return aur_fail(AUR_INPUT, "vocabulary: token %lld is no character", (long long)id);
	*code = aur_utf8_next(&at);
	if (at != token.bytes + token.size)
		return aur_fail(AUR_INPUT, "vocabulary: token %lld is more than one character", (long long)id);
	return AUR_OK;
}

static aur_status add_code(struct char_lookup *characters, uint32_t code, int64_t id)
{
	if (find_code(characters, code) >= 0)
		return aur_fail(AUR_INPUT, "vocabulary: token %lld is there twice", (long long)id);
	if (code < ASCII) {
		characters->ascii[code] = (int32_t)id;
		return AUR_OK;
	}
	struct code_entry *entry = &characters->entries[id];
	entry->code = code;
	entry->id = (int32_t)id;
	HASH_ADD(hh, characters->table, code, sizeof entry->code, entry);
	return entry->hh.tbl ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the table of characters");
}

static aur_status char_open(const struct aur_vocab *vocab, void **lookup)
{
	struct char_lookup *characters = calloc(1, sizeof *characters);
	if (!characters)
		return aur_fail(AUR_MEMORY, "no memory for the table of characters");
	aur_status status = AUR_OK;
	memset(characters->ascii, -1, sizeof characters->ascii);
	characters->entries = calloc((size_t)vocab->size, sizeof *characters->entries);
	if (!characters->entries) {
		status = aur_fail(AUR_MEMORY, "no memory for the table of characters");
		goto cleanup;
	}
	for (int64_t id = 0; id < vocab->size; id++) {
		uint32_t code = 0;
		AUR_TRY_CLEANUP(code_of(aur_vocab_token(vocab, id), id, &code));
		AUR_TRY_CLEANUP(add_code(characters, code, id));
	}
	*lookup = characters;
	return AUR_OK;
cleanup:
	char_close(characters);
	return status;
}

/* Most text is ASCII in the vocabulary: looked up in a table, up to the first byte that is not so. */
static const char *encode_ascii(
	const struct char_lookup *characters, const char *at, const char *end, struct aur_ids *ids)
{
	int32_t *out = ids->ids + ids->count;
	for (; at < end; at++) {
		const unsigned char byte = (unsigned char)*at;
		const int32_t id = byte < ASCII ? characters->ascii[byte] : -1;
		if (id < 0)
			break;
		*out++ = id;
	}
	ids->count = out - ids->ids;
	return at;
}

static aur_status char_encode(
	const struct aur_vocab *vocab, const void *lookup, struct aur_text text, struct aur_ids *ids)
{
	const struct char_lookup *characters = lookup;
	AUR_TRY(aur_ids_reserve(ids, aur_utf8_count(text.bytes, text.size)));
	const char *end = text.bytes + text.size;
	for (const char *at = text.bytes; at < end;) {
		at = encode_ascii(characters, at, end, ids);
		if (at == end)
			break;
		const char *begin = at;
		const int32_t id = find_code(characters, aur_utf8_next(&at));
		if (id >= 0)
			ids->ids[ids->count++] = id;
		else
			aur_ids_add_unknown(ids, vocab, (struct aur_text){begin, (size_t)(at - begin)});
	}
	return AUR_OK;
}

const struct aur_tokenizer_ops aur_tokenizer_char = {
	.kind = "char",
	.separator = "",
	.train = char_train,
	.open = char_open,
	.close = char_close,
	.encode = char_encode,
};
