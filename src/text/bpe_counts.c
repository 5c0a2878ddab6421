#include "bpe_train.h"
#include "pretokenize.h"

#include <stdlib.h>

/* What is seen of texts before a vocabulary is made of them: their distinct pieces. */
struct seen {
	struct aur_pattern *pattern;
	struct aur_pretokenizer *pretokenizer;
	struct aur_words counts;
};

void aur_bpe_train_clear(void *seen)
{
	struct seen *pieces = seen;
	if (!pieces)
		return;
	aur_words_clear(&pieces->counts);
	aur_pretokenizer_destroy(&pieces->pretokenizer);
	aur_pattern_destroy(&pieces->pattern);
	free(pieces);
}

aur_status aur_bpe_train_begin(const struct aur_vocab *vocab, void **seen)
{
	aur_status status;
	struct seen *pieces = calloc(1, sizeof *pieces);
	if (!pieces)
		return aur_fail(AUR_MEMORY, "no memory for the pieces of a text");
	AUR_TRY_CLEANUP(aur_pattern_create(vocab->pattern, &pieces->pattern));
	AUR_TRY_CLEANUP(aur_pretokenizer_create(pieces->pattern, &pieces->pretokenizer));
	*seen = pieces;
	return AUR_OK;
cleanup:
	aur_bpe_train_clear(pieces);
	return status;
}

aur_status aur_bpe_train_add(void *seen, struct aur_text slice)
{
	struct seen *pieces = seen;
	struct aur_text piece;
	for (size_t at = 0; at < slice.size;) {
		AUR_TRY(aur_pretokenizer_next(pieces->pretokenizer, slice, &at, &piece));
		AUR_TRY(aur_words_tally(&pieces->counts, piece, 1));
	}
	return AUR_OK;
}

aur_status aur_bpe_train_merge(void *seen, const void *other)
{
	struct seen *pieces = seen;
	const struct seen *others = other;
	return aur_words_merge(&pieces->counts, &others->counts);
}

aur_status aur_bpe_train_pack(const void *seen, int64_t *at, struct aur_packed *packed)
{
	const struct seen *pieces = seen;
	return aur_words_pack(&pieces->counts, at, packed);
}

aur_status aur_bpe_train_unpack(void *seen, struct aur_text packed)
{
	struct seen *pieces = seen;
	return aur_words_unpack(&pieces->counts, packed);
}

aur_status aur_bpe_train_end(
	void *seen, const struct aur_tokenizer_options *options, struct aur_vocab *vocab, struct aur_word_figures *figures)
{
	struct seen *pieces = seen;
	(void)figures;
	return aur_bpe_train(options, &pieces->counts, vocab);
}
