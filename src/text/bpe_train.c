#include "bpe_train.h"

#include "bpe_pairs.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* The distinct pieces as symbols, which are ids. */
struct pieces {
	int64_t n;
	int32_t *symbols; /* owned: of all pieces, one after another; a piece that was merged leaves a gap behind it */
	int64_t *begins;  /* owned [n] */
	int32_t *lengths; /* owned [n] in symbols */
	int64_t *counts;  /* owned [n] */
};

struct training {
	const struct aur_tokenizer_options *options;
	struct aur_text specials[AUR_BPE_SPECIALS]; /* borrowed from the options */
	int n_specials;
	struct pieces pieces;
	struct aur_pairs pairs;
	struct aur_words tokens; /* by id */
	int64_t *merges;         /* owned [2 * n_merges] */
	int64_t n_merges, merges_room;
};

/* ---- options ---- */

static aur_status check_special(const struct aur_text *specials, int n, struct aur_text special)
{
	const int bytes = (int)(special.size < 64 ? special.size : 64);
	if (n == AUR_BPE_SPECIALS)
		return aur_fail(AUR_USAGE, "more than %d special tokens", AUR_BPE_SPECIALS);
	if (special.size < 2 || aur_utf8_check(special.bytes, special.size) >= 0)
		return aur_fail(
			AUR_USAGE, "special token '%.*s': give at least two characters, in UTF-8", bytes, special.bytes);
	for (int i = 0; i < n; i++)
		if (specials[i].size == special.size && memcmp(specials[i].bytes, special.bytes, special.size) == 0)
			return aur_fail(AUR_USAGE, "special token '%.*s' is given twice", bytes, special.bytes);
	return AUR_OK;
}

/* The names between commas. None of an empty list. */
static aur_status split_specials(const char *list, struct aur_text specials[AUR_BPE_SPECIALS], int *n)
{
	*n = 0;
	for (const char *at = list; at && (*at || *n > 0);) {
		const struct aur_text special = {at, strcspn(at, ",")};
		AUR_TRY(check_special(specials, *n, special));
		specials[(*n)++] = special;
		at += special.size;
		if (*at++ != ',')
			break;
	}
	return AUR_OK;
}

aur_status aur_bpe_options_check(const struct aur_tokenizer_options *options)
{
	struct aur_text specials[AUR_BPE_SPECIALS];
	int n;
	if (strcmp(options->clean, "original") == 0)
		return aur_fail(AUR_USAGE, "the original cleaning is for the tokenizers char and word");
	if (options->pattern && strlen(options->pattern) >= AUR_VOCAB_PATTERN)
		return aur_fail(AUR_USAGE, "the pattern that splits the text is longer than %d bytes", AUR_VOCAB_PATTERN - 1);
	AUR_TRY(split_specials(options->specials, specials, &n));
	if (options->vocab_size < AUR_BPE_BYTES + n || options->vocab_size > INT32_MAX)
		return aur_fail(AUR_USAGE,
			"a vocabulary of %lld subwords: give at least %d, for the 256 bytes and %d special token%s, and at most %d",
			(long long)options->vocab_size, AUR_BPE_BYTES + n, n, n == 1 ? "" : "s", INT32_MAX);
	return AUR_OK;
}

/* ---- tokens ---- */

/* GPT-2 shows each byte as a character: printable ones of Latin-1 as themselves, the others as those from U+0100 on.
 * In the order of these characters the printable ones come first. */
static int is_printable(int byte)
{
	return (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
}

/* Whether the merges of a text could give the special token's name, to which the trainer that is followed here gives
 * the special token's id then: characters that stand for themselves. */
static int could_be_merged(struct aur_text special)
{
	for (size_t i = 0; i < special.size; i++)
		if (special.bytes[i] <= ' ' || special.bytes[i] > '~')
			return 0;
	return 1;
}

static aur_status begin_tokens(struct training *training, int32_t id_of_byte[AUR_BPE_BYTES])
{
	for (int i = 0; i < training->n_specials; i++) {
		const struct aur_text special = training->specials[i];
		AUR_TRY(aur_words_add(&training->tokens, could_be_merged(special) ? special : (struct aur_text){"", 0}));
	}
	for (int printable = 1; printable >= 0; printable--)
		for (int byte = 0; byte < AUR_BPE_BYTES; byte++)
			if (is_printable(byte) == printable) {
				id_of_byte[byte] = (int32_t)training->tokens.n;
				AUR_TRY(aur_words_tally(&training->tokens, (struct aur_text){(char[]){(char)byte}, 1}, 0));
			}
	return AUR_OK;
}

/* The id of the token that two make; it is new unless others, or a special token's name, made the same. */
static aur_status join_tokens(struct training *training, int32_t left, int32_t right, int32_t *joined)
{
	const struct aur_text a = training->tokens.words[left].text, b = training->tokens.words[right].text;
	char *bytes = malloc(a.size + b.size);
	if (!bytes)
		return aur_fail(AUR_MEMORY, "no memory for a token of %zu bytes", a.size + b.size);
	memcpy(bytes, a.bytes, a.size);
	memcpy(bytes + a.size, b.bytes, b.size);
	const struct aur_text token = {bytes, a.size + b.size};
	const aur_status status = aur_words_tally(&training->tokens, token, 0);
	*joined = (int32_t)aur_words_find(&training->tokens, token);
	free(bytes);
	return status;
}

/* ---- pieces ---- */

static aur_status make_pieces(
	const struct aur_words *counts, const int32_t id_of_byte[AUR_BPE_BYTES], struct pieces *pieces)
{
	const size_t n = (size_t)counts->n;
	size_t symbols = 0;
	for (size_t i = 0; i < n; i++) {
		if (counts->words[i].text.size > INT32_MAX)
			return aur_fail(AUR_INPUT, "a piece of %zu bytes is too long for the pattern that splits the text",
				counts->words[i].text.size);
		symbols += counts->words[i].text.size;
	}
	pieces->symbols = malloc(symbols * sizeof *pieces->symbols);
	pieces->begins = malloc(n * sizeof *pieces->begins);
	pieces->lengths = malloc(n * sizeof *pieces->lengths);
	pieces->counts = malloc(n * sizeof *pieces->counts);
	if (!pieces->symbols || !pieces->begins || !pieces->lengths || !pieces->counts)
		return aur_fail(AUR_MEMORY, "no memory for %zu distinct pieces of text", n);
	pieces->n = counts->n;
	for (size_t i = 0, at = 0; i < n; i++) {
		const struct aur_text text = counts->words[i].text;
		pieces->begins[i] = (int64_t)at;
		pieces->lengths[i] = (int32_t)text.size;
		pieces->counts[i] = counts->words[i].count;
		for (size_t byte = 0; byte < text.size; byte++)
			pieces->symbols[at++] = id_of_byte[(unsigned char)text.bytes[byte]];
	}
	return AUR_OK;
}

static void clear_pieces(struct pieces *pieces)
{
	free(pieces->symbols);
	free(pieces->begins);
	free(pieces->lengths);
	free(pieces->counts);
}

static aur_status count_pairs(struct training *training)
{
	const struct pieces *pieces = &training->pieces;
	const struct aur_tokenizer_options *options = training->options;
	for (int64_t i = 0; i < pieces->n; i++) {
		const int32_t *symbols = pieces->symbols + pieces->begins[i];
		if (options->wants_to_stop && options->wants_to_stop())
			return AUR_STOPPED;
		for (int32_t at = 0; at + 1 < pieces->lengths[i]; at++)
			AUR_TRY(aur_pairs_change(&training->pairs, symbols[at], symbols[at + 1], pieces->counts[i], (uint32_t)i));
	}
	return aur_pairs_queue_fresh(&training->pairs);
}

/* ---- merging ---- */

struct merge {
	int32_t left, right, joined;
};

/* Merges the pair where it stands in a piece, from the left. The pairs it formed with its neighbours go, and those of
 * the joined symbol come. */
static aur_status merge_in_piece(struct training *training, struct merge merge, uint32_t piece)
{
	struct aur_pairs *pairs = &training->pairs;
	int32_t *symbols = training->pieces.symbols + training->pieces.begins[piece];
	const int32_t length = training->pieces.lengths[piece];
	const int64_t count = training->pieces.counts[piece];
	int32_t kept = 0;
	for (int32_t at = 0; at < length; at++) {
		if (symbols[at] != merge.left || at + 1 == length || symbols[at + 1] != merge.right) {
			symbols[kept++] = symbols[at];
			continue;
		}
		if (kept > 0) {
			AUR_TRY(aur_pairs_change(pairs, symbols[kept - 1], merge.left, -count, piece));
			AUR_TRY(aur_pairs_change(pairs, symbols[kept - 1], merge.joined, count, piece));
		}
		at++;
		if (at + 1 < length) {
			AUR_TRY(aur_pairs_change(pairs, merge.right, symbols[at + 1], -count, piece));
			AUR_TRY(aur_pairs_change(pairs, merge.joined, symbols[at + 1], count, piece));
		}
		symbols[kept++] = merge.joined;
	}
	training->pieces.lengths[piece] = kept;
	return AUR_OK;
}

static int is_merged(const struct training *training, struct merge merge)
{
	for (int64_t i = 0; i < training->n_merges; i++)
		if (training->merges[2 * i] == merge.left && training->merges[2 * i + 1] == merge.right)
			return 1;
	return 0;
}

/* Almost every merge makes a token that is new; one of a token that is there may be the second of its pair. */
static aur_status note_merge(struct training *training, struct merge merge, int is_new)
{
	if (!is_new && is_merged(training, merge))
		return AUR_OK;
	if (training->n_merges == training->merges_room) {
		const int64_t room = training->merges_room > 0 ? 2 * training->merges_room : 1024;
		int64_t *grown = realloc(training->merges, 2 * (size_t)room * sizeof *grown);
		if (!grown)
			return aur_fail(AUR_MEMORY, "no memory for %lld merges", (long long)room);
		training->merges = grown;
		training->merges_room = room;
	}
	training->merges[2 * training->n_merges] = merge.left;
	training->merges[2 * training->n_merges + 1] = merge.right;
	training->n_merges++;
	return AUR_OK;
}

static aur_status merge_pair(struct training *training, struct aur_pair *pair)
{
	struct merge merge = {.left = (int32_t)(pair->key >> 32), .right = (int32_t)(pair->key & UINT32_MAX)};
	const int64_t tokens = training->tokens.n;
	uint32_t few[2], n;
	uint32_t *many = aur_pair_take_words(pair, few, &n);
	const uint32_t *places = many ? many : few;
	aur_status status = AUR_OK;
	if (n == 0)
		goto cleanup;
	AUR_TRY_CLEANUP(join_tokens(training, merge.left, merge.right, &merge.joined));
	AUR_TRY_CLEANUP(note_merge(training, merge, training->tokens.n > tokens));
	for (uint32_t i = 0; i < n; i++)
		AUR_TRY_CLEANUP(merge_in_piece(training, merge, places[i]));
	status = aur_pairs_queue_fresh(&training->pairs);
cleanup:
	free(many);
	return status;
}

static aur_status merge_all(struct training *training)
{
	const struct aur_tokenizer_options *options = training->options;
	struct aur_pair *pair;
	while (training->tokens.n < options->vocab_size && (pair = aur_pairs_pop(&training->pairs)) != NULL) {
		if (pair->count < options->min_count)
			break;
		if (options->wants_to_stop && options->wants_to_stop())
			return AUR_STOPPED;
		AUR_TRY(merge_pair(training, pair));
	}
	return AUR_OK;
}

/* ---- the whole ---- */

static struct aur_text name_of(const struct training *training, int64_t id)
{
	return id < training->n_specials ? training->specials[id] : training->tokens.words[id].text;
}

static aur_status fill_vocab(struct training *training, struct aur_vocab *vocab)
{
	size_t bytes = 0;
	for (int64_t id = 0; id < training->tokens.n; id++)
		bytes += name_of(training, id).size;
	vocab->unknown = -1;
	vocab->added = calloc(2 * (size_t)training->n_specials + 1, sizeof *vocab->added);
	if (!vocab->added)
		return aur_fail(AUR_MEMORY, "no memory for the special tokens");
	vocab->n_added = training->n_specials;
	for (int id = 0; id < training->n_specials; id++) {
		vocab->added[2 * id] = id;
		vocab->added[2 * id + 1] = 1;
	}
	AUR_TRY(aur_vocab_reserve(vocab, training->tokens.n, bytes));
	for (int64_t id = 0; id < training->tokens.n; id++)
		aur_vocab_append(vocab, name_of(training, id).bytes, name_of(training, id).size);
	vocab->merges = training->merges;
	vocab->n_merges = training->n_merges;
	training->merges = NULL;
	return AUR_OK;
}

aur_status aur_bpe_train(const struct aur_tokenizer_options *options, struct aur_words *counts, struct aur_vocab *vocab)
{
	struct training training = {.options = options};
	int32_t id_of_byte[AUR_BPE_BYTES];
	aur_status status;
	if (counts->n == 0)
		return aur_fail(AUR_INPUT, "there is no text to make a vocabulary of");
	AUR_TRY(split_specials(options->specials, training.specials, &training.n_specials));
	AUR_TRY_CLEANUP(begin_tokens(&training, id_of_byte));
	AUR_TRY_CLEANUP(make_pieces(counts, id_of_byte, &training.pieces));
	aur_words_clear(counts);
	AUR_TRY_CLEANUP(count_pairs(&training));
	AUR_TRY_CLEANUP(merge_all(&training));
	status = fill_vocab(&training, vocab);
cleanup:
	clear_pieces(&training.pieces);
	aur_pairs_clear(&training.pairs);
	aur_words_clear(&training.tokens);
	free(training.merges);
	return status;
}
