#ifndef AUR_TESTS_STREAM_HELPERS_H
#define AUR_TESTS_STREAM_HELPERS_H

#include "io_helpers.h"

#include "config/config.h"
#include "io/tokens.h"
#include "train/order.h"

/* Shards whose token at place i is (salt + i) modulo the vocabulary's size. */
enum { SHARD_VOCAB = 4001 };

struct shard {
	int64_t train, val, salt, written;
	int compress;
};

static inline aur_status next_tokens(void *context, int token_bytes, int64_t count, void *tokens)
{
	struct shard *shard = context;
	assert_int_equal(token_bytes, 2);
	for (int64_t i = 0; i < count; i++)
		((uint16_t *)tokens)[i] = (uint16_t)((shard->salt + shard->written++) % SHARD_VOCAB);
	return AUR_OK;
}

static inline void write_shard(const char *path, struct shard shard)
{
	const struct aur_vocab vocab = letters(SHARD_VOCAB);
	const struct aur_tokens_create create = {.path = path,
		.vocab = &vocab,
		.sources = "shard",
		.compress = shard.compress,
		.next = next_tokens,
		.context = &shard,
		.train_tokens = shard.train,
		.val_tokens = shard.val};
	assert_ok(aur_tokens_write(&create));
}

/* A small generator: the same numbers on every machine. */
static inline int64_t draw(uint64_t *state, int64_t below)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (int64_t)((*state >> 33) % (uint64_t)below);
}

#endif
