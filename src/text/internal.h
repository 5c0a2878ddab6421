#ifndef AUR_TEXT_INTERNAL_H
#define AUR_TEXT_INTERNAL_H

#include "text/tokenizer.h"

/* One kind of tokenizer. Every member is REQUIRED. Texts that reach these functions are UTF-8, cleaned and, where the
 * description says so, in lower case. */
struct aur_tokenizer_ops {
	const char *kind;
	const char *separator; /* what belongs between two tokens of a decoded text */

	/* Builds the tokens of `vocab` (bytes, offsets, size, unknown), whose options are filled in. */
	aur_status (*train)(const struct aur_text *texts, int64_t n, int64_t min_count, struct aur_vocab *vocab);

	/* Builds what encode looks pieces up in. AUR_INPUT when the description does not fit the kind. */
	aur_status (*open)(const struct aur_vocab *vocab, void **lookup);
	void (*close)(void *lookup);

	/* Fills `ids`, which is zeroed. */
	aur_status (*encode)(const struct aur_vocab *vocab, const void *lookup, struct aur_text text, struct aur_ids *ids);
};

extern const struct aur_tokenizer_ops aur_tokenizer_char;
extern const struct aur_tokenizer_ops aur_tokenizer_word;

/* A text as a tokenizer of that cleaning sees it. `normal` is the text itself where nothing changes, else it lies in
 * *owned, which the caller frees. AUR_INPUT with the byte's position when it is not UTF-8. */
aur_status aur_text_normalise(
	const char *clean, int lowercase, struct aur_text text, struct aur_text *normal, char **owned);

/* The same for several; aur_texts_free frees what it made. */
aur_status aur_texts_normalise(
	const char *clean, int lowercase, const struct aur_text *texts, int64_t n, struct aur_text **normal, char ***owned);
void aur_texts_free(int64_t n, struct aur_text **normal, char ***owned);

/* Room for `count` numbers, taken at once because each kind knows a bound. */
aur_status aur_ids_reserve(struct aur_ids *ids, int64_t count);

/* Counts a piece that is not in the vocabulary and appends the unknown token where there is one. */
void aur_ids_add_unknown(struct aur_ids *ids, const struct aur_vocab *vocab, struct aur_text piece);

/* Appends a token to a vocabulary that aur_vocab_reserve has made room in. */
aur_status aur_vocab_reserve(struct aur_vocab *vocab, int64_t tokens, size_t bytes);
void aur_vocab_append(struct aur_vocab *vocab, const char *token, size_t bytes);

/* Token `id` of a vocabulary, borrowed. */
struct aur_text aur_vocab_token(const struct aur_vocab *vocab, int64_t id);

#endif
