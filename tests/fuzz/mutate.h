#ifndef AUR_TESTS_FUZZ_MUTATE_H
#define AUR_TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Changes to an input, drawn from a generator of its own. */

struct fuzz_bytes {
	unsigned char *bytes; /* owned */
	size_t size, room;
};

/* The next number of the generator whose state is *random (splitmix64). */
uint64_t fuzz_random(uint64_t *random);

/* Sets `input` to `count` copied bytes. */
void fuzz_set(struct fuzz_bytes *input, const void *bytes, size_t count);

/* One change of `input`; `other` is an input to splice with, `words` as in struct fuzz_target. */
void fuzz_mutate(struct fuzz_bytes *input, const struct fuzz_bytes *other, const char *const *words, uint64_t *random);

#endif
