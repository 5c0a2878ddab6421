#include "bpe_kept.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A piece may lie in one of several places behind each other. */
enum { PLACES = 1 << 17, TRIED = 4 };

#define BEING_WRITTEN UINT32_MAX

/* Who takes a free place writes it and then says so by the count: what has a count is never written again. */
struct place {
	uint64_t key[2];
	uint32_t ids[AUR_KEPT_TOKENS];
	_Atomic uint32_t count; /* 0: free */
};

struct aur_kept_pool {
	struct place *places; /* owned [PLACES] */
};

aur_status aur_kept_pool_create(struct aur_kept_pool **pool)
{
	*pool = calloc(1, sizeof **pool);
	if (*pool)
		(*pool)->places = calloc(PLACES, sizeof *(*pool)->places);
	if (*pool && (*pool)->places)
		return AUR_OK;
	aur_kept_pool_destroy(pool);
	return aur_fail(AUR_MEMORY, "no memory for the pieces of texts");
}

void aur_kept_pool_destroy(struct aur_kept_pool **pool)
{
	if (!pool || !*pool)
		return;
	free((*pool)->places);
	free(*pool);
	*pool = NULL;
}

int aur_kept_pool_find(const struct aur_kept_pool *pool, uint64_t hash, struct aur_kept *kept)
{
	for (uint64_t i = 0; i < TRIED; i++) {
		const struct place *place = &pool->places[(hash + i) % PLACES];
		const uint32_t count = atomic_load_explicit(&place->count, memory_order_acquire);
		if (count == 0)
			return 0;
		if (count == BEING_WRITTEN || place->key[0] != kept->key[0] || place->key[1] != kept->key[1])
			continue;
		memcpy(kept->ids, place->ids, sizeof kept->ids);
		kept->count = count;
		return 1;
	}
	return 0;
}

/* Two threads may each add the same piece: the second is never found, and costs its place alone. */
void aur_kept_pool_add(struct aur_kept_pool *pool, uint64_t hash, const struct aur_kept *kept)
{
	for (uint64_t i = 0; i < TRIED; i++) {
		struct place *place = &pool->places[(hash + i) % PLACES];
		uint32_t free_place = 0;
		if (!atomic_compare_exchange_strong_explicit(
				&place->count, &free_place, BEING_WRITTEN, memory_order_relaxed, memory_order_relaxed))
			continue;
		memcpy(place->key, kept->key, sizeof place->key);
		memcpy(place->ids, kept->ids, sizeof place->ids);
		atomic_store_explicit(&place->count, kept->count, memory_order_release);
		return;
	}
}
