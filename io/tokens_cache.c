#include "tokens_file.h"

#include <stdlib.h>

struct kept {
	const void *part; /* NULL: holds nothing */
	int64_t chunk, used;
	unsigned char *bytes; /* owned */
};

struct aur_token_cache {
	struct kept *kept;
	int64_t size, filled, clock;
	XXH3_state_t *hash; /* owned */
};

aur_status aur_token_cache_create(int64_t chunks, struct aur_token_cache **cache)
{
	struct aur_token_cache *new = *cache = calloc(1, sizeof **cache);
	if (new) {
		new->size = chunks;
		new->kept = calloc((size_t)chunks, sizeof *new->kept);
		new->hash = XXH3_createState();
	}
	if (new &&new->kept &&new->hash)
		return AUR_OK;
	aur_token_cache_destroy(cache);
	return aur_fail(AUR_MEMORY, "no memory to keep %lld chunks of tokens", (long long)chunks);
}

void aur_token_cache_destroy(struct aur_token_cache **cache)
{
	if (!cache || !*cache)
		return;
	for (int64_t i = 0; i < (*cache)->filled; i++)
		free((*cache)->kept[i].bytes);
	free((*cache)->kept);
	XXH3_freeState((*cache)->hash);
	free(*cache);
	*cache = NULL;
}

const unsigned char *aur_token_cache_find(struct aur_token_cache *cache, const void *part, int64_t chunk)
{
	for (int64_t i = 0; i < cache->filled; i++) {
		struct kept *kept = &cache->kept[i];
		if (kept->chunk == chunk && kept->part == part) {
			kept->used = ++cache->clock;
			return kept->bytes;
		}
	}
	return NULL;
}

unsigned char *aur_token_cache_take(struct aur_token_cache *cache)
{
	struct kept *oldest = &cache->kept[0];
	if (cache->filled < cache->size) {
		oldest = &cache->kept[cache->filled];
		oldest->bytes = malloc(AUR_TOKENS_CHUNK_BYTES);
		cache->filled += oldest->bytes != NULL;
		return oldest->bytes;
	}
	for (int64_t i = 1; i < cache->size; i++)
		if (cache->kept[i].used < oldest->used)
			oldest = &cache->kept[i];
	oldest->part = NULL;
	return oldest->bytes;
}

void aur_token_cache_name(struct aur_token_cache *cache, const unsigned char *place, const void *part, int64_t chunk)
{
	for (int64_t i = 0; i < cache->filled; i++)
		if (cache->kept[i].bytes == place) {
			cache->kept[i].part = part;
			cache->kept[i].chunk = chunk;
			cache->kept[i].used = ++cache->clock;
		}
}

void aur_token_cache_forget(struct aur_token_cache *cache, const void *part)
{
	for (int64_t i = 0; cache && i < cache->filled; i++)
		if (cache->kept[i].part == part) {
			cache->kept[i].part = NULL;
			cache->kept[i].used = 0;
		}
}

XXH3_state_t *aur_token_cache_hash(struct aur_token_cache *cache)
{
	return cache->hash;
}
