#include "text/bpe_train.h"

#include "bpe_counts.h"
#include "bpe_pairs.h"
#include "internal.h"
#include "pretokenize.h"
#include "words.h"

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
	const struct aur_bpe_settings *settings;
	struct pieces pieces;
	struct aur_pairs pairs;
	struct aur_words tokens; /* by id */
	int64_t *merges;         /* owned [2 * n_merges] */
	int64_t n_merges, merges_room;
};

aur_status aur_bpe_settings_check(const struct aur_bpe_settings *settings)
{
	const int64_t least = AUR_BPE_BYTES + settings->n_specials;
	for (int64_t i = 0; i < settings->n_specials; i++) {
		const char *special = settings->specials[i];
		if (strlen(special) < 2 || aur_utf8_check(special, strlen(special)) >= 0)
			return aur_fail(AUR_USAGE, "special token '%s': give at least two characters, in UTF-8", special);
		for (int64_t j = 0; j < i; j++)
			if (strcmp(special, settings->specials[j]) == 0)
				return aur_fail(AUR_USAGE, "special token '%s' is given twice", special);
	}
	if (settings->vocab_size < least || settings->vocab_size > INT32_MAX)
		return aur_fail(AUR_USAGE,
			"a vocabulary of %lld tokens: give at least %lld, for the 256 bytes and %lld special tokens, and at most "
			"%d",
			(long long)settings->vocab_size, (long long)least, (long long)settings->n_specials, INT32_MAX);
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
static int could_be_merged(const char *special)
{
	for (; *special; special++)
		if (*special <= ' ' || *special > '~')
			return 0;
	return 1;
}

static aur_status begin_tokens(struct training *training, int32_t id_of_byte[AUR_BPE_BYTES])
{
	const struct aur_bpe_settings *settings = training->settings;
	for (int64_t i = 0; i < settings->n_specials; i++) {
		const char *name = could_be_merged(settings->specials[i]) ? settings->specials[i] : "";
		AUR_TRY(aur_words_add(&training->tokens, (struct aur_text){name, strlen(name)}));
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
	for (int64_t i = 0; i < pieces->n; i++) {
		const int32_t *symbols = pieces->symbols + pieces->begins[i];
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
	const struct aur_bpe_settings *settings = training->settings;
	const int64_t begun = training->tokens.n;
	struct aur_pair *pair;
	while (training->tokens.n < settings->vocab_size && (pair = aur_pairs_pop(&training->pairs)) != NULL) {
		if (pair->count < settings->min_count)
			break;
		AUR_TRY(merge_pair(training, pair));
		if (settings->progress)
			settings->progress(
				settings->progress_context, AUR_BPE_MERGING, training->tokens.n - begun, settings->vocab_size - begun);
	}
	return AUR_OK;
}

/* ---- the whole ---- */

static aur_status describe(const struct aur_bpe_settings *settings, struct aur_vocab *vocab)
{
	strcpy(vocab->kind, "bpe");
	strcpy(vocab->clean, "none");
	vocab->unknown = -1;
	if (strlen(settings->pattern) >= sizeof vocab->pattern)
		return aur_fail(
			AUR_INPUT, "the pattern that splits the text is longer than %zu bytes", sizeof vocab->pattern - 1);
	strcpy(vocab->pattern, aur_pattern_name(settings->pattern));
	vocab->added = calloc(2 * (size_t)settings->n_specials + 1, sizeof *vocab->added);
	if (!vocab->added)
		return aur_fail(AUR_MEMORY, "no memory for %lld special tokens", (long long)settings->n_specials);
	vocab->n_added = settings->n_specials;
	for (int64_t id = 0; id < settings->n_specials; id++) {
		vocab->added[2 * id] = id;
		vocab->added[2 * id + 1] = 1;
	}
	return AUR_OK;
}

static aur_status fill_vocab(struct training *training, struct aur_vocab *vocab)
{
	const struct aur_bpe_settings *settings = training->settings;
	const struct aur_word *tokens = training->tokens.words;
	size_t bytes = 0;
	for (int64_t id = 0; id < training->tokens.n; id++)
		bytes += id < settings->n_specials ? strlen(settings->specials[id]) : tokens[id].text.size;
	AUR_TRY(aur_vocab_reserve(vocab, training->tokens.n, bytes));
	for (int64_t id = 0; id < settings->n_specials; id++)
		aur_vocab_append(vocab, settings->specials[id], strlen(settings->specials[id]));
	for (int64_t id = settings->n_specials; id < training->tokens.n; id++)
		aur_vocab_append(vocab, tokens[id].text.bytes, tokens[id].text.size);
	vocab->merges = training->merges;
	vocab->n_merges = training->n_merges;
	training->merges = NULL;
	return AUR_OK;
}

aur_status aur_bpe_train(
	const struct aur_bpe_settings *settings, const struct aur_bpe_source *source, struct aur_vocab *vocab)
{
	struct training training = {.settings = settings};
	struct aur_words counts = {0};
	int32_t id_of_byte[AUR_BPE_BYTES];
	aur_status status;
	AUR_TRY(aur_bpe_settings_check(settings));
	AUR_TRY_CLEANUP(describe(settings, vocab));
	AUR_TRY_CLEANUP(aur_bpe_count(settings, source, &counts));
	if (counts.n == 0)
		AUR_TRY_CLEANUP(aur_fail(AUR_INPUT, "there is no text to train a vocabulary on"));
	AUR_TRY_CLEANUP(begin_tokens(&training, id_of_byte));
	AUR_TRY_CLEANUP(make_pieces(&counts, id_of_byte, &training.pieces));
	aur_words_clear(&counts);
	AUR_TRY_CLEANUP(count_pairs(&training));
	AUR_TRY_CLEANUP(merge_all(&training));
	AUR_TRY_CLEANUP(fill_vocab(&training, vocab));
cleanup:
	aur_words_clear(&counts);
	clear_pieces(&training.pieces);
	aur_pairs_clear(&training.pairs);
	aur_words_clear(&training.tokens);
	free(training.merges);
	if (status != AUR_OK)
		aur_vocab_clear(vocab);
	return status;
}
