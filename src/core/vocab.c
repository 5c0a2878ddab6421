#include "core/vocab.h"

#include <stdlib.h>
#include <string.h>

static aur_status copy_bytes(const void *from, size_t bytes, void **to)
{
	*to = malloc(bytes > 0 ? bytes : 1);
	if (!*to)
		return aur_fail(AUR_MEMORY, "vocabulary: no memory for %zu bytes", bytes);
	if (bytes > 0)
		memcpy(*to, from, bytes);
	return AUR_OK;
}

aur_status aur_vocab_copy(const struct aur_vocab *vocab, struct aur_vocab *copy)
{
	*copy = *vocab;
	copy->bytes = NULL;
	copy->offsets = NULL;
	copy->merges = NULL;
	copy->added = NULL;
	void *bytes = NULL, *offsets = NULL, *merges = NULL, *added = NULL;
	aur_status status;
	AUR_TRY_CLEANUP(copy_bytes(vocab->bytes, (size_t)vocab->offsets[vocab->size], &bytes));
	copy->bytes = bytes;
	AUR_TRY_CLEANUP(copy_bytes(vocab->offsets, ((size_t)vocab->size + 1) * sizeof *vocab->offsets, &offsets));
	copy->offsets = offsets;
	AUR_TRY_CLEANUP(copy_bytes(vocab->merges, 2 * (size_t)vocab->n_merges * sizeof *vocab->merges, &merges));
	copy->merges = merges;
	AUR_TRY_CLEANUP(copy_bytes(vocab->added, 2 * (size_t)vocab->n_added * sizeof *vocab->added, &added));
	copy->added = added;
	return AUR_OK;
cleanup:
	aur_vocab_clear(copy);
	return status;
}

void aur_vocab_clear(struct aur_vocab *vocab)
{
	if (!vocab)
		return;
	free(vocab->bytes);
	free(vocab->offsets);
	free(vocab->merges);
	free(vocab->added);
	*vocab = (struct aur_vocab){0};
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes)
{
	const unsigned char *byte = data;
	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ byte[i]) * 0x100000001b3u;
	return hash;
}

static uint64_t hash_integer(uint64_t hash, int64_t value)
{
	unsigned char little[8];
	for (int i = 0; i < 8; i++)
		little[i] = (unsigned char)((uint64_t)value >> (8 * i));
	return hash_bytes(hash, little, sizeof little);
}

/* The number of merges too: without it a merge could pass for an added token. */
static uint64_t hash_subwords(uint64_t hash, const struct aur_vocab *vocab)
{
	hash = hash_integer(hash, vocab->n_merges);
	hash = hash_bytes(hash, vocab->pattern, strlen(vocab->pattern) + 1);
	hash = hash_integer(hash, vocab->ignore_merges);
	for (int64_t i = 0; i < 2 * vocab->n_added; i++)
		hash = hash_integer(hash, vocab->added[i]);
	return hash;
}

uint64_t aur_vocab_hash(const struct aur_vocab *vocab)
{
	uint64_t hash = 0xcbf29ce484222325u;
	hash = hash_bytes(hash, vocab->kind, strlen(vocab->kind) + 1);
	hash = hash_bytes(hash, vocab->clean, strlen(vocab->clean) + 1);
	hash = hash_integer(hash, vocab->lowercase);
	hash = hash_integer(hash, vocab->unknown);
	hash = hash_integer(hash, vocab->size);
	for (int64_t i = 0; i <= vocab->size; i++)
		hash = hash_integer(hash, vocab->offsets[i]);
	hash = hash_bytes(hash, vocab->bytes, (size_t)vocab->offsets[vocab->size]);
	for (int64_t i = 0; i < 2 * vocab->n_merges; i++)
		hash = hash_integer(hash, vocab->merges[i]);
	return strcmp(vocab->kind, "bpe") == 0 ? hash_subwords(hash, vocab) : hash;
}

aur_status aur_vocab_check(const struct aur_vocab *vocab, size_t total)
{
	if (vocab->size < 1 || vocab->offsets[0] != 0)
		return aur_fail(AUR_INPUT, "vocabulary: empty, or its offsets do not start at 0");
	for (int64_t i = 0; i < vocab->size; i++)
		if (vocab->offsets[i + 1] < vocab->offsets[i])
			return aur_fail(AUR_INPUT, "vocabulary: offsets descend at token %lld", (long long)i);
	if ((uint64_t)vocab->offsets[vocab->size] != total)
		return aur_fail(AUR_INPUT, "vocabulary: offsets end at %lld, the tokens have %zu bytes",
			(long long)vocab->offsets[vocab->size], total);
	if (vocab->unknown < -1 || vocab->unknown >= vocab->size)
		return aur_fail(AUR_INPUT, "vocabulary: unknown token %lld is not in it", (long long)vocab->unknown);
	for (int64_t i = 0; i < 2 * vocab->n_merges; i++)
		if (vocab->merges[i] < 0 || vocab->merges[i] >= vocab->size)
			return aur_fail(AUR_INPUT, "vocabulary: merge %lld names a token that is not in it", (long long)(i / 2));
	for (int64_t i = 0; i < 2 * vocab->n_added; i += 2)
		if (vocab->added[i] < 0 || vocab->added[i] >= vocab->size || (vocab->added[i + 1] & ~INT64_C(1)) != 0)
			return aur_fail(AUR_INPUT, "vocabulary: added token %lld is not in it", (long long)(i / 2));
	return AUR_OK;
}

int64_t aur_vocab_end_of_text(const struct aur_vocab *vocab)
{
	static const char *const names[] = {"<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"};
	for (size_t name = 0; name < sizeof names / sizeof *names; name++)
		for (int64_t i = 0; i < vocab->n_added; i++) {
			const int64_t id = vocab->added[2 * i], bytes = vocab->offsets[id + 1] - vocab->offsets[id];
			if (vocab->added[2 * i + 1] == 1 && (size_t)bytes == strlen(names[name]) &&
				memcmp(vocab->bytes + vocab->offsets[id], names[name], (size_t)bytes) == 0)
				return id;
		}
	return -1;
}
