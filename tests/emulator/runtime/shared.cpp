#include "internal.h"

#include <algorithm>
#include <stdio.h>
#include <string.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

/* Shared memory of the block that runs: one pool from which declarations take their arrays in the order in which the
 * first thread meets them. Guards stand between them: out of reach under AddressSanitizer, and otherwise looked at when
 * the block ends. */

enum {
	GUARD = 128,
	MOST_ARRAYS = 64,
	POOL = SHARED_LIMIT + (MOST_ARRAYS + 2) * 2 * GUARD,
	GUARD_BYTE = 0xa5,
	NAN_BYTE = 0xff,
};

struct array {
	const void *key;
	const char *name;
	char *begin;
	size_t bytes;
};

alignas(GUARD) static char pool[POOL];
static std::vector<struct array> arrays;
static size_t used, static_bytes;
static void *dynamic;
static const char dynamic_key = 0;

static size_t round_up(size_t bytes, size_t multiple)
{
	return (bytes + multiple - 1) / multiple * multiple;
}

/* The guard before the array is the one after the array before. */
static char *take(const void *key, size_t bytes, const char *name)
{
	char *begin = pool + used;
	const size_t room = round_up(bytes, GUARD) + GUARD;
	ASAN_UNPOISON_MEMORY_REGION(begin, room);
	memset(begin, NAN_BYTE, bytes);
	memset(begin + bytes, GUARD_BYTE, room - bytes);
	ASAN_POISON_MEMORY_REGION(begin + bytes, room - bytes);
	used += room;
	arrays.push_back({key, name, begin, bytes});
	return begin;
}

void shared_begin(size_t dynamic_bytes)
{
	ASAN_UNPOISON_MEMORY_REGION(pool, sizeof pool);
	memset(pool, GUARD_BYTE, GUARD);
	ASAN_POISON_MEMORY_REGION(pool, sizeof pool);
	arrays.clear();
	used = GUARD;
	static_bytes = 0;
	dynamic = take(&dynamic_key, dynamic_bytes, "dynamic shared memory");
}

void *aur_emulator_shared(const void *key, size_t bytes, const char *name)
{
	for (const struct array &array : arrays)
		if (array.key == key)
			return array.begin;
	static_bytes += bytes;
	if (static_bytes > SHARED_STATIC_LIMIT || static_bytes + arrays[0].bytes > SHARED_LIMIT ||
		arrays.size() == MOST_ARRAYS)
		aur_emulator_fail("%s: %zu bytes of shared arrays and %zu of dynamic shared memory are more than a block has",
			name, static_bytes, arrays[0].bytes);
	return take(key, bytes, name);
}

void *aur_emulator_shared_dynamic(void)
{
	return dynamic;
}

int shared_check(void)
{
	ASAN_UNPOISON_MEMORY_REGION(pool, sizeof pool);
	for (const struct array &array : arrays) {
		const char *end = pool + used;
		for (const struct array &other : arrays)
			if (other.begin > array.begin)
				end = std::min<const char *>(end, other.begin);
		const char *after = array.begin + array.bytes;
		const char *wrong =
			std::find_if(after, end, [](char byte) { return static_cast<unsigned char>(byte) != GUARD_BYTE; });
		if (wrong != end) {
			message_set("something was written %td bytes behind the end of %s (%zu bytes)", wrong - after, array.name,
				array.bytes);
			return 0;
		}
	}
	return 1;
}
