#ifndef AUR_COMMANDS_DOCUMENTS_H
#define AUR_COMMANDS_DOCUMENTS_H

#include "units.h"

/* The documents of a unit, and those that are none. */

/* Where a document is bad, and why. */
struct aur_bad {
	int64_t source;
	int64_t byte; /* of a text: the first that is not UTF-8; of JSON Lines: where the line begins */
	int64_t line; /* of JSON Lines, counted from the unit's first; -1: of a text */
	char why[128];
};

struct aur_documents_visitor {
	/* A document, or the piece of one that the unit holds; `continued`: it goes on where the unit before was cut. */
	aur_status (*document)(void *context, struct aur_text text, int continued);
	/* A bad one; what it returns ends the walk unless it is AUR_OK. */
	aur_status (*bad)(void *context, const struct aur_unit *unit, const struct aur_bad *bad);
	void *context;
};

/* Visits what a unit of text or JSON Lines holds. `field` names the text of a line. */
aur_status aur_documents_walk(const struct aur_corpus *sources, const struct aur_unit *unit, const char *field,
	const struct aur_documents_visitor *visitor);

/* Records the message about a bad document, which names its file and place, and returns AUR_INPUT. */
aur_status aur_documents_refuse(const struct aur_corpus *sources, const char *standard_input,
	const struct aur_unit *unit, const struct aur_bad *bad);

#endif
