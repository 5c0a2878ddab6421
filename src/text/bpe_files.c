#include "bpe_merge.h"
#include "bpe_read.h"
#include "internal.h"
#include "text/bpe.h"
#include "unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next line; 0 at the end of the text. */
static int next_line(const char **at, const char *end, struct aur_text *line)
{
	if (*at == end)
		return 0;
	const char *stop = memchr(*at, '\n', (size_t)(end - *at));
	const char *next = stop ? stop + 1 : end;
	stop = stop ? stop : end;
	*line = (struct aur_text){*at, (size_t)(stop - *at)};
	if (line->size > 0 && stop[-1] == '\r')
		line->size--;
	*at = next;
	return 1;
}

static aur_status put_merges(json_t *numbers, struct aur_text text, struct aur_vocab *vocab)
{
	const char *at = text.bytes, *end = at + text.size;
	struct aur_text line;
	const int64_t most = aur_byte_count(text.bytes, text.size, '\n') + 1;
	vocab->merges = malloc(2 * (size_t)most * sizeof *vocab->merges);
	if (!vocab->merges)
		return aur_fail(AUR_MEMORY, "no memory for %lld merges", (long long)most);
	if (text.size > 8 && memcmp(text.bytes, "#version", 8) == 0)
		next_line(&at, end, &line);
	while (next_line(&at, end, &line)) {
		if (line.size == 0)
			continue;
		AUR_TRY(
			aur_bpe_pair_of_line(numbers, vocab->n_merges, line.bytes, line.size, vocab->merges + 2 * vocab->n_merges));
		vocab->n_merges++;
	}
	return AUR_OK;
}

static void mark_made(const struct aur_merges *merges, unsigned char *made)
{
	for (int byte = 0; byte < 256; byte++)
		if (merges->bytes[byte] >= 0)
			made[merges->bytes[byte]] = 1;
	for (size_t i = 0; i <= merges->mask; i++)
		if (merges->slots[i].rank != AUR_NO_RANK)
			made[merges->slots[i].token] = 1;
}

/* What no text can give is special. */
static aur_status put_special(struct aur_vocab *vocab)
{
	struct aur_merges merges = {0};
	unsigned char *made = calloc((size_t)vocab->size, 1);
	int64_t *added = malloc(2 * (size_t)vocab->size * sizeof *added);
	aur_status status = made && added ? aur_merges_make(vocab, &merges)
									  : aur_fail(AUR_MEMORY, "no memory for %lld tokens", (long long)vocab->size);
	if (status == AUR_OK) {
		mark_made(&merges, made);
		free(vocab->added);
		vocab->added = added;
		for (int64_t id = 0; id < vocab->size; id++)
			if (!made[id] && aur_vocab_token(vocab, id).size > 0) {
				added[2 * vocab->n_added] = id;
				added[2 * vocab->n_added++ + 1] = 1;
			}
		added = NULL;
	}
	aur_merges_clear(&merges);
	free(made);
	free(added);
	return status;
}

static aur_status read_parsed(json_t *numbers, struct aur_text merges, struct aur_vocab *vocab)
{
	if (!json_is_object(numbers))
		return aur_fail(AUR_INPUT, "the tokens are no JSON object of names and numbers");
	snprintf(vocab->kind, sizeof vocab->kind, "bpe");
	snprintf(vocab->clean, sizeof vocab->clean, "none");
	snprintf(vocab->pattern, sizeof vocab->pattern, "gpt2");
	vocab->unknown = -1;
	AUR_TRY(aur_bpe_put_tokens(numbers, NULL, 0, vocab));
	AUR_TRY(put_merges(numbers, merges, vocab));
	return put_special(vocab);
}

aur_status aur_bpe_read_files(
	const char *tokens, size_t tokens_bytes, const char *merges, size_t merges_bytes, struct aur_vocab *vocab)
{
	json_t *numbers = NULL;
	AUR_TRY(aur_bpe_parse(tokens, tokens_bytes, &numbers));
	const aur_status status = read_parsed(numbers, (struct aur_text){merges, merges_bytes}, vocab);
	json_decref(numbers);
	return status;
}
