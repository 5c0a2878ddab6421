#include "shard.h"

#include <stdlib.h>

static aur_status load_documents(struct aur_shard *shard, int64_t unit)
{
	if (!shard->documents_lent)
		free(shard->documents);
	shard->documents = NULL;
	shard->document_unit = unit;
	shard->document = 0;
	if (aur_shards_is_text(shard->shards, unit))
		return AUR_OK;
	return aur_unit_store_documents(
		shard->shards->request.store, &shard->shards->units[unit], &shard->documents, &shard->documents_lent);
}

static int64_t documents_of(const struct aur_shard *shard, int64_t unit)
{
	const struct aur_shards *shards = shard->shards;
	return aur_shards_is_text(shards, unit) ? shards->places[unit].opening : shards->units[unit].documents;
}

/* The start, among all tokens, of the next document at or after the cursor; INT64_MAX: there is none. */
static aur_status next_document(struct aur_shard *shard, int64_t *start)
{
	const struct aur_shards *shards = shard->shards;
	while (shard->document_unit < shards->count && shard->document == documents_of(shard, shard->document_unit)) {
		if (shard->document_unit + 1 == shards->count) {
			*start = INT64_MAX;
			return AUR_OK;
		}
		AUR_TRY(load_documents(shard, shard->document_unit + 1));
	}
	*start = shards->places[shard->document_unit].begin + (shard->documents ? shard->documents[shard->document] : 0);
	return AUR_OK;
}

/* Puts the cursor on the first document that starts at `at` or later. */
static aur_status seek_document(struct aur_shard *shard, int64_t at)
{
	int64_t start;
	AUR_TRY(load_documents(shard, aur_shards_unit_at(shard->shards, at)));
	AUR_TRY(next_document(shard, &start));
	while (start < at) {
		shard->document++;
		AUR_TRY(next_document(shard, &start));
	}
	return AUR_OK;
}

aur_status aur_shard_count_documents(struct aur_shard *shard, int64_t begin, int64_t end, int64_t *documents)
{
	const struct aur_shards *shards = shard->shards;
	int64_t start;
	*documents = 0;
	if (begin == end)
		return AUR_OK;
	AUR_TRY(seek_document(shard, begin));
	for (;;) {
		const int64_t unit = shard->document_unit;
		if (shard->document == 0 && shards->places[unit + 1].begin <= end) {
			*documents += documents_of(shard, unit);
			shard->document = documents_of(shard, unit);
		}
		AUR_TRY(next_document(shard, &start));
		if (start >= end)
			return AUR_OK;
		if (shard->document_unit == unit) {
			++*documents;
			shard->document++;
		}
	}
}

aur_status aur_shard_documents(void *context, int64_t count, uint64_t *starts)
{
	struct aur_shard *shard = context;
	const int part = shard->given[0] < shard->part_documents[0] ? 0 : 1;
	if (shard->given[part] == 0)
		AUR_TRY(seek_document(shard, shard->part_begin[part]));
	for (int64_t i = 0; i < count; i++) {
		int64_t start;
		AUR_TRY(next_document(shard, &start));
		starts[i] = (uint64_t)(start - shard->part_begin[part]);
		shard->document++;
	}
	shard->given[part] += count;
	return AUR_OK;
}
