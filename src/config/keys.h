#ifndef AUR_CONFIG_KEYS_H
#define AUR_CONFIG_KEYS_H

#include "config/config.h"

/* The table of keys, and what is done with one key. Everything else in this box is written over these. */

enum aur_key_kind { AUR_KEY_INTEGER, AUR_KEY_NUMBER, AUR_KEY_SWITCH, AUR_KEY_CHOICE, AUR_KEY_TEXT };

enum { AUR_KEY_SECTIONS = 4 };

struct aur_key {
	const char *section, *name;
	enum aur_key_kind kind;
	size_t offset;             /* in struct aur_config: int64_t, double, int, int, char[AUR_TEXT_VALUE] by kind */
	const char *fallback;      /* the default, as it would be written in a file */
	double low, high;          /* integers and numbers */
	int above_low, below_high; /* the bound itself is out of range */
	const char *values;        /* the range in words; a choice's words in the order of its enum, separated by ", " */
	const char *meaning;
	int may_change; /* at a resume */
	int list;       /* of files (sources.h): a YAML list is taken too, joined with commas */
	int weights;    /* each file or glob may have one */
};

extern const struct aur_key aur_key_table[];
extern const int64_t aur_key_count;
extern const char *const aur_key_sections[AUR_KEY_SECTIONS + 1]; /* in the table's order, then NULL */

/* The key of that name, or NULL. */
const struct aur_key *aur_key_find(const char *section, const char *name);

/* AUR_USAGE that says what is wrong with the name section.name and suggests a right one. */
aur_status aur_key_unknown(const char *section, const char *name);

/* The same for a name that stands where sections do. */
aur_status aur_key_unknown_section(const char *name);

/* Sets one key from `bytes` bytes of text. AUR_USAGE, starting with the key's name, for a value of the wrong type or
 * out of range; nothing is changed then. */
aur_status aur_key_set(const struct aur_key *key, struct aur_config *config, const char *text, size_t bytes);

/* The text that aur_key_set reads back to the same value. */
void aur_key_text(const struct aur_key *key, const struct aur_config *config, char text[AUR_TEXT_VALUE]);

#endif
