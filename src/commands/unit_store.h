#ifndef AUR_COMMANDS_UNIT_STORE_H
#define AUR_COMMANDS_UNIT_STORE_H

#include "documents.h"
#include "work_folder.h"

#include <stdint.h>

/* What has become of each unit: its tokens and documents. The first ones are kept in memory, up to a limit, so that a
 * small text needs no files; the others lie in the work folder, one file each, where other ranks and a later start find
 * them. A unit's file carries a checksum, and gets its name when it is complete. */

struct aur_unit_record {
	int64_t source, part;
	int64_t tokens, documents;
	int64_t bytes, characters, lines; /* of the text; `lines` are line ends, and those that the documents' ends cut */
	int64_t text_lines;               /* line ends of the unit itself */
	int64_t unknown;                  /* pieces that were not in the vocabulary */
	int64_t bad;                      /* documents that were left out */
	struct aur_bad first_bad;
	int32_t last;      /* of its source */
	int32_t open_line; /* a text: its last byte is no line end */
};

/* A record with what it tells of; in memory where it lies there. */
struct aur_unit_result {
	struct aur_unit_record record;
	void *tokens;       /* owned [record.tokens], uint16_t or uint32_t */
	int64_t *documents; /* owned [record.documents]: starts, counted from the unit's first token */
};

void aur_unit_result_clear(struct aur_unit_result *result);

struct aur_unit_store;

/* `kept_bytes`: how much may be kept in memory. Borrows the work folder, which is created when it is needed. */
aur_status aur_unit_store_create(
	struct aur_work *work, int token_bytes, int64_t kept_bytes, struct aur_unit_store **store);
void aur_unit_store_destroy(struct aur_unit_store **store);

/* Takes over what `result` owns. Thread-safe. AUR_IO, AUR_MEMORY. */
aur_status aur_unit_store_put(struct aur_unit_store *store, struct aur_unit_result *result);

/* 1 when the unit lies complete and unharmed in the work folder. *last: it is its source's last one. */
int aur_unit_store_has(const struct aur_unit_store *store, int64_t source, int64_t part, int *last);

/* The records of all units of all ranks, in order: a new list, which the caller frees. AUR_IO, AUR_MEMORY. */
aur_status aur_unit_store_collect(
	struct aur_unit_store *store, const struct aur_corpus *sources, struct aur_unit_record **records, int64_t *count);

/* What a record tells of, read from its file or lent from memory (*lent 1: not to be cleared). AUR_IO when a file is
 * missing or damaged. */
aur_status aur_unit_store_get(const struct aur_unit_store *store, const struct aur_unit_record *record,
	struct aur_unit_result *result, int *lent);

/* Only its documents, without a look at the checksum. */
aur_status aur_unit_store_documents(
	const struct aur_unit_store *store, const struct aur_unit_record *record, int64_t **documents, int *lent);

#endif
