#include "keys.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 128 };

/* "batch_size" without its section: every key's bare name is meant to be found. */
static aur_status refuse_bare(const char *name)
{
	for (int64_t i = 0; i < aur_key_count; i++)
		if (strcmp(aur_key_table[i].name, name) == 0)
			return aur_fail(
				AUR_USAGE, "--%s: a key needs its section, write --%s.%s=...", name, aur_key_table[i].section, name);
	return aur_fail(AUR_USAGE, "--%s: unknown option; a key is written --section.key=value", name);
}

aur_status aur_config_override(struct aur_config *config, const char *assignment)
{
	char name[NAME_BYTES];
	const char *start = strncmp(assignment, "--", 2) == 0 ? assignment + 2 : assignment;
	const size_t bytes = strcspn(start, "=");
	if (bytes == 0 || bytes >= sizeof name)
		return aur_fail(AUR_USAGE, "%.60s: an override is written --section.key=value", assignment);
	snprintf(name, sizeof name, "%.*s", (int)bytes, start);
	char *dot = strchr(name, '.');
	if (!dot)
		return refuse_bare(name);
	*dot = '\0';
	const struct aur_key *key = aur_key_find(name, dot + 1);
	if (!key)
		return aur_key_unknown(name, dot + 1);
	if (start[bytes] != '=')
		return aur_fail(AUR_USAGE, "--%s.%s: a value is missing, write --%s.%s=VALUE", key->section, key->name,
			key->section, key->name);
	return aur_key_set(key, config, start + bytes + 1, strlen(start + bytes + 1));
}
