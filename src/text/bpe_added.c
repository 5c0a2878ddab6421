#include "bpe_added.h"

#include <stdlib.h>
#include <string.h>

static void insert(struct aur_added *added, int64_t id)
{
	const struct aur_vocab *vocab = added->vocab;
	const size_t size = aur_vocab_token(vocab, id).size;
	int64_t at = added->n++;
	for (; at > 0 && aur_vocab_token(vocab, added->ids[at - 1]).size < size; at--)
		added->ids[at] = added->ids[at - 1];
	added->ids[at] = id;
	added->begins[(unsigned char)vocab->bytes[vocab->offsets[id]]] = 1;
}

aur_status aur_added_make(const struct aur_vocab *vocab, struct aur_added *added)
{
	added->vocab = vocab;
	added->ids = malloc(((size_t)vocab->n_added + 1) * sizeof *added->ids);
	if (!added->ids)
		return aur_fail(AUR_MEMORY, "no memory for %lld added tokens", (long long)vocab->n_added);
	for (int64_t i = 0; i < vocab->n_added; i++)
		if (vocab->added[2 * i + 1] == 0 && aur_vocab_token(vocab, vocab->added[2 * i]).size > 0)
			insert(added, vocab->added[2 * i]);
	return AUR_OK;
}

void aur_added_clear(struct aur_added *added)
{
	free(added->ids);
	*added = (struct aur_added){0};
}

static int64_t added_at(const struct aur_added *added, struct aur_text rest)
{
	for (int64_t i = 0; i < added->n; i++) {
		const struct aur_text token = aur_vocab_token(added->vocab, added->ids[i]);
		if (token.size <= rest.size && memcmp(token.bytes, rest.bytes, token.size) == 0)
			return added->ids[i];
	}
	return -1;
}

size_t aur_added_find(const struct aur_added *added, struct aur_text text, size_t at, int64_t *id)
{
	if (added->n == 0)
		return text.size;
	for (; at < text.size; at++) {
		if (!added->begins[(unsigned char)text.bytes[at]])
			continue;
		*id = added_at(added, (struct aur_text){text.bytes + at, text.size - at});
		if (*id >= 0)
			return at;
	}
	return at;
}
