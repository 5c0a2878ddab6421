#include "bpe_alphabet.h"
#include "internal.h"
#include "pretokenize.h"
#include "text/bpe.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- names of tokens ---- */

/* What a file calls each token: characters for its bytes; an added one its text itself. Gaps are NULL. */
struct names {
	json_t **of; /* owned [size] */
	int64_t size;
};

static void clear_names(struct names *names)
{
	for (int64_t id = 0; names->of && id < names->size; id++)
		json_decref(names->of[id]);
	free(names->of);
}

static aur_status name_token(const struct aur_vocab *vocab, int64_t id, char *room, struct names *names)
{
	const struct aur_text token = aur_vocab_token(vocab, id);
	names->of[id] = json_stringn(room, aur_alphabet_text(token.bytes, token.size, room));
	return names->of[id] ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the names of tokens");
}

static aur_status name_added(const struct aur_vocab *vocab, struct names *names)
{
	for (int64_t i = 0; i < vocab->n_added; i++) {
		const int64_t id = vocab->added[2 * i];
		const struct aur_text token = aur_vocab_token(vocab, id);
		json_decref(names->of[id]);
		names->of[id] = json_stringn(token.bytes, token.size);
		if (!names->of[id])
			return aur_fail(AUR_INPUT, "added token %lld is not UTF-8: it cannot stand in JSON", (long long)id);
	}
	return AUR_OK;
}

static aur_status make_names(const struct aur_vocab *vocab, struct names *names)
{
	aur_status status = AUR_OK;
	char *room = malloc(2 * (size_t)vocab->offsets[vocab->size] + 1);
	names->size = vocab->size;
	names->of = calloc((size_t)vocab->size, sizeof *names->of);
	if (!room || !names->of)
		AUR_TRY_CLEANUP(aur_fail(AUR_MEMORY, "no memory for the names of tokens"));
	for (int64_t id = 0; id < vocab->size; id++)
		if (vocab->offsets[id + 1] > vocab->offsets[id])
			AUR_TRY_CLEANUP(name_token(vocab, id, room, names));
	status = name_added(vocab, names);
cleanup:
	free(room);
	return status;
}

/* ---- parts of the file ---- */

static aur_status put_vocab(const struct names *names, json_t *numbers)
{
	for (int64_t id = 0; id < names->size; id++) {
		if (!names->of[id])
			continue;
		const char *name = json_string_value(names->of[id]);
		const json_t *other = json_object_get(numbers, name);
		if (other)
			return aur_fail(AUR_INPUT, "tokens %lld and %lld are both called '%.60s' in tokenizer.json",
				(long long)json_integer_value(other), (long long)id, name);
		if (json_object_set_new(numbers, name, json_integer(id)) != 0)
			return aur_fail(AUR_INPUT, "token %lld cannot be named in JSON", (long long)id);
	}
	return AUR_OK;
}

static int put_merges(const struct aur_vocab *vocab, const struct names *names, json_t *merges)
{
	int failed = 0;
	for (int64_t i = 0; i < vocab->n_merges; i++)
		failed |=
			json_array_append_new(merges, json_sprintf("%s %s", json_string_value(names->of[vocab->merges[2 * i]]),
											  json_string_value(names->of[vocab->merges[2 * i + 1]])));
	return failed;
}

static json_t *added_tokens(const struct aur_vocab *vocab, const struct names *names)
{
	json_t *list = json_array();
	for (int64_t i = 0; i < vocab->n_added; i++) {
		const int64_t id = vocab->added[2 * i];
		json_array_append_new(list,
			json_pack("{s:I,s:O,s:b,s:b,s:b,s:b,s:b}", "id", (json_int_t)id, "content", names->of[id], "single_word", 0,
				"lstrip", 0, "rstrip", 0, "normalized", 0, "special", (int)vocab->added[2 * i + 1]));
	}
	return list;
}

static json_t *byte_level(int splits)
{
	return json_pack(
		"{s:s,s:b,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", splits);
}

static json_t *splitting(const struct aur_vocab *vocab)
{
	if (strcmp(vocab->pattern, "gpt2") == 0)
		return byte_level(1);
	return json_pack("{s:s,s:[{s:s,s:{s:s},s:s,s:b},o]}", "type", "Sequence", "pretokenizers", "type", "Split",
		"pattern", "Regex", aur_pattern_regex(vocab->pattern), "behavior", "Isolated", "invert", 0, byte_level(0));
}

/* Takes the two over. */
static json_t *assemble(const struct aur_vocab *vocab, const struct names *names, json_t *numbers, json_t *merges)
{
	json_t *model = json_pack("{s:s,s:n,s:n,s:n,s:n,s:b,s:b,s:b,s:o,s:o}", "type", "BPE", "dropout", "unk_token",
		"continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", 0, "byte_fallback", 0, "ignore_merges",
		vocab->ignore_merges, "vocab", numbers, "merges", merges);
	return json_pack("{s:s,s:n,s:n,s:o,s:n,s:o,s:o,s:o,s:o}", "version", "1.0", "truncation", "padding", "added_tokens",
		added_tokens(vocab, names), "normalizer", "pre_tokenizer", splitting(vocab), "post_processor", byte_level(1),
		"decoder", byte_level(1), "model", model);
}

static aur_status write_named(const struct aur_vocab *vocab, const struct names *names, char **json)
{
	json_t *numbers = json_object(), *merges = json_array();
	aur_status status = put_vocab(names, numbers);
	const int failed = status == AUR_OK ? put_merges(vocab, names, merges) : 0;
	json_t *root = assemble(vocab, names, numbers, merges);
	*json = status == AUR_OK && root && !failed ? json_dumps(root, JSON_INDENT(1)) : NULL;
	json_decref(root);
	if (status == AUR_OK && !*json)
		status = aur_fail(AUR_MEMORY, "no memory for tokenizer.json");
	return status;
}

aur_status aur_bpe_write_json(const struct aur_vocab *vocab, char **json)
{
	struct names names = {0};
	if (strcmp(vocab->kind, "bpe") != 0)
		return aur_fail(
			AUR_INPUT, "a tokenizer of the kind '%s' has no tokenizer.json: byte-level BPE has", vocab->kind);
	if (vocab->lowercase || strcmp(vocab->clean, "none") != 0)
		return aur_fail(
			AUR_INPUT, "tokenizer.json cannot say that texts are cleaned ('%s') or lower-cased", vocab->clean);
	aur_status status = make_names(vocab, &names);
	if (status == AUR_OK)
		status = write_named(vocab, &names, json);
	clear_names(&names);
	return status;
}
