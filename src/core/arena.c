#include "core/arena.h"

#include <string.h>

static size_t aligned(size_t bytes)
{
	return (bytes + AUR_ARENA_ALIGNMENT - 1) / AUR_ARENA_ALIGNMENT * AUR_ARENA_ALIGNMENT;
}

static void note_part(struct aur_arena *arena, const char *name, size_t bytes)
{
	for (int i = 0; i < arena->n_parts; i++) {
		if (strcmp(arena->parts[i].name, name) == 0) {
			arena->parts[i].bytes += bytes;
			return;
		}
	}
	if (arena->n_parts < AUR_ARENA_PARTS)
		arena->parts[arena->n_parts++] = (struct aur_arena_part){name, bytes};
}

void *aur_arena_take(struct aur_arena *arena, const char *name, size_t bytes)
{
	const size_t offset = arena->used;
	const size_t taken = aligned(bytes);
	arena->used += taken;
	note_part(arena, name, taken);
	if (!arena->base || arena->used > arena->size)
		return NULL;
	return arena->base + offset;
}

void aur_arena_bind(struct aur_arena *arena, void *base, size_t size)
{
	*arena = (struct aur_arena){.base = base, .size = size};
}

aur_status aur_arena_check(const struct aur_arena *arena)
{
	if (arena->base && arena->used > arena->size)
		return aur_fail(AUR_INTERNAL, "memory plan: %zu bytes taken where %zu were planned", arena->used, arena->size);
	return AUR_OK;
}
