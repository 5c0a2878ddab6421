#include "shard.h"

#include "train/signals.h"

#include <string.h>

void aur_shard_unload(struct aur_shard *shard)
{
	if (shard->loaded && !shard->lent)
		aur_unit_result_clear(&shard->result);
	shard->loaded = 0;
}

static aur_status load(struct aur_shard *shard)
{
	if (shard->loaded)
		return AUR_OK;
	AUR_TRY(aur_unit_store_get(
		shard->shards->request.store, &shard->shards->units[shard->unit], &shard->result, &shard->lent));
	shard->loaded = 1;
	return AUR_OK;
}

static void tally(int64_t *lanes, const void *tokens, int64_t count, int token_bytes)
{
	const uint16_t *narrow = tokens;
	const uint32_t *wide = tokens;
	if (token_bytes == 2)
		for (int64_t i = 0; i < count; i++)
			lanes[narrow[i] * AUR_SHARD_LANES + i % AUR_SHARD_LANES]++;
	else
		for (int64_t i = 0; i < count; i++)
			lanes[(int64_t)wide[i] * AUR_SHARD_LANES + i % AUR_SHARD_LANES]++;
}

static void put_token(void *out, int token_bytes, int64_t token)
{
	const uint16_t narrow = (uint16_t)token;
	const uint32_t wide = (uint32_t)token;
	memcpy(out, token_bytes == 2 ? (const void *)&narrow : &wide, (size_t)token_bytes);
}

static void to_next_unit(struct aur_shard *shard)
{
	while (shard->at >= shard->shards->places[shard->unit + 1].begin) {
		aur_shard_unload(shard);
		shard->unit++;
	}
}

/* Tokens from `at` on, as far as the unit has any; a text's end behind them. */
static aur_status copy_some(struct aur_shard *shard, int token_bytes, int64_t room, char *out, int64_t *copied)
{
	to_next_unit(shard);
	const int64_t within = shard->at - shard->shards->places[shard->unit].begin;
	const int64_t left = shard->shards->units[shard->unit].tokens - within;
	*copied = 1;
	if (left == 0) {
		put_token(out, token_bytes, shard->shards->request.end_of_text);
		return AUR_OK;
	}
	AUR_TRY(load(shard));
	*copied = left < room ? left : room;
	memcpy(out, (const char *)shard->result.tokens + within * token_bytes, (size_t)(*copied * token_bytes));
	return AUR_OK;
}

aur_status aur_shard_tokens(void *context, int token_bytes, int64_t count, void *tokens)
{
	struct aur_shard *shard = context;
	struct aur_shards *shards = shard->shards;
	char *out = tokens;
	if (aur_signals_pending(NULL))
		return AUR_STOPPED;
	for (int64_t done = 0, copied; done < count; done += copied) {
		AUR_TRY(copy_some(shard, token_bytes, count - done, out + done * token_bytes, &copied));
		shard->at += copied;
	}
	tally(shards->lanes, tokens, count, token_bytes);
	shards->written += count;
	aur_progress_show(
		shards->request.line, "writing", (double)(shards->written * token_bytes), (double)(shards->mine * token_bytes));
	return AUR_OK;
}
