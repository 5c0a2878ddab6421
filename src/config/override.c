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

/* steps, epochs and tokens are three ways to say one thing: the one given last on the command line is meant, whatever a
 * file said before. */
static void replace_length(struct aur_config *config, const struct aur_key *key)
{
	static const char *const lengths[] = {"steps", "epochs", "tokens"};
	const double values[] = {(double)config->train.steps, config->train.epochs, (double)config->train.tokens};
	if (strcmp(key->section, "train") != 0)
		return;
	for (int i = 0; i < 3; i++) {
		if (strcmp(key->name, lengths[i]) != 0 || values[i] == 0.0)
			continue;
		config->train.steps = i == 0 ? config->train.steps : 0;
		config->train.epochs = i == 1 ? config->train.epochs : 0;
		config->train.tokens = i == 2 ? config->train.tokens : 0;
	}
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
	AUR_TRY(aur_key_set(key, config, start + bytes + 1, strlen(start + bytes + 1)));
	replace_length(config, key);
	return AUR_OK;
}
