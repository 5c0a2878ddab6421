#include "io/file.h"
#include "io/tokens.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of shards end in -NNNNN-of-NNNNN.h5. */
static const char between[] = "-of-", ending[] = ".h5";

enum { MOST_SHARDS = 100000 };

struct shard_name {
	size_t stem_bytes; /* up to the number */
	int digits;
	int64_t number, of;
};

static int number_before(const char *path, size_t end, size_t *begin, int64_t *number)
{
	size_t at = end;
	while (at > 0 && path[at - 1] >= '0' && path[at - 1] <= '9')
		at--;
	*begin = at;
	if (at == end || end - at > 9)
		return 0;
	*number = strtoll(path + at, NULL, 10);
	return 1;
}

static int ends_with(const char *path, size_t end, const char *suffix)
{
	const size_t bytes = strlen(suffix);
	return end >= bytes && memcmp(path + end - bytes, suffix, bytes) == 0;
}

static int parse(const char *path, struct shard_name *name)
{
	size_t end = strlen(path), begin;
	if (!ends_with(path, end, ending) || !number_before(path, end - strlen(ending), &begin, &name->of) ||
		!ends_with(path, begin, between))
		return 0;
	end = begin - strlen(between);
	if (!number_before(path, end, &name->stem_bytes, &name->number))
		return 0;
	name->digits = (int)(end - name->stem_bytes);
	return name->of <= MOST_SHARDS;
}

static aur_status check_there(const char *pattern, const char *seen, const struct shard_name *name, int64_t number)
{
	const char *rest = seen + name->stem_bytes + name->digits;
	const size_t bytes = strlen(seen) + 16;
	char *path = malloc(bytes);
	if (!path)
		return aur_fail(AUR_MEMORY, "%s: no memory for its name", seen);
	snprintf(path, bytes, "%.*s%0*lld%s", (int)name->stem_bytes, seen, name->digits, (long long)number, rest);
	aur_status status = AUR_OK;
	if (fnmatch(pattern, path, FNM_PATHNAME) == 0 && !aur_file_exists(path))
		status =
			aur_fail(AUR_INPUT, "%s: is missing, of a corpus of %lld files (make it again, or name those you mean)",
				path, (long long)name->of);
	free(path);
	return status;
}

static int same_stem(const char *a, const struct shard_name *of_a, const char *b, const struct shard_name *of_b)
{
	return of_a->stem_bytes == of_b->stem_bytes && memcmp(a, b, of_a->stem_bytes) == 0;
}

static int same_set(const char *a, const struct shard_name *of_a, const char *b, const struct shard_name *of_b)
{
	return of_a->of == of_b->of && same_stem(a, of_a, b, of_b);
}

/* A corpus cut twice would be seen twice. */
static aur_status refuse_two_cuts(const char *a, const struct shard_name *of_a, const char *b)
{
	return aur_fail(AUR_INPUT,
		"%s: is one of %lld files of a corpus, and %s of the same cut into another number (remove one set, or name the "
		"other)",
		a, (long long)of_a->of, b);
}

/* Paths are sorted: the shards of a corpus stand together, and a gap shows between two of them. */
aur_status aur_tokens_check_shards(const char *pattern, const struct aur_paths *paths)
{
	/* A name alone says what it means, and opening it what is wrong with it. */
	if (paths->count == 1 && strcmp(pattern, paths->items[0]) == 0)
		return AUR_OK;
	for (int64_t i = 0; i < paths->count; i++) {
		struct shard_name here, next;
		const char *path = paths->items[i];
		if (!parse(path, &here))
			continue;
		const int beside = i + 1 < paths->count && parse(paths->items[i + 1], &next) &&
						   same_stem(path, &here, paths->items[i + 1], &next);
		if (beside && next.of != here.of)
			return refuse_two_cuts(path, &here, paths->items[i + 1]);
		const int64_t end = beside ? next.number : here.of;
		struct shard_name before;
		const int first =
			i == 0 || !parse(paths->items[i - 1], &before) || !same_set(path, &here, paths->items[i - 1], &before);
		for (int64_t number = first ? 0 : here.number; number < end; number++)
			AUR_TRY(check_there(pattern, path, &here, number));
	}
	return AUR_OK;
}
