#ifndef AUR_CONFIG_SOURCES_H
#define AUR_CONFIG_SOURCES_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* The value of data.train as text: files and globs separated by commas, and, in a mixture, the weight of each behind an
 * @:
 *
 *   a.h5,b/x-*.h5            the files as one corpus
 *   wiki/x-*.h5@0.7,code.h5@0.3      seven samples of ten from wiki/, three from code.h5
 *
 * A backslash before a comma, an @ or a backslash takes it as part of the name; an @ needs it only where a number
 * follows up to the end of the name. */

/* Weights are kept in millionths. */
enum { AUR_WEIGHT_UNIT = 1000000 };

struct aur_source {
	char *path;     /* owned: a file or a glob */
	int64_t weight; /* in millionths, at least 1; 0: none is given */
};

struct aur_sources {
	struct aur_source *items; /* owned */
	int64_t count;
	int weighted; /* a mixture: all have weights */
};

/* `key` begins messages. An empty text is a list of none. AUR_USAGE: a weight out of range, or for some alone. */
aur_status aur_sources_parse(const char *key, const char *text, struct aur_sources *sources);
void aur_sources_clear(struct aur_sources *sources);

/* Adds one entry to a list in `text`, which holds `bytes` bytes. `weight` is text, NULL: none. Returns 0 when there is
 * no room. */
int aur_sources_append(char *text, size_t bytes, const char *path, const char *weight);

/* Whether a list parsed from `text` has weights, or names that stand with backslashes in a text. */
int aur_sources_need_list(const struct aur_sources *sources, const char *text);

/* The list as the text that every such list is kept as. Returns 0 when there is no room. */
int aur_sources_text(const struct aur_sources *sources, char *text, size_t bytes);

/* Whether a text is a decimal number, whatever its value. */
int aur_weight_is(const char *text);

/* A weight as the decimal that reads back to it. */
void aur_weight_text(int64_t weight, char *text, size_t bytes);

#endif
