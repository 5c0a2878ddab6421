#include "bpe_read.h"
#include "pretokenize.h"
#include "regex.h"
#include "text/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a tokenizer.json may ask for ---- */

static const char *type_of(const json_t *object)
{
	const char *type = json_string_value(json_object_get(object, "type"));
	return type ? type : "without a type";
}

static int is_type(const json_t *object, const char *type)
{
	return strcmp(type_of(object), type) == 0;
}

/* Absent, null, false, 0 or an empty text: what such a key would do is not asked for. */
static int is_off(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	if (json_is_string(value))
		return json_string_length(value) == 0;
	if (json_is_number(value))
		return json_number_value(value) == 0;
	return !value || json_is_null(value) || json_is_false(value);
}

static aur_status refuse(const char *what, const char *which)
{
	return aur_fail(AUR_INPUT,
		"%s %s is not supported: byte-level BPE alone is, split by ByteLevel or a regular expression", what, which);
}

/* Every key whose value would change what comes out. */
static aur_status check_off(const char *what, const json_t *object, const char *const *keys, int n)
{
	for (int i = 0; i < n; i++)
		if (!is_off(object, keys[i]))
			return refuse(what, keys[i]);
	return AUR_OK;
}

static aur_status check_model(const json_t *model)
{
	static const char *const keys[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"};
	const json_t *type = json_object_get(model, "type");
	if (type && !is_type(model, "BPE"))
		return refuse("model", type_of(model));
	if (!json_is_object(json_object_get(model, "vocab")) || !json_is_array(json_object_get(model, "merges")))
		return aur_fail(AUR_INPUT, "there is no model with a vocab and merges");
	return check_off("model", model, keys, sizeof keys / sizeof *keys);
}

static aur_status check_around(const json_t *root)
{
	const json_t *normalizer = json_object_get(root, "normalizer"), *decoder = json_object_get(root, "decoder");
	if (json_is_object(normalizer))
		return refuse("normalizer", type_of(normalizer));
	if (json_is_object(decoder) && !is_type(decoder, "ByteLevel"))
		return refuse("decoder", type_of(decoder));
	return AUR_OK;
}

/* ---- how it splits ---- */

static aur_status set_pattern(const char *regex, struct aur_vocab *vocab)
{
	const char *pattern = aur_pattern_name(regex);
	if (strlen(pattern) >= sizeof vocab->pattern)
		return aur_fail(
			AUR_INPUT, "pre_tokenizer: a regular expression of more than %zu bytes", sizeof vocab->pattern - 1);
	snprintf(vocab->pattern, sizeof vocab->pattern, "%s", pattern);
	return aur_pattern_regex(pattern) == pattern ? aur_regex_check(pattern) : AUR_OK;
}

/* Matches are kept and so is what lies between them. The inverse removes what lies between: where the pattern matches
 * everything, which the known ones do, that is the same. */
static aur_status read_split(const json_t *split, struct aur_vocab *vocab)
{
	const char *regex = json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
	const char *behavior = json_string_value(json_object_get(split, "behavior"));
	const int inverse = json_is_true(json_object_get(split, "invert"));
	if (!regex)
		return refuse("pre_tokenizer Split", "without a Regex");
	AUR_TRY(set_pattern(regex, vocab));
	const int known = aur_pattern_regex(vocab->pattern) != vocab->pattern;
	if (behavior && strcmp(behavior, "Isolated") == 0 && !inverse)
		return AUR_OK;
	if (behavior && strcmp(behavior, "Removed") == 0 && inverse && known)
		return AUR_OK;
	return refuse("pre_tokenizer Split with behavior", behavior ? behavior : "unnamed");
}

static aur_status check_byte_level(const json_t *level, int splits)
{
	static const char *const prefix[] = {"add_prefix_space"};
	const json_t *use_regex = json_object_get(level, "use_regex");
	if (!is_type(level, "ByteLevel"))
		return refuse("pre_tokenizer", type_of(level));
	AUR_TRY(check_off("pre_tokenizer ByteLevel with", level, prefix, 1));
	if (splits != (!use_regex || json_is_true(use_regex)))
		return refuse("pre_tokenizer ByteLevel", splits ? "that does not split" : "that splits once more");
	return AUR_OK;
}

static aur_status read_splitting(const json_t *pre, struct aur_vocab *vocab)
{
	const json_t *list = json_object_get(pre, "pretokenizers");
	if (!json_is_object(pre))
		return refuse("pre_tokenizer", "null");
	if (!is_type(pre, "Sequence")) {
		AUR_TRY(check_byte_level(pre, 1));
		return set_pattern("gpt2", vocab);
	}
	if (json_array_size(list) == 1)
		return read_splitting(json_array_get(list, 0), vocab);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!is_type(json_array_get(list, i), i == 0 ? "Split" : "ByteLevel") || i > 1)
			return refuse("pre_tokenizer Sequence with", type_of(json_array_get(list, i)));
	if (json_array_size(list) == 0)
		return refuse("pre_tokenizer Sequence", "of nothing");
	AUR_TRY(check_byte_level(json_array_get(list, 1), 0));
	return read_split(json_array_get(list, 0), vocab);
}

/* ---- its tokens ---- */

/* A special token stands in no text, so how much white space it takes with it does not matter. */
static aur_status read_added_token(const json_t *object, struct aur_added_token *token)
{
	static const char *const keys[] = {"single_word", "lstrip", "rstrip"};
	const json_t *content = json_object_get(object, "content"), *id = json_object_get(object, "id");
	if (!json_is_string(content) || !json_is_integer(id))
		return aur_fail(AUR_INPUT, "added_tokens: an entry has no content or no id");
	*token = (struct aur_added_token){json_string_value(content), json_string_length(content), json_integer_value(id),
		json_is_true(json_object_get(object, "special"))};
	return token->special ? AUR_OK : check_off("an added token with", object, keys, 3);
}

static aur_status read_tokens(const json_t *root, json_t *numbers, struct aur_vocab *vocab)
{
	const json_t *list = json_object_get(root, "added_tokens");
	const size_t n = json_array_size(list);
	struct aur_added_token *added = malloc((n + 1) * sizeof *added);
	if (!added)
		return aur_fail(AUR_MEMORY, "no memory for %zu added tokens", n);
	aur_status status = AUR_OK;
	for (size_t i = 0; i < n && status == AUR_OK; i++)
		status = read_added_token(json_array_get(list, i), &added[i]);
	if (status == AUR_OK)
		status = aur_bpe_put_tokens(numbers, added, (int64_t)n, vocab);
	free(added);
	return status;
}

/* ["Ġ", "t"] or "Ġ t". */
static aur_status read_merge(json_t *numbers, const json_t *merge, int64_t rank, int64_t pair[2])
{
	const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
	if (json_is_string(merge))
		return aur_bpe_pair_of_line(numbers, rank, json_string_value(merge), json_string_length(merge), pair);
	if (json_array_size(merge) != 2 || !json_is_string(left) || !json_is_string(right))
		return aur_fail(AUR_INPUT, "merge %lld is no pair of tokens", (long long)rank);
	return aur_bpe_pair(numbers, rank, json_string_value(left), json_string_length(left), json_string_value(right),
		json_string_length(right), pair);
}

static aur_status read_merges(json_t *numbers, const json_t *list, struct aur_vocab *vocab)
{
	const size_t n = json_array_size(list);
	vocab->merges = malloc((2 * n + 1) * sizeof *vocab->merges);
	if (!vocab->merges)
		return aur_fail(AUR_MEMORY, "no memory for %zu merges", n);
	for (size_t i = 0; i < n; i++) {
		AUR_TRY(read_merge(numbers, json_array_get(list, i), (int64_t)i, vocab->merges + 2 * i));
		vocab->n_merges = (int64_t)i + 1;
	}
	return AUR_OK;
}

/* With a token for every byte no text holds anything unknown, and a token for that is never used. */
static aur_status check_unknown(const json_t *model, const struct aur_vocab *vocab)
{
	unsigned char there[256] = {0};
	int bytes = 0;
	for (int64_t id = 0; id < vocab->size; id++)
		if (vocab->offsets[id + 1] - vocab->offsets[id] == 1)
			there[(unsigned char)vocab->bytes[vocab->offsets[id]]] = 1;
	for (int i = 0; i < 256; i++)
		bytes += there[i];
	return bytes == 256 || is_off(model, "unk_token") ? AUR_OK
													  : refuse("model", "unk_token without a token for every byte");
}

static aur_status read_parsed(const json_t *root, struct aur_vocab *vocab)
{
	const json_t *model = json_object_get(root, "model");
	json_t *numbers = json_object_get(model, "vocab");
	AUR_TRY(check_model(model));
	AUR_TRY(check_around(root));
	snprintf(vocab->kind, sizeof vocab->kind, "bpe");
	snprintf(vocab->clean, sizeof vocab->clean, "none");
	vocab->unknown = -1;
	vocab->ignore_merges = json_is_true(json_object_get(model, "ignore_merges"));
	AUR_TRY(read_splitting(json_object_get(root, "pre_tokenizer"), vocab));
	AUR_TRY(read_tokens(root, numbers, vocab));
	AUR_TRY(read_merges(numbers, json_object_get(model, "merges"), vocab));
	return check_unknown(model, vocab);
}

aur_status aur_bpe_read_json(const char *json, size_t bytes, struct aur_vocab *vocab)
{
	json_t *root = NULL;
	AUR_TRY(aur_bpe_parse(json, bytes, &root));
	const aur_status status = read_parsed(root, vocab);
	json_decref(root);
	return status;
}
