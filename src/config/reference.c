#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char introduction[] =
	"# Configuration\n"
	"\n"
	"A training run is described by a YAML file of four sections, `model`, `data`, `train` and `system`; `configs/` "
	"holds\n"
	"complete ones. A key that is not given has its default. Every key may be set on the command line too, as\n"
	"`--section.key=value`; the last of two wins. Unknown keys, wrong types and values out of range are errors that "
	"name\n"
	"the line. Numbers are decimal (`100000`, `1e5`, `3e-4`), switches `true` or `false`.\n"
	"\n"
	"The run folder's `config.yaml` is the complete configuration of a run. When a run is resumed with another one, "
	"keys\n"
	"marked *may* are taken from the new one and reported; a difference in any other key is refused by name.\n"
	"\n"
	"`--run`, `--resume`, `--from`, `--stop-at`, `--max-minutes` and `--data` (short for `data.train`) are options of\n"
	"`aurelius train`, not keys. `n_kv_head`, `head_dim`, `mlp_hidden`, `position` and a section `parallel` are "
	"reserved\n"
	"for later versions. A section `sweep` holds the grid of `aurelius sweep`, lists of values below their keys' "
	"whole\n"
	"names (`train.learning_rate: [1e-2, 1e-3]`); other commands check it and leave it alone. This page is generated\n"
	"from the table in `src/config/keys.c`.\n";

static void print_key(FILE *out, const struct aur_config_key *key)
{
	fprintf(out, "| `%s.%s` | %s | %s | %s%s%s | %s | %s |\n", key->section, key->name, key->type, key->values,
		key->fallback[0] ? "`" : "", key->fallback[0] ? key->fallback : "empty", key->fallback[0] ? "`" : "",
		key->may_change ? "may" : "no", key->meaning);
}

static void print_section(FILE *out, const char *section)
{
	fprintf(
		out, "\n## %s\n\n| key | type | values | default | resume | meaning |\n|---|---|---|---|---|---|\n", section);
	for (int64_t i = 0; i < aur_config_keys(); i++) {
		const struct aur_config_key key = aur_config_key_at(i);
		if (strcmp(key.section, section) == 0)
			print_key(out, &key);
	}
}

aur_status aur_config_reference(char **markdown)
{
	size_t bytes = 0;
	*markdown = NULL;
	FILE *out = open_memstream(markdown, &bytes);
	if (!out)
		return aur_fail(AUR_MEMORY, "writing the reference: out of memory");
	fputs(introduction, out);
	for (int i = 0; i < AUR_KEY_SECTIONS; i++)
		print_section(out, aur_key_sections[i]);
	const int broken = ferror(out);
	if (fclose(out) == 0 && !broken)
		return AUR_OK;
	free(*markdown);
	*markdown = NULL;
	return aur_fail(AUR_MEMORY, "writing the reference: out of memory");
}
