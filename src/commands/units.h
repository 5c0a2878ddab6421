#ifndef AUR_COMMANDS_UNITS_H
#define AUR_COMMANDS_UNITS_H

#include "core/vocab.h"
#include "corpus.h"
#include "text/tokenizer.h"

#include <stdatomic.h>
#include <stdint.h>

/* The sources cut into units of about AUR_UNIT_BYTES, at places that depend on what they hold and on the kind of
 * tokenizer alone: never on ranks or threads. A plain file is cut near whole multiples, so that any unit is found
 * without reading those before it. A compressed one, and a text that can only be cut where it was split from its
 * beginning (text/cutter.h), is read by one rank, whose threads take its units in turns. */

enum { AUR_UNIT_BYTES = 4 << 20, AUR_UNIT_TOKENS = 2 << 20 };

/* One unit in the hands of a thread. */
struct aur_unit {
	int64_t source, part; /* its number in the source */
	int last;             /* of its source */
	int is_read;          /* its text is there */
	struct aur_text text; /* lies in `buffer`; nothing for token numbers */
	int64_t offset;       /* of its first byte in the unpacked source; or of its first token */
	int64_t tokens;       /* token numbers */
	int64_t first_line;   /* 0 for the first; -1: not known */
	char *buffer;         /* owned */
	size_t room, held;    /* bytes it has room for, and holds */
};

void aur_unit_clear(struct aur_unit *unit);

/* What one rank has to read. */
struct aur_units;

struct aur_units_request {
	const struct aur_corpus *sources; /* borrowed */
	const struct aur_vocab *rules;    /* kind, clean and lowercase say where a text may be cut; borrowed */
	int rank, size;                   /* whose share; 0 and 1: all */
	/* Whether all units of a compressed source are done; NULL: none is. */
	int (*is_done)(void *context, int64_t source);
	void *context;
};

aur_status aur_units_create(const struct aur_units_request *request, struct aur_units **units);
void aur_units_destroy(struct aur_units **units);

/* Hands the next unit to a thread; *any is 0 when there is none. Of plain files without its text: aur_unit_read gets
 * that. AUR_INPUT, AUR_IO, AUR_MEMORY. */
aur_status aur_units_next(struct aur_units *units, struct aur_unit *unit, int *any);
aur_status aur_unit_read(const struct aur_corpus *sources, const struct aur_vocab *rules, struct aur_unit *unit);

/* Bytes of files that this rank has taken so far. */
int64_t aur_units_taken(const struct aur_units *units);

/* Line numbers count from 0: the line that byte `offset` of a plain file is on. */
aur_status aur_corpus_file_line(const char *path, int64_t offset, int64_t *line);

#endif
