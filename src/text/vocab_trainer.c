#include "internal.h"
#include "slices.h"

#include <stdlib.h>
#include <string.h>

struct aur_vocab_trainer {
	const struct aur_tokenizer_ops *ops;
	struct aur_tokenizer_options options; /* its texts are in `vocab`, or owned */
	char *specials;                       /* owned */
	struct aur_vocab vocab;               /* how the options are told in it; its tokens come last */
	void *seen;                           /* the kind's */
	struct aur_slices slices;
	struct aur_packed packed;
};

static aur_status keep_options(struct aur_vocab_trainer *trainer, const struct aur_tokenizer_options *options)
{
	trainer->options = *options;
	trainer->options.kind = trainer->vocab.kind;
	trainer->options.clean = trainer->vocab.clean;
	trainer->options.pattern = trainer->vocab.pattern;
	if (!options->specials)
		return AUR_OK;
	trainer->options.specials = trainer->specials = strdup(options->specials);
	return trainer->specials ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for a vocabulary");
}

aur_status aur_vocab_trainer_create(const struct aur_tokenizer_options *options, struct aur_vocab_trainer **trainer)
{
	*trainer = NULL;
	AUR_TRY(aur_tokenizer_options_check(options));
	struct aur_vocab_trainer *created = calloc(1, sizeof *created);
	if (!created)
		return aur_fail(AUR_MEMORY, "no memory for a vocabulary");
	created->ops = aur_tokenizer_kind(options->kind);
	aur_tokenizer_describe(options, &created->vocab);
	aur_status status = keep_options(created, options);
	if (status == AUR_OK)
		status = created->ops->train_begin(&created->vocab, &created->seen);
	*trainer = created;
	if (status != AUR_OK)
		aur_vocab_trainer_destroy(trainer);
	return status;
}

void aur_vocab_trainer_destroy(struct aur_vocab_trainer **trainer)
{
	if (!trainer || !*trainer)
		return;
	struct aur_vocab_trainer *old = *trainer;
	old->ops->train_clear(old->seen);
	aur_slices_clear(&old->slices);
	aur_vocab_clear(&old->vocab);
	free(old->specials);
	free(old->packed.bytes);
	free(old);
	*trainer = NULL;
}

aur_status aur_vocab_trainer_add(struct aur_vocab_trainer *trainer, struct aur_text piece, int continued)
{
	struct aur_slices *slices = &trainer->slices;
	struct aur_text slice;
	aur_status status;
	aur_slices_begin(slices, &trainer->vocab, piece);
	if (continued)
		aur_slices_continue(slices);
	while ((status = aur_slices_next(slices, &slice)) == AUR_OK && slice.size > 0)
		AUR_TRY(trainer->ops->train_add(trainer->seen, slice));
	return status;
}

aur_status aur_vocab_trainer_merge(struct aur_vocab_trainer *trainer, const struct aur_vocab_trainer *other)
{
	return trainer->ops->train_merge(trainer->seen, other->seen);
}

aur_status aur_vocab_trainer_pack(struct aur_vocab_trainer *trainer, int64_t *at, struct aur_text *part)
{
	trainer->packed.size = 0;
	AUR_TRY(trainer->ops->train_pack(trainer->seen, at, &trainer->packed));
	*part = (struct aur_text){trainer->packed.bytes, trainer->packed.size};
	return AUR_OK;
}

aur_status aur_vocab_trainer_unpack(struct aur_vocab_trainer *trainer, struct aur_text part)
{
	return trainer->ops->train_unpack(trainer->seen, part);
}

aur_status aur_vocab_trainer_finish(struct aur_vocab_trainer *trainer, struct aur_tokenizer **tokenizer)
{
	struct aur_word_figures figures = {0};
	struct aur_vocab vocab = trainer->vocab;
	const aur_status status = trainer->ops->train_end(trainer->seen, &trainer->options, &vocab, &figures);
	if (status != AUR_OK) {
		aur_vocab_clear(&vocab);
		return status;
	}
	AUR_TRY(aur_tokenizer_adopt(&vocab, tokenizer));
	(*tokenizer)->figures = figures;
	return AUR_OK;
}

const struct aur_vocab *aur_vocab_trainer_vocab(const struct aur_vocab_trainer *trainer)
{
	return &trainer->vocab;
}

/* ---- texts that are whole in memory ---- */

static aur_status add_texts(struct aur_vocab_trainer *trainer, const struct aur_text *texts, int64_t n_texts)
{
	for (int64_t i = 0; i < n_texts; i++)
		AUR_TRY(aur_vocab_trainer_add(trainer, texts[i], 0));
	return AUR_OK;
}

aur_status aur_tokenizer_train_texts(const struct aur_tokenizer_options *options, const struct aur_text *texts,
	int64_t n_texts, struct aur_tokenizer **tokenizer)
{
	struct aur_vocab_trainer *trainer;
	AUR_TRY(aur_tokenizer_options_check(options));
	if (!aur_tokenizer_kind(options->kind)->any_bytes || options->lowercase)
		AUR_TRY(aur_texts_check(texts, n_texts));
	AUR_TRY(aur_vocab_trainer_create(options, &trainer));
	aur_status status = add_texts(trainer, texts, n_texts);
	if (status == AUR_OK)
		status = aur_vocab_trainer_finish(trainer, tokenizer);
	aur_vocab_trainer_destroy(&trainer);
	return status;
}

aur_status aur_tokenizer_train(
	const struct aur_tokenizer_options *options, const char *text, size_t bytes, struct aur_tokenizer **tokenizer)
{
	return aur_tokenizer_train_texts(options, &(struct aur_text){text, bytes}, 1, tokenizer);
}

size_t aur_text_place(const struct aur_vocab *vocab, struct aur_text text, size_t from)
{
	return aur_slices_find_place(vocab, text, from);
}
