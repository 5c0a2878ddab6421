#include "vocab_h5.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char group[] = "/tokenizer";

static int is_subwords(const struct aur_vocab *vocab)
{
	return strcmp(vocab->kind, "bpe") == 0;
}

static aur_status put_subwords(struct aur_h5 *file, const struct aur_vocab *vocab)
{
	AUR_TRY(aur_h5_put_text(file, group, "pattern", vocab->pattern));
	AUR_TRY(aur_h5_put_int(file, group, "ignore_merges", vocab->ignore_merges));
	return aur_h5_put_list(file, "/tokenizer/added", AUR_H5_I64, vocab->added, 2 * vocab->n_added);
}

aur_status aur_h5_put_vocab(struct aur_h5 *file, const struct aur_vocab *vocab)
{
	AUR_TRY(aur_h5_group(file, group));
	AUR_TRY(aur_h5_put_text(file, group, "kind", vocab->kind));
	AUR_TRY(aur_h5_put_text(file, group, "clean", vocab->clean));
	AUR_TRY(aur_h5_put_int(file, group, "lowercase", vocab->lowercase));
	AUR_TRY(aur_h5_put_int(file, group, "unknown", vocab->unknown));
	AUR_TRY(aur_h5_put_int(file, group, "vocab_size", vocab->size));
	AUR_TRY(aur_h5_put_uint(file, group, "hash", aur_vocab_hash(vocab)));
	AUR_TRY(aur_h5_put_list(file, "/tokenizer/vocab", AUR_H5_U8, vocab->bytes, vocab->offsets[vocab->size]));
	AUR_TRY(aur_h5_put_list(file, "/tokenizer/offsets", AUR_H5_I64, vocab->offsets, vocab->size + 1));
	AUR_TRY(aur_h5_put_list(file, "/tokenizer/merges", AUR_H5_I64, vocab->merges, 2 * vocab->n_merges));
	return is_subwords(vocab) ? put_subwords(file, vocab) : AUR_OK;
}

static aur_status get_attributes(struct aur_h5 *file, struct aur_vocab *vocab, uint64_t *hash)
{
	int64_t lowercase = 0;
	AUR_TRY(aur_h5_get_text(file, group, "kind", vocab->kind, sizeof vocab->kind));
	AUR_TRY(aur_h5_get_text(file, group, "clean", vocab->clean, sizeof vocab->clean));
	AUR_TRY(aur_h5_get_int(file, group, "lowercase", &lowercase));
	AUR_TRY(aur_h5_get_int(file, group, "unknown", &vocab->unknown));
	AUR_TRY(aur_h5_get_int(file, group, "vocab_size", &vocab->size));
	AUR_TRY(aur_h5_get_uint(file, group, "hash", hash));
	if (lowercase != 0 && lowercase != 1)
		return aur_h5_damaged(file, group, "lowercase is %" PRId64 ", neither 0 nor 1", lowercase);
	if (vocab->size < 1 || vocab->size > INT32_MAX)
		return aur_h5_damaged(file, group, "vocab_size is %" PRId64, vocab->size);
	vocab->lowercase = (int)lowercase;
	return AUR_OK;
}

static aur_status get_lists(struct aur_h5 *file, struct aur_vocab *vocab, int64_t *bytes)
{
	void *data;
	int64_t offsets, merges;
	AUR_TRY(aur_h5_get_list(file, "/tokenizer/vocab", AUR_H5_U8, &data, bytes));
	vocab->bytes = data;
	AUR_TRY(aur_h5_get_list(file, "/tokenizer/offsets", AUR_H5_I64, &data, &offsets));
	vocab->offsets = data;
	AUR_TRY(aur_h5_get_list(file, "/tokenizer/merges", AUR_H5_I64, &data, &merges));
	vocab->merges = data;
	if (offsets != vocab->size + 1)
		return aur_h5_damaged(
			file, "/tokenizer/offsets", "has %" PRId64 " entries for %" PRId64 " tokens", offsets, vocab->size);
	if (merges % 2 != 0)
		return aur_h5_damaged(file, "/tokenizer/merges", "has %" PRId64 " numbers, not pairs", merges);
	vocab->n_merges = merges / 2;
	return AUR_OK;
}

static aur_status get_subwords(struct aur_h5 *file, struct aur_vocab *vocab)
{
	int64_t ignore_merges = 0, added;
	void *data;
	AUR_TRY(aur_h5_get_text(file, group, "pattern", vocab->pattern, sizeof vocab->pattern));
	AUR_TRY(aur_h5_get_int(file, group, "ignore_merges", &ignore_merges));
	AUR_TRY(aur_h5_get_list(file, "/tokenizer/added", AUR_H5_I64, &data, &added));
	vocab->added = data;
	if (ignore_merges != 0 && ignore_merges != 1)
		return aur_h5_damaged(file, group, "ignore_merges is %" PRId64 ", neither 0 nor 1", ignore_merges);
	if (added % 2 != 0)
		return aur_h5_damaged(file, "/tokenizer/added", "has %" PRId64 " numbers, not pairs", added);
	vocab->ignore_merges = (int)ignore_merges;
	vocab->n_added = added / 2;
	return AUR_OK;
}

static aur_status get_checked(struct aur_h5 *file, struct aur_vocab *vocab)
{
	uint64_t hash;
	int64_t bytes;
	AUR_TRY(get_attributes(file, vocab, &hash));
	AUR_TRY(get_lists(file, vocab, &bytes));
	if (is_subwords(vocab))
		AUR_TRY(get_subwords(file, vocab));
	const aur_status status = aur_vocab_check(vocab, (size_t)bytes);
	if (status != AUR_OK)
		return aur_add_context(status, "%s: %s", aur_h5_path(file), group);
	if (aur_vocab_hash(vocab) != hash)
		return aur_h5_damaged(file, group, "its hash is not that of its content");
	return AUR_OK;
}

aur_status aur_h5_get_vocab(struct aur_h5 *file, struct aur_vocab *vocab)
{
	const aur_status status = get_checked(file, vocab);
	if (status != AUR_OK)
		aur_vocab_clear(vocab);
	return status;
}
