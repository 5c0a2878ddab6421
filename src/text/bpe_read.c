#include "bpe_read.h"

#include "bpe_alphabet.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

/* Numbers may have gaps, but no more than there are tokens, and some. */
enum { GAPS = 1 << 16 };

/* A token's place in the file, by its number. */
struct entry {
	const char *name;
	size_t size;
	int verbatim; /* the bytes themselves, not characters for them */
};

aur_status aur_bpe_parse(const char *text, size_t bytes, json_t **parsed)
{
	json_error_t error;
	*parsed = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
	if (*parsed)
		return AUR_OK;
	return aur_fail(AUR_INPUT, "no JSON: line %d, column %d: %s", error.line, error.column, error.text);
}

/* ---- tokens ---- */

static aur_status number_of(const char *name, const json_t *value, int64_t most, int64_t *id)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= most)
		return aur_fail(AUR_INPUT, "token '%.60s' has no number from 0 to %lld", name, (long long)most - 1);
	*id = json_integer_value(value);
	return AUR_OK;
}

static aur_status put_entry(struct entry *entries, int64_t id, struct entry entry)
{
	if (entries[id].name && (!entry.verbatim || strcmp(entries[id].name, entry.name) != 0))
		return aur_fail(AUR_INPUT, "tokens '%.60s' and '%.60s' both have the number %lld", entries[id].name, entry.name,
			(long long)id);
	entries[id] = entry;
	return AUR_OK;
}

/* An added token may stand in the object too. */
static aur_status collect(json_t *numbers, const struct aur_added_token *added, int64_t n_added, int64_t most,
	struct entry *entries, int64_t *size)
{
	const char *name;
	json_t *value;
	int64_t id = 0;
	json_object_foreach(numbers, name, value)
	{
		AUR_TRY(number_of(name, value, most, &id));
		AUR_TRY(put_entry(entries, id, (struct entry){name, strlen(name), 0}));
		*size = id >= *size ? id + 1 : *size;
	}
	for (int64_t i = 0; i < n_added; i++) {
		id = added[i].id;
		if (id < 0 || id >= most)
			return aur_fail(
				AUR_INPUT, "added token '%.60s' has no number from 0 to %lld", added[i].content, (long long)most - 1);
		AUR_TRY(put_entry(entries, id, (struct entry){added[i].content, added[i].size, 1}));
		*size = id >= *size ? id + 1 : *size;
	}
	return *size > 0 ? AUR_OK : aur_fail(AUR_INPUT, "there are no tokens");
}

static aur_status write_tokens(const struct entry *entries, int64_t size, struct aur_vocab *vocab)
{
	size_t bytes = 1;
	for (int64_t id = 0; id < size; id++)
		bytes += entries[id].size;
	vocab->bytes = malloc(bytes);
	vocab->offsets = calloc((size_t)size + 1, sizeof *vocab->offsets);
	if (!vocab->bytes || !vocab->offsets)
		return aur_fail(AUR_MEMORY, "no memory for a vocabulary of %lld tokens", (long long)size);
	for (int64_t id = 0; id < size; id++) {
		char *out = vocab->bytes + vocab->offsets[id];
		ptrdiff_t written = (ptrdiff_t)entries[id].size;
		if (entries[id].verbatim)
			memcpy(out, entries[id].name, entries[id].size);
		else
			written = aur_alphabet_bytes(entries[id].name, entries[id].size, out);
		if (written < 0)
			return aur_fail(AUR_INPUT,
				"token %lld, '%.60s', holds a character that stands for no byte: this is no byte-level BPE",
				(long long)id, entries[id].name);
		vocab->offsets[id + 1] = vocab->offsets[id] + written;
		vocab->size = id + 1;
	}
	return AUR_OK;
}

static aur_status note_added(const struct aur_added_token *added, int64_t n, struct aur_vocab *vocab)
{
	vocab->added = malloc((2 * (size_t)n + 1) * sizeof *vocab->added);
	if (!vocab->added)
		return aur_fail(AUR_MEMORY, "no memory for %lld added tokens", (long long)n);
	vocab->n_added = n;
	for (int64_t i = 0; i < n; i++) {
		vocab->added[2 * i] = added[i].id;
		vocab->added[2 * i + 1] = added[i].special;
	}
	return AUR_OK;
}

aur_status aur_bpe_put_tokens(
	json_t *numbers, const struct aur_added_token *added, int64_t n_added, struct aur_vocab *vocab)
{
	const int64_t most = 2 * ((int64_t)json_object_size(numbers) + n_added) + GAPS;
	int64_t size = 0;
	struct entry *entries = calloc((size_t)most, sizeof *entries);
	if (!entries)
		return aur_fail(AUR_MEMORY, "no memory for %lld tokens", (long long)most);
	aur_status status = collect(numbers, added, n_added, most, entries, &size);
	if (status == AUR_OK)
		status = write_tokens(entries, size, vocab);
	free(entries);
	return status == AUR_OK ? note_added(added, n_added, vocab) : status;
}

/* ---- merges ---- */

static aur_status find(json_t *numbers, int64_t rank, const char *name, size_t bytes, int64_t *id)
{
	const json_t *value = bytes > 0 ? json_object_getn(numbers, name, bytes) : NULL;
	if (!value)
		return aur_fail(
			AUR_INPUT, "merge %lld: '%.*s' is no token", (long long)rank, bytes < 60 ? (int)bytes : 60, name);
	*id = json_integer_value(value);
	return AUR_OK;
}

aur_status aur_bpe_pair(json_t *numbers, int64_t rank, const char *left, size_t left_bytes, const char *right,
	size_t right_bytes, int64_t pair[2])
{
	AUR_TRY(find(numbers, rank, left, left_bytes, &pair[0]));
	return find(numbers, rank, right, right_bytes, &pair[1]);
}

aur_status aur_bpe_pair_of_line(json_t *numbers, int64_t rank, const char *line, size_t bytes, int64_t pair[2])
{
	const char *space = memchr(line, ' ', bytes);
	if (!space)
		return aur_fail(AUR_INPUT, "merge %lld, '%.*s', is no pair of tokens with a space between", (long long)rank,
			bytes < 60 ? (int)bytes : 60, line);
	const size_t left = (size_t)(space - line);
	return aur_bpe_pair(numbers, rank, line, left, space + 1, bytes - left - 1, pair);
}
