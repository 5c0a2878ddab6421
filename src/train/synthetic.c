#include "synthetic.h"

#include "core/rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char name[] = "synthetic";

int aur_synthetic_is(const char *value)
{
	const size_t length = sizeof name - 1;
	return strncmp(value, name, length) == 0 && (value[length] == '\0' || value[length] == ':');
}

static aur_status read_size(const char *value, int64_t *size)
{
	const char *digits = value + sizeof name - 1;
	*size = AUR_SYNTHETIC_VOCAB;
	if (*digits == '\0')
		return AUR_OK;
	digits++;
	char *end;
	errno = 0;
	*size = strtoll(digits, &end, 10);
	if (digits[0] >= '0' && digits[0] <= '9' && *end == '\0' && errno == 0 && *size >= 2 &&
		*size <= AUR_SYNTHETIC_VOCAB_MAX)
		return AUR_OK;
	return aur_fail(AUR_USAGE, "data.train: %s: a vocabulary of 2 to %d tokens is needed, as in synthetic:%d", value,
		(int)AUR_SYNTHETIC_VOCAB_MAX, (int)AUR_SYNTHETIC_VOCAB);
}

aur_status aur_synthetic_vocab(const char *value, struct aur_vocab *vocab)
{
	int64_t size;
	*vocab = (struct aur_vocab){.unknown = -1};
	AUR_TRY(read_size(value, &size));
	snprintf(vocab->kind, sizeof vocab->kind, "%s", name);
	snprintf(vocab->clean, sizeof vocab->clean, "none");
	vocab->size = size;
	/* Every token is the empty text. */
	vocab->offsets = calloc((size_t)size + 1, sizeof *vocab->offsets);
	vocab->bytes = calloc(1, 1);
	vocab->merges = calloc(1, sizeof *vocab->merges);
	if (vocab->offsets && vocab->bytes && vocab->merges)
		return AUR_OK;
	aur_vocab_clear(vocab);
	return aur_fail(AUR_MEMORY, "data.train: %s: no memory for its vocabulary", value);
}

int64_t aur_synthetic_tokens(enum aur_split split)
{
	return (int64_t)1 << (split == AUR_TRAIN ? 40 : 16);
}

/* Four tokens a counter. A word times the vocabulary's size, of which the upper half counts, is below that size; some
 * tokens come more often than others by at most size / 2^32. */
void aur_synthetic_read(
	uint64_t seed, int64_t vocab_size, enum aur_split split, int64_t begin, int64_t count, int32_t *out)
{
	const uint32_t stream = aur_rng_stream(AUR_SITE_SYNTHETIC, (uint32_t)split, 0);
	int64_t done = 0;
	while (done < count) {
		const uint64_t group = (uint64_t)(begin + done) / 4;
		const struct aur_random4 random = aur_philox(seed, (uint32_t)group, stream, group >> 32);
		for (int64_t i = (begin + done) % 4; i < 4 && done < count; i++)
			out[done++] = (int32_t)((uint64_t)random.v[i] * (uint64_t)vocab_size >> 32);
	}
}
