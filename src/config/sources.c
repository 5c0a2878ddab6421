#include "config/sources.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_BYTES = 60 };

static const double least_weight = 1e-6, most_weight = 1e6;

static int is_special(char c)
{
	return c == ',' || c == '@' || c == '\\';
}

int aur_weight_is(const char *text)
{
	char *end = NULL;
	if (!text[0] || text[strspn(text, "0123456789+-.eE")])
		return 0;
	strtod(text, &end);
	return *end == '\0';
}

/* One entry taken apart: its name without backslashes, and where its weight begins behind an @. */
struct entry {
	char *path, *weight;
};

static char *trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	size_t bytes = strlen(text);
	while (bytes > 0 && isspace((unsigned char)text[bytes - 1]))
		text[--bytes] = '\0';
	return text;
}

/* Takes the next entry out of *next into `room`. Only an @ without a backslash can begin a weight. */
static void next_entry(const char **next, char *room, struct entry *entry)
{
	char *out = room, *at = NULL;
	const char *c = *next;
	for (; *c && *c != ','; c++) {
		if (c[0] == '\\' && is_special(c[1]))
			c++;
		else if (*c == '@')
			at = out;
		*out++ = *c;
	}
	*out = '\0';
	*next = *c ? c + 1 : c;
	entry->weight = NULL;
	if (at && aur_weight_is(trim(at + 1))) {
		*at = '\0';
		entry->weight = trim(at + 1);
	}
	entry->path = trim(room);
}

static aur_status set_weight(const char *key, const struct entry *entry, struct aur_source *source)
{
	if (!entry->weight)
		return AUR_OK;
	const double weight = strtod(entry->weight, NULL);
	if (!(weight >= least_weight && weight <= most_weight))
		return aur_fail(AUR_USAGE, "%s: the weight %.*s of \"%.*s\" is out of range (0.000001 to 1000000)", key,
			SHOWN_BYTES, entry->weight, SHOWN_BYTES, entry->path);
	source->weight = llround(weight * AUR_WEIGHT_UNIT);
	return AUR_OK;
}

static aur_status add_entry(const char *key, const struct entry *entry, struct aur_sources *sources)
{
	if (!entry->path[0])
		return entry->weight
				   ? aur_fail(AUR_USAGE, "%s: the weight %.*s has no file before it", key, SHOWN_BYTES, entry->weight)
				   : AUR_OK;
	struct aur_source *source = &sources->items[sources->count];
	AUR_TRY(set_weight(key, entry, source));
	source->path = strdup(entry->path);
	if (!source->path)
		return aur_fail(AUR_MEMORY, "%s: no memory for a list of files", key);
	sources->count++;
	return AUR_OK;
}

static aur_status check_weights(const char *key, struct aur_sources *sources)
{
	const struct aur_source *without = NULL;
	for (int64_t i = 0; i < sources->count; i++) {
		sources->weighted |= sources->items[i].weight > 0;
		without = sources->items[i].weight == 0 ? &sources->items[i] : without;
	}
	if (!sources->weighted || !without)
		return AUR_OK;
	return aur_fail(AUR_USAGE, "%s: \"%.*s\" has no weight where others have one (give all a weight, or none)", key,
		SHOWN_BYTES, without->path);
}

aur_status aur_sources_parse(const char *key, const char *text, struct aur_sources *sources)
{
	size_t most = 1;
	for (const char *c = text; *c; c++)
		most += *c == ',';
	*sources = (struct aur_sources){.items = calloc(most, sizeof *sources->items)};
	char *room = malloc(strlen(text) + 1);
	aur_status status = AUR_OK;
	if (!sources->items || !room)
		status = aur_fail(AUR_MEMORY, "%s: no memory for a list of files", key);
	while (status == AUR_OK && *text) {
		struct entry entry;
		next_entry(&text, room, &entry);
		status = add_entry(key, &entry, sources);
	}
	if (status == AUR_OK)
		status = check_weights(key, sources);
	free(room);
	if (status != AUR_OK)
		aur_sources_clear(sources);
	return status;
}

void aur_sources_clear(struct aur_sources *sources)
{
	if (!sources)
		return;
	for (int64_t i = 0; i < sources->count; i++)
		free(sources->items[i].path);
	free(sources->items);
	*sources = (struct aur_sources){0};
}

/* Whether the text's special character would be taken for more than a part of the name. */
static int needs_backslash(const char *c)
{
	if (*c == '\\')
		return c[1] == '\0' || is_special(c[1]);
	return *c == ',' || (*c == '@' && c[1] && c[1 + strspn(c + 1, "0123456789+-.eE \t")] == '\0');
}

/* Bytes of the entry with its backslashes. */
static size_t entry_bytes(const char *path, const char *weight)
{
	size_t bytes = weight ? strlen(weight) + 1 : 0;
	for (const char *c = path; *c; c++)
		bytes += 1 + (size_t)needs_backslash(c);
	return bytes;
}

int aur_sources_append(char *text, size_t bytes, const char *path, const char *weight)
{
	size_t used = strlen(text);
	if (used + 1 + entry_bytes(path, weight) >= bytes)
		return 0;
	if (used > 0)
		text[used++] = ',';
	for (const char *c = path; *c; c++) {
		if (needs_backslash(c))
			text[used++] = '\\';
		text[used++] = *c;
	}
	text[used] = '\0';
	if (weight)
		snprintf(text + used, bytes - used, "@%s", weight);
	return 1;
}

void aur_weight_text(int64_t weight, char *text, size_t bytes)
{
	int digits = 6;
	int64_t part = weight % AUR_WEIGHT_UNIT;
	for (; digits > 0 && part % 10 == 0; digits--)
		part /= 10;
	if (digits == 0)
		snprintf(text, bytes, "%lld", (long long)(weight / AUR_WEIGHT_UNIT));
	else
		snprintf(text, bytes, "%lld.%0*lld", (long long)(weight / AUR_WEIGHT_UNIT), digits, (long long)part);
}

int aur_sources_need_list(const struct aur_sources *sources, const char *text)
{
	return sources->weighted || (sources->count > 0 && strchr(text, '\\'));
}

int aur_sources_text(const struct aur_sources *sources, char *text, size_t bytes)
{
	int fits = 1;
	text[0] = '\0';
	for (int64_t i = 0; fits && i < sources->count; i++) {
		char weight[32];
		const struct aur_source *source = &sources->items[i];
		aur_weight_text(source->weight, weight, sizeof weight);
		fits = aur_sources_append(text, bytes, source->path, source->weight > 0 ? weight : NULL);
	}
	return fits;
}
