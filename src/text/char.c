#include "internal.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

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
	while (at < end) {
		for (; at < end && (unsigned char)*at < ASCII; at++)
			present[(unsigned char)*at] = 1;
		while (at < end && (unsigned char)*at >= ASCII)
			present[aur_utf8_next(&at)] = 1;
	}
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

/* One byte a code point: 1 where it occurs. The original cleaning's vocabulary is given, and nothing is marked. */
static aur_status char_train_begin(const struct aur_vocab *vocab, void **seen)
{
	*seen = NULL;
	if (strcmp(vocab->clean, "original") == 0)
		return AUR_OK;
	*seen = calloc(CODE_POINTS, 1);
	return *seen ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the table of characters");
}

static aur_status char_train_add(void *seen, struct aur_text slice)
{
	if (seen)
		mark_present(slice, seen);
	return AUR_OK;
}

static aur_status char_train_merge(void *seen, const void *other)
{
	unsigned char *present = seen;
	const unsigned char *more = other;
	for (int code = 0; seen && code < CODE_POINTS; code++)
		present[code] |= more[code];
	return AUR_OK;
}

/* All at once, as a text that has each of the characters. */
static aur_status char_train_pack(const void *seen, int64_t *at, struct aur_packed *packed)
{
	const unsigned char *present = seen;
	packed->size = 0;
	for (; present && *at < CODE_POINTS; ++*at)
		if (present[*at]) {
			AUR_TRY(aur_packed_reserve(packed, packed->size + 4 > packed->room ? 2 * packed->room + 64 : 0));
			packed->size += aur_utf8_put((uint32_t)*at, packed->bytes + packed->size);
		}
	return AUR_OK;
}

static aur_status char_train_end(
	void *seen, const struct aur_tokenizer_options *options, struct aur_vocab *vocab, struct aur_word_figures *figures)
{
	(void)options;
	(void)figures;
	return seen ? train_present(seen, vocab) : train_original(vocab);
}

/* ---- looking up ---- */

enum { PAGE = 256 };

/* What a byte of ASCII becomes. */
struct ascii {
	int32_t id;     /* of the unknown token where it is not in the vocabulary; -1: it is dropped */
	int32_t absent; /* 1: not in the vocabulary */
};

struct char_lookup {
	struct ascii ascii[ASCII];
	int32_t *pages[CODE_POINTS / PAGE]; /* [PAGE] numbers each, -1: not in the vocabulary; NULL: none of the page is */
};

static void char_close(void *lookup)
{
	struct char_lookup *characters = lookup;
	if (!characters)
		return;
	for (int i = 0; i < CODE_POINTS / PAGE; i++)
		free(characters->pages[i]);
	free(characters);
}

static int32_t find_code(const struct char_lookup *characters, uint32_t code)
{
	const int32_t *page = characters->pages[code / PAGE];
	return page ? page[code % PAGE] : -1;
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
	int32_t **page = &characters->pages[code / PAGE];
	if (!*page) {
		*page = malloc(PAGE * sizeof **page);
		if (!*page)
			return aur_fail(AUR_MEMORY, "no memory for the table of characters");
		memset(*page, -1, PAGE * sizeof **page);
	}
	(*page)[code % PAGE] = (int32_t)id;
	return AUR_OK;
}

static aur_status char_open(const struct aur_vocab *vocab, void **lookup)
{
	struct char_lookup *characters = calloc(1, sizeof *characters);
	if (!characters)
		return aur_fail(AUR_MEMORY, "no memory for the table of characters");
	aur_status status = AUR_OK;
	for (int64_t id = 0; id < vocab->size; id++) {
		uint32_t code = 0;
		AUR_TRY_CLEANUP(code_of(aur_vocab_token(vocab, id), id, &code));
		AUR_TRY_CLEANUP(add_code(characters, code, id));
	}
	for (uint32_t code = 0; code < ASCII; code++) {
		const int32_t id = find_code(characters, code);
		characters->ascii[code] = (struct ascii){id >= 0 ? id : (int32_t)vocab->unknown, id < 0};
	}
	*lookup = characters;
	return AUR_OK;
cleanup:
	char_close(characters);
	return status;
}

/* Without an unknown token characters are dropped, and only those in the vocabulary count. */
static int64_t char_count(const struct aur_vocab *vocab, const void *lookup, struct aur_text slice)
{
	const struct char_lookup *characters = lookup;
	const char *at = slice.bytes, *end = at + slice.size;
	int64_t count = 0;
	if (vocab->unknown >= 0)
		return aur_utf8_count(slice.bytes, slice.size);
	while (at < end) {
		for (; at < end && (unsigned char)*at < ASCII; at++)
			count += !characters->ascii[(unsigned char)*at].absent;
		while (at < end && (unsigned char)*at >= ASCII)
			count += find_code(characters, aur_utf8_next(&at)) >= 0;
	}
	return count;
}

/* Most text is ASCII: looked up without a branch on what is found, up to the first byte that is not ASCII. A dropped
 * byte's -1 is written and then written over. Returns how many were not in the vocabulary. `token_bytes` is a constant
 * where this is called, for a loop of its own. */
static inline int64_t encode_ascii(
	const struct char_lookup *characters, const char **at, const char *stop, struct aur_output *output, int token_bytes)
{
	int64_t absent = 0, count = output->count;
	uint16_t *narrow = output->tokens;
	uint32_t *wide = output->tokens;
	const char *next = *at;
	for (; next < stop && (unsigned char)*next < ASCII; next++) {
		const struct ascii found = characters->ascii[(unsigned char)*next];
		if (token_bytes == 2)
			narrow[count] = (uint16_t)found.id;
		else
			wide[count] = (uint32_t)found.id;
		count += found.id >= 0;
		absent += found.absent;
	}
	output->count = count;
	*at = next;
	return absent;
}

/* Counts what encode_ascii did not find from `at` on; keeps the first of all for the message. */
static void note_absent(const struct char_lookup *characters, const char *at, int64_t absent, struct aur_output *output)
{
	if (output->unknown == 0) {
		while (!characters->ascii[(unsigned char)*at].absent)
			at++;
		output->first_unknown[0] = *at;
		output->first_unknown[1] = '\0';
	}
	output->unknown += absent;
}

/* From *at on up to the character that begins before `stop`: no more tokens than bytes. */
static void encode_run(const struct aur_vocab *vocab, const struct char_lookup *characters, const char **at,
	const char *stop, struct aur_output *output)
{
	while (*at < stop) {
		const char *begin = *at;
		const int64_t absent = output->token_bytes == 2 ? encode_ascii(characters, at, stop, output, 2)
														: encode_ascii(characters, at, stop, output, 4);
		if (absent > 0)
			note_absent(characters, begin, absent, output);
		while (*at < stop && (unsigned char)**at >= ASCII) {
			begin = *at;
			const int32_t id = find_code(characters, aur_utf8_next(at));
			if (id >= 0)
				aur_output_put(output, id);
			else
				aur_output_unknown(output, vocab, (struct aur_text){begin, (size_t)(*at - begin)});
		}
	}
}

static void char_encode(
	const struct aur_vocab *vocab, const void *lookup, const char **at, const char *end, struct aur_output *output)
{
	while (*at < end && output->count < output->room) {
		const int64_t room = output->room - output->count;
		encode_run(vocab, lookup, at, end - *at < room ? end : *at + room, output);
	}
}

const struct aur_tokenizer_ops aur_tokenizer_char = {
	.kind = "char",
	.separator = "",
	.train_begin = char_train_begin,
	.train_add = char_train_add,
	.train_merge = char_train_merge,
	.train_pack = char_train_pack,
	.train_unpack = char_train_add,
	.train_clear = free,
	.train_end = char_train_end,
	.open = char_open,
	.close = char_close,
	.count = char_count,
	.encode = char_encode,
};
