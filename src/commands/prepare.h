#ifndef AUR_COMMANDS_PREPARE_H
#define AUR_COMMANDS_PREPARE_H

#include "pass.h"
#include "prepare_tokenizer.h"
#include "shards.h"
#include "text/tokenizer.h"
#include "unit_store.h"

/* What the parts of prepare share. */

struct aur_prepare_request {
	struct aur_tokenizer_choice tokenizer;
	const char *out, *report, *field, *format, *on_bad;
	double val_fraction;
	int compress, anew;
	int64_t shard_tokens, threads;
};

struct aur_options;

/* Reads the command line into a request that holds the defaults, and checks what can be checked without a look at any
 * file. AUR_USAGE. */
aur_status aur_prepare_parse(int argc, char **argv, struct aur_prepare_request *request, struct aur_options *options);

struct aur_prepare {
	const struct aur_prepare_request *request; /* borrowed */
	struct aur_comm *world;                    /* borrowed */
	struct aur_crew *crew;
	struct aur_corpus sources;
	const char *standard_input; /* the file that it lies in */
	int spool;                  /* on rank 0: that file, open and locked; or -1 */
	struct aur_tokenizer *tokenizer;
	int64_t end_of_text; /* the token that ends a document; -1: there is none */
	struct aur_work *work;
	struct aur_unit_store *store;
	struct aur_progress_line line;
	int64_t all_bytes; /* of the files */
};

int aur_prepare_skips(const struct aur_prepare *prepare); /* --on-bad skip */

/* The message about a bad document where it is not skipped: AUR_INPUT. */
aur_status aur_prepare_refuse(
	const struct aur_prepare *prepare, const struct aur_unit *unit, const struct aur_bad *bad);

/* Collective. A pass over the units of this rank. */
struct aur_prepare_pass {
	const char *title;
	const struct aur_vocab *rules;                 /* where a text may be cut */
	int (*is_done)(void *context, int64_t source); /* of a compressed source: it need not be read; may be NULL */
	aur_status (*work)(void *context, int member, struct aur_unit *unit);
	void *context;
};
aur_status aur_prepare_run(struct aur_prepare *prepare, const struct aur_prepare_pass *pass);

/* Collective. With --on-bad skip: finds the texts that are not UTF-8, so that nothing of them is used. */
aur_status aur_prepare_check(struct aur_prepare *prepare);

/* Collective. All ranks look at their share of the texts, and rank 0 makes the vocabulary of what they saw: a new
 * tokenizer. */
aur_status aur_prepare_train(
	struct aur_prepare *prepare, const struct aur_tokenizer_options *options, struct aur_tokenizer **tokenizer);

/* Collective. Every unit's tokens into the store. */
aur_status aur_prepare_encode(struct aur_prepare *prepare);

/* Collective. The dataset or its shards from the store, whose folder goes then; and the report. */
aur_status aur_prepare_write(struct aur_prepare *prepare);

#endif
