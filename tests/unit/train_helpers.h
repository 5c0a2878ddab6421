#ifndef AUR_TESTS_TRAIN_HELPERS_H
#define AUR_TESTS_TRAIN_HELPERS_H

#include "io_helpers.h"

#include "io/tokens.h"

/* A dataset whose token at place i is i: what was read says where it was read. */
static inline void write_counting_dataset(const char *path, int64_t train, int64_t val)
{
	const struct aur_vocab vocab = letters(train + val > 1 ? train + val : 2);
	int32_t *ids = malloc((size_t)(train + val) * sizeof *ids);
	assert_non_null(ids);
	for (int64_t i = 0; i < train + val; i++)
		ids[i] = (int32_t)i;
	const struct aur_tokens_create create = {
		.path = path,
		.vocab = &vocab,
		.sources = "counting",
		.ids = ids,
		.train_tokens = train,
		.val_tokens = val,
	};
	assert_ok(aur_tokens_write(&create));
	free(ids);
}

#endif
