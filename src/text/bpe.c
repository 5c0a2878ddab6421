#include "bpe_added.h"
#include "bpe_kept.h"
#include "bpe_merge.h"
#include "bpe_train.h"
#include "internal.h"
#include "pretokenize.h"

#include <stdlib.h>
#include <string.h>

/* Byte-level BPE: a text is split into pieces by a pattern, and each piece is merged by itself. A text repeats its
 * pieces, so most come from a memory of those that were merged before. */

struct bpe_lookup {
	struct aur_pattern *pattern;
	struct aur_merges merges;
	struct aur_added added;
	struct aur_kept_pool *pool; /* of all workers */
};

struct bpe_worker {
	const struct aur_vocab *vocab;
	const struct bpe_lookup *lookup;
	struct aur_pretokenizer *pretokenizer;
	struct aur_merge_room room;
	struct aur_kept *kept; /* owned [AUR_KEPT_PIECES] */
};

/* ---- opening ---- */

static void bpe_close(void *lookup)
{
	struct bpe_lookup *bpe = lookup;
	if (!bpe)
		return;
	aur_pattern_destroy(&bpe->pattern);
	aur_merges_clear(&bpe->merges);
	aur_added_clear(&bpe->added);
	aur_kept_pool_destroy(&bpe->pool);
	free(bpe);
}

static aur_status bpe_open(const struct aur_vocab *vocab, void **lookup)
{
	aur_status status;
	if (vocab->unknown >= 0)
		return aur_fail(AUR_INPUT, "vocabulary: byte-level BPE has no unknown token, this one names %lld",
			(long long)vocab->unknown);
	struct bpe_lookup *bpe = calloc(1, sizeof *bpe);
	if (!bpe)
		return aur_fail(AUR_MEMORY, "no memory for a tokenizer");
	AUR_TRY_CLEANUP(aur_pattern_create(vocab->pattern, &bpe->pattern));
	AUR_TRY_CLEANUP(aur_merges_make(vocab, &bpe->merges));
	AUR_TRY_CLEANUP(aur_added_make(vocab, &bpe->added));
	AUR_TRY_CLEANUP(aur_kept_pool_create(&bpe->pool));
	*lookup = bpe;
	return AUR_OK;
cleanup:
	bpe_close(bpe);
	return status;
}

static void bpe_end(void *state)
{
	struct bpe_worker *worker = state;
	if (!worker)
		return;
	aur_pretokenizer_destroy(&worker->pretokenizer);
	aur_merge_room_clear(&worker->room);
	free(worker->kept);
	free(worker);
}

static aur_status bpe_begin(const struct aur_vocab *vocab, const void *lookup, void **state)
{
	struct bpe_worker *worker = calloc(1, sizeof *worker);
	struct aur_kept *kept = calloc(AUR_KEPT_PIECES, sizeof *kept);
	if (!worker || !kept) {
		free(worker);
		free(kept);
		return aur_fail(AUR_MEMORY, "no memory for the pieces of a text");
	}
	*worker = (struct bpe_worker){.vocab = vocab, .lookup = lookup, .kept = kept};
	const aur_status status = aur_pretokenizer_create(worker->lookup->pattern, &worker->pretokenizer);
	if (status != AUR_OK)
		bpe_end(worker);
	else
		*state = worker;
	return status;
}

/* ---- pieces ---- */

/* Appends the tokens of a piece that is not kept. */
static aur_status merge(struct bpe_worker *worker, struct aur_text piece, struct aur_token_list *list, int64_t *absent)
{
	const struct aur_merges *merges = &worker->lookup->merges;
	const int64_t whole = worker->vocab->ignore_merges ? aur_merges_token(merges, piece) : -1;
	if (whole >= 0) {
		list->ids[list->count++] = (uint32_t)whole;
		return AUR_OK;
	}
	for (size_t at = 0, part, count; at < piece.size; at += part) {
		part = aur_merges_part(merges, piece.bytes + at, piece.size - at);
		AUR_TRY(aur_merge_piece(merges, piece.bytes + at, part, &worker->room, &count, absent));
		memcpy(list->ids + list->count, worker->room.ids, count * sizeof *list->ids);
		list->count += (int64_t)count;
	}
	return AUR_OK;
}

/* Bytes that have no token are left out. */
static aur_status encode_new(struct bpe_worker *worker, struct aur_text piece, struct aur_token_list *list)
{
	int64_t absent = 0;
	AUR_TRY(merge(worker, piece, list, &absent));
	if (absent > 0 && list->unknown == 0)
		aur_note_unknown(piece, list->first_unknown);
	list->unknown += absent;
	return AUR_OK;
}

/* The piece's bytes with zeros behind them and its length at the end. Sixteen bytes are read at once where the text has
 * them. */
static inline void make_key(struct aur_text piece, const char *end, uint64_t key[2])
{
	static const unsigned char ones[32] = {
		255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
	uint64_t mask[2];
	if (end - piece.bytes >= (ptrdiff_t)sizeof mask) {
		memcpy(key, piece.bytes, sizeof mask);
		memcpy(mask, ones + sizeof mask - piece.size, sizeof mask);
		key[0] &= mask[0];
		key[1] &= mask[1];
	} else {
		key[0] = key[1] = 0;
		memcpy(key, piece.bytes, piece.size);
	}
	key[1] ^= (uint64_t)piece.size << 56;
}

/* Merges a piece that this thread does not keep, or takes it from another that has. */
static aur_status learn(
	struct bpe_worker *worker, struct aur_text piece, uint64_t hash, const uint64_t key[2], struct aur_token_list *list)
{
	struct aur_kept new = {.key = {key[0], key[1]}}, *kept = &worker->kept[hash % AUR_KEPT_PIECES];
	const int64_t before = list->count, unknown = list->unknown;
	if (aur_kept_pool_find(worker->lookup->pool, hash, &new)) {
		memcpy(list->ids + list->count, new.ids, sizeof new.ids);
		list->count += new.count;
		*kept = new;
		return AUR_OK;
	}
	AUR_TRY(encode_new(worker, piece, list));
	const int64_t count = list->count - before;
	if (count > 0 && count <= AUR_KEPT_TOKENS && list->unknown == unknown) {
		new.count = (uint32_t)count;
		memcpy(new.ids, list->ids + before, (size_t)count * sizeof *list->ids);
		*kept = new;
		aur_kept_pool_add(worker->lookup->pool, hash, &new);
	}
	return AUR_OK;
}

static aur_status encode_short(
	struct bpe_worker *worker, struct aur_text piece, const char *end, struct aur_token_list *list)
{
	uint64_t key[2];
	make_key(piece, end, key);
	const uint64_t hash = aur_kept_hash(key);
	struct aur_kept *kept = &worker->kept[hash % AUR_KEPT_PIECES];
	if (kept->key[0] != key[0] || kept->key[1] != key[1] || kept->count == 0)
		return learn(worker, piece, hash, key, list);
	memcpy(list->ids + list->count, kept->ids, sizeof kept->ids);
	list->count += kept->count;
	return AUR_OK;
}

/* ---- texts ---- */

/* A stretch of the text that holds no added token. */
static aur_status encode_stretch(struct bpe_worker *worker, struct aur_text text, struct aur_token_list *list)
{
	const char *end = text.bytes + text.size;
	size_t at = 0;
	while (at < text.size) {
		struct aur_text piece;
		AUR_TRY(aur_pretokenizer_next(worker->pretokenizer, text, &at, &piece));
		AUR_TRY(
			piece.size <= AUR_KEPT_BYTES ? encode_short(worker, piece, end, list) : encode_new(worker, piece, list));
	}
	return AUR_OK;
}

/* No more tokens than bytes; a kept piece is copied with the room for all it may have. */
static aur_status reserve(struct aur_token_list *list, size_t bytes)
{
	const int64_t room = (int64_t)bytes + AUR_KEPT_TOKENS;
	list->count = list->unknown = 0;
	if (list->room >= room)
		return AUR_OK;
	free(list->ids);
	list->ids = malloc((size_t)room * sizeof *list->ids);
	list->room = list->ids ? room : 0;
	return list->ids ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the tokens of %zu bytes of text", bytes);
}

static aur_status bpe_encode_slice(void *state, struct aur_text slice, struct aur_token_list *list)
{
	struct bpe_worker *worker = state;
	const struct aur_added *added = &worker->lookup->added;
	size_t at = 0;
	AUR_TRY(reserve(list, slice.size));
	while (at < slice.size) {
		int64_t id = -1;
		const size_t stop = aur_added_find(added, slice, at, &id);
		AUR_TRY(encode_stretch(worker, (struct aur_text){slice.bytes + at, stop - at}, list));
		at = stop;
		if (stop < slice.size) {
			list->ids[list->count++] = (uint32_t)id;
			at += aur_vocab_token(worker->vocab, id).size;
		}
	}
	return AUR_OK;
}

const struct aur_tokenizer_ops aur_tokenizer_bpe = {
	.kind = "bpe",
	.separator = "",
	.any_bytes = 1,
	.train_begin = aur_bpe_train_begin,
	.train_add = aur_bpe_train_add,
	.train_merge = aur_bpe_train_merge,
	.train_pack = aur_bpe_train_pack,
	.train_unpack = aur_bpe_train_unpack,
	.train_clear = aur_bpe_train_clear,
	.train_end = aur_bpe_train_end,
	.open = bpe_open,
	.close = bpe_close,
	.begin = bpe_begin,
	.end = bpe_end,
	.encode_slice = bpe_encode_slice,
};
