#ifndef AUR_CORE_ARENA_H
#define AUR_CORE_ARENA_H

#include "core/status.h"

#include <stddef.h>

/* Memory that is sized once at start-up and carved into named parts aligned to 256 bytes.
 *
 * The code that carves runs twice: once on an arena without memory, which only counts (every pointer it hands out is
 * NULL), and once more after the owner has allocated arena.used bytes and called aur_arena_bind. So there is one
 * description of what is needed, and the plan printed to the user is the memory taken.
 */
enum { AUR_ARENA_ALIGNMENT = 256, AUR_ARENA_PARTS = 32 };

struct aur_arena_part {
	const char *name; /* a literal; parts of equal name are summed */
	size_t bytes;
};

struct aur_arena {
	char *base;  /* borrowed; NULL while counting */
	size_t size; /* bytes behind base */
	size_t used;
	struct aur_arena_part parts[AUR_ARENA_PARTS];
	int n_parts;
};

/* Carves `bytes` for `name`. Returns NULL while counting, or when the bound memory is too small, which is a broken rule
 * and shows as used > size. */
void *aur_arena_take(struct aur_arena *arena, const char *name, size_t bytes);

/* Starts the second pass over `size` bytes at `base`, 256-byte aligned, which the caller goes on owning. */
void aur_arena_bind(struct aur_arena *arena, void *base, size_t size);

/* Fails with AUR_INTERNAL when the second pass took more than the first had counted. */
aur_status aur_arena_check(const struct aur_arena *arena);

#endif
