#ifndef AUR_COMMANDS_SHARDS_H
#define AUR_COMMANDS_SHARDS_H

#include "comm/comm.h"
#include "progress.h"
#include "unit_store.h"

/* The units' tokens, one after another in the order of the sources, written as one dataset or as shards. Ranks take
 * turns with the shards; what a shard holds does not depend on them. */

struct aur_shards_request {
	struct aur_comm *world; /* borrowed, like all here */
	const struct aur_corpus *sources;
	const struct aur_unit_store *store;
	struct aur_work *work;
	const struct aur_vocab *vocab;
	int64_t end_of_text;  /* what follows a text; -1: nothing */
	const char *out;      /* "name.h5": shards are name-00000-of-00016.h5 */
	int64_t shard_tokens; /* 0: one dataset, named `out` */
	double val_fraction;  /* of all tokens, from the end */
	int compress;
	struct aur_progress_line *line;
};

/* What all units say together. */
struct aur_shards_sum {
	int64_t train_tokens, val_tokens, documents, shards;
	int64_t bytes, characters, lines, unknown;
	int64_t bad;              /* documents left out */
	struct aur_bad first_bad; /* its line counted from the source's first */
};

struct aur_shards;

/* Puts the units in order: the same on every rank. AUR_INPUT when there are too few tokens to split. */
aur_status aur_shards_plan(const struct aur_shards_request *request, const struct aur_unit_record *units, int64_t count,
	struct aur_shards **shards, struct aur_shards_sum *sum);
void aur_shards_destroy(struct aur_shards **shards);

/* Collective. Writes what is missing; then `counts` [vocabulary] says on every rank how often each token occurs. Older
 * shards of the same name, of another number, are removed at the end. AUR_STOPPED after a signal. */
aur_status aur_shards_write(struct aur_shards *shards, int64_t *counts);

/* The name of shard `index` of `count`, or of the one dataset (count 0). AUR_USAGE when it is too long. */
aur_status aur_shards_name(const char *out, int64_t index, int64_t count, char path[AUR_WORK_PATH]);

#endif
