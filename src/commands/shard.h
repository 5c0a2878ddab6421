#ifndef AUR_COMMANDS_SHARD_H
#define AUR_COMMANDS_SHARD_H

#include "shards.h"

/* What the parts of writing shards share. */

/* Counters of one token: a text repeats its tokens, and one counter would wait for its own last value. */
enum { AUR_SHARD_LANES = 4 };

/* Where a unit's tokens lie among all, and what a text's first and last unit add. */
struct aur_place {
	int64_t begin;
	int opening; /* a text's first token is the unit's first */
	int closing; /* the end of text follows */
};

struct aur_shards {
	struct aur_shards_request request;
	const struct aur_unit_record *units; /* borrowed [count] */
	int64_t count;
	struct aur_place *places; /* owned [count + 1]; the last one's begin is the number of all tokens */
	int64_t train_tokens;
	int64_t shard_tokens, n_shards;
	int64_t *lanes;        /* owned [vocabulary, AUR_SHARD_LANES] */
	int64_t mine, written; /* tokens of this rank's shards, and how many of them are done */
};

/* One shard on its way into its file. */
struct aur_shard {
	struct aur_shards *shards;
	int64_t at;   /* the next token among all */
	int64_t unit; /* the one that holds it */
	struct aur_unit_result result;
	int lent, loaded;
	/* documents */
	int64_t part_begin[3]; /* training part, validation part, end */
	int64_t part_documents[2];
	int64_t given[2];
	int64_t document_unit, document; /* the next one to look at */
	int64_t *documents;              /* of that unit, borrowed or owned */
	int documents_lent;
};

/* 1 when the unit is of a text, which is one document over all its units. */
int aur_shards_is_text(const struct aur_shards *shards, int64_t unit);

/* The unit that token `at` lies in. */
int64_t aur_shards_unit_at(const struct aur_shards *shards, int64_t at);

/* The shard's next `count` tokens, which are counted too; for aur_tokens_create. AUR_STOPPED after a signal, AUR_IO. */
aur_status aur_shard_tokens(void *context, int token_bytes, int64_t count, void *tokens);

/* Frees the tokens at hand. */
void aur_shard_unload(struct aur_shard *shard);

/* How many documents start in tokens [begin, end): whole units are not looked into. */
aur_status aur_shard_count_documents(struct aur_shard *shard, int64_t begin, int64_t end, int64_t *documents);

/* The starts of the next `count` documents of the part at hand, counted from its first token; for aur_tokens_create. */
aur_status aur_shard_documents(void *context, int64_t count, uint64_t *starts);

#endif
