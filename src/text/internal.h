#ifndef AUR_TEXT_INTERNAL_H
#define AUR_TEXT_INTERNAL_H

#include "text/tokenizer.h"

/* Where encoding puts its tokens. */
struct aur_output {
	void *tokens;    /* uint16_t or uint32_t */
	int token_bytes; /* 2 or 4 */
	int64_t room, count;
	int64_t unknown;        /* pieces that were not in the vocabulary */
	char first_unknown[64]; /* the first of them */
};

/* All tokens of a slice. */
struct aur_token_list {
	uint32_t *ids; /* owned [room] */
	int64_t count, room;
	int64_t unknown;        /* pieces that were not in the vocabulary */
	char first_unknown[64]; /* the first of them */
};

/* What one trainer has seen, on its way to another process; in the machine's own byte order. */
struct aur_packed {
	char *bytes; /* owned [room] */
	size_t size, room;
};

/* Makes room for so many bytes; what is there stays. AUR_MEMORY. */
aur_status aur_packed_reserve(struct aur_packed *packed, size_t bytes);

/* One kind of tokenizer. Members are REQUIRED where nothing else is said. Texts that reach these functions are UTF-8,
 * but for kinds of bytes; count and encode get slices (slices.h). */
struct aur_tokenizer_ops {
	const char *kind;
	const char *separator; /* what belongs between two tokens of a decoded text */
	int any_bytes;         /* 1: texts need not be UTF-8 */

	/* What training has seen: created empty, given slices, joined with another's. */
	aur_status (*train_begin)(const struct aur_vocab *vocab, void **seen);
	aur_status (*train_add)(void *seen, struct aur_text slice);
	aur_status (*train_merge)(void *seen, const void *other);
	void (*train_clear)(void *seen);

	/* The same between processes: packs about a MiB of what was seen from *at on, first 0, and moves *at; nothing at
	 * the end. AUR_MEMORY; unpacking also AUR_INTERNAL. */
	aur_status (*train_pack)(const void *seen, int64_t *at, struct aur_packed *packed);
	aur_status (*train_unpack)(void *seen, struct aur_text packed);

	/* Builds the tokens of `vocab` (bytes, offsets, size, unknown), whose options are filled in, from what was seen,
	 * whatever the order in which it came. Kinds with words fill `figures`. */
	aur_status (*train_end)(void *seen, const struct aur_tokenizer_options *options, struct aur_vocab *vocab,
		struct aur_word_figures *figures);

	/* Builds what encode looks pieces up in. AUR_INPUT when the description does not fit the kind. */
	aur_status (*open)(const struct aur_vocab *vocab, void **lookup);
	void (*close)(void *lookup);

	/* A kind has either the next two members or the three behind them.
	 *
	 * How many tokens encode makes of the slice. */
	int64_t (*count)(const struct aur_vocab *vocab, const void *lookup, struct aur_text slice);

	/* Appends the tokens from *at on, as many as there is room for, and moves *at behind what they stand for: to `end`
	 * when no more come. */
	void (*encode)(
		const struct aur_vocab *vocab, const void *lookup, const char **at, const char *end, struct aur_output *output);

	/* For kinds that work in memory of their own: what one thread needs, and all tokens of a slice by it, into a list
	 * that they make room in. AUR_MEMORY; AUR_INPUT when a slice cannot be split. */
	aur_status (*begin)(const struct aur_vocab *vocab, const void *lookup, void **worker);
	void (*end)(void *worker);
	aur_status (*encode_slice)(void *worker, struct aur_text slice, struct aur_token_list *list);
};

extern const struct aur_tokenizer_ops aur_tokenizer_char;
extern const struct aur_tokenizer_ops aur_tokenizer_word;
extern const struct aur_tokenizer_ops aur_tokenizer_bpe;

struct aur_tokenizer {
	const struct aur_tokenizer_ops *ops;
	struct aur_vocab vocab;
	void *lookup;
	char *pieces; /* every token with the separator in front of it, for streaming */
	struct aur_word_figures figures;
};

/* Counts a piece that is not in the vocabulary and appends the unknown token where there is one. */
void aur_output_unknown(struct aur_output *output, const struct aur_vocab *vocab, struct aur_text piece);

static inline void aur_output_put(struct aur_output *output, int64_t id)
{
	if (output->token_bytes == 2)
		((uint16_t *)output->tokens)[output->count++] = (uint16_t)id;
	else
		((uint32_t *)output->tokens)[output->count++] = (uint32_t)id;
}

/* Appends the list's tokens from `from` on, as many as there is room for; returns how many. */
int64_t aur_output_put_list(struct aur_output *output, const struct aur_token_list *list, int64_t from);

/* Makes a tokenizer of a vocabulary that is known to be good, and takes over what it owns, whatever happens. */
aur_status aur_tokenizer_adopt(struct aur_vocab *vocab, struct aur_tokenizer **tokenizer);

/* How the options are told in a vocabulary, and what trains the kind. */
void aur_tokenizer_describe(const struct aur_tokenizer_options *options, struct aur_vocab *vocab);
const struct aur_tokenizer_ops *aur_tokenizer_kind(const char *kind);

/* Copies a piece that was not in the vocabulary for a message, cut to what there is room for. */
void aur_note_unknown(struct aur_text piece, char note[64]);

/* AUR_INPUT with the byte's position when a text is not UTF-8. */
aur_status aur_texts_check(const struct aur_text *texts, int64_t n);

/* Appends a token to a vocabulary that aur_vocab_reserve has made room in. */
aur_status aur_vocab_reserve(struct aur_vocab *vocab, int64_t tokens, size_t bytes);
void aur_vocab_append(struct aur_vocab *vocab, const char *token, size_t bytes);

/* Token `id` of a vocabulary, borrowed. */
struct aur_text aur_vocab_token(const struct aur_vocab *vocab, int64_t id);

#endif
