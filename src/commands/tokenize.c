#include "commands/commands.h"
#include "options.h"
#include "print.h"
#include "text/report.h"
#include "text/tokenizer.h"
#include "tokenizer_file.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request {
	const char *decode;
	int json;
};

/* ---- standard input ---- */

static aur_status read_stdin(char **text, size_t *bytes)
{
	size_t capacity = 1 << 16;
	char *buffer = malloc(capacity);
	*bytes = 0;
	while (buffer) {
		*bytes += fread(buffer + *bytes, 1, capacity - *bytes, stdin);
		if (*bytes < capacity)
			break;
		capacity *= 2;
		char *grown = realloc(buffer, capacity);
		if (!grown)
			free(buffer);
		buffer = grown;
	}
	if (!buffer)
		return aur_fail(AUR_MEMORY, "standard input: no memory for %zu bytes", capacity);
	if (ferror(stdin)) {
		free(buffer);
		return aur_fail(AUR_INPUT, "standard input: cannot read: %s", strerror(errno));
	}
	*text = buffer;
	return AUR_OK;
}

/* ---- text to tokens ---- */

static int64_t count_characters(const char *text, size_t bytes)
{
	int64_t count = 0;
	for (size_t i = 0; i < bytes; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

/* The text itself, its tokens on backgrounds that take turns; a line end is shown and then made. */
static void print_coloured(const struct aur_tokenizer *tokenizer, const struct aur_ids *ids)
{
	static const int backgrounds[] = {152, 223, 183, 157, 217};
	for (int64_t i = 0; i < ids->count; i++) {
		char shown[256];
		size_t bytes;
		const char *piece = aur_tokenizer_piece(tokenizer, ids->ids[i], i == 0, &bytes);
		const int line_ends = bytes > 0 && piece[bytes - 1] == '\n';
		aur_print("\033[30;48;5;%dm%s\033[0m%s", backgrounds[i % 5],
			aur_text_readable(piece, bytes, shown, sizeof shown), line_ends ? "\n" : "");
	}
	aur_print("\n");
}

static void print_tokens(const struct aur_tokenizer *tokenizer, const struct aur_ids *ids, int64_t characters)
{
	const struct aur_vocab *vocab = aur_tokenizer_vocab(tokenizer);
	if (aur_print_in_colours())
		print_coloured(tokenizer, ids);
	for (int64_t i = 0; i < ids->count; i++) {
		char shown[256];
		size_t bytes;
		const char *piece = aur_tokenizer_piece(tokenizer, ids->ids[i], 1, &bytes);
		aur_text_readable(piece, bytes, shown, sizeof shown);
		aur_print("%7d  '%s'\n", ids->ids[i], shown);
	}
	aur_print("%lld tokens, %lld characters", (long long)ids->count, (long long)characters);
	if (ids->count > 0)
		aur_print(", %.2f characters per token", (double)characters / (double)ids->count);
	aur_print("\n");
	if (ids->unknown > 0) {
		char shown[96];
		aur_text_readable(ids->first_unknown, strlen(ids->first_unknown), shown, sizeof shown);
		aur_print("%lld not in the vocabulary (%s), first: '%s'\n", (long long)ids->unknown,
			vocab->unknown < 0 ? "dropped" : "shown as the unknown token", shown);
	}
}

/* A piece that is not UTF-8 by itself cannot stand in JSON: its readable form can. */
static json_t *json_piece(const char *piece, size_t bytes)
{
	char shown[256];
	json_t *string = json_stringn(piece, bytes);
	return string ? string : json_string(aur_text_readable(piece, bytes, shown, sizeof shown));
}

static aur_status print_json(json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!text)
		return aur_fail(AUR_MEMORY, "no memory for the JSON text");
	aur_print("%s\n", text);
	free(text);
	return AUR_OK;
}

static aur_status print_tokens_json(
	const struct aur_tokenizer *tokenizer, const struct aur_ids *ids, int64_t characters)
{
	json_t *numbers = json_array(), *pieces = json_array();
	int failed = 0;
	for (int64_t i = 0; i < ids->count; i++) {
		size_t bytes;
		const char *piece = aur_tokenizer_piece(tokenizer, ids->ids[i], 1, &bytes);
		failed |= json_array_append_new(numbers, json_integer(ids->ids[i]));
		failed |= json_array_append_new(pieces, json_piece(piece, bytes));
	}
	json_t *object = json_pack("{s:o,s:o,s:I,s:I,s:I}", "ids", numbers, "pieces", pieces, "tokens",
		(json_int_t)ids->count, "characters", (json_int_t)characters, "unknown", (json_int_t)ids->unknown);
	if (object && ids->count > 0)
		failed |=
			json_object_set_new(object, "characters_per_token", json_real((double)characters / (double)ids->count));
	if (failed) {
		json_decref(object);
		return aur_fail(AUR_MEMORY, "no memory for the JSON text");
	}
	return print_json(object);
}

static aur_status show_text(const struct aur_tokenizer *tokenizer, const char *text, size_t bytes, int json)
{
	struct aur_ids ids = {0};
	aur_status status = aur_tokenizer_encode(tokenizer, text, bytes, &ids);
	if (status != AUR_OK)
		return aur_add_context(status, "the text");
	const int64_t characters = count_characters(text, bytes);
	if (json)
		status = print_tokens_json(tokenizer, &ids, characters);
	else
		print_tokens(tokenizer, &ids, characters);
	aur_ids_clear(&ids);
	return status;
}

static aur_status show_stdin(const struct aur_tokenizer *tokenizer, int json)
{
	char *text = NULL;
	size_t bytes = 0;
	AUR_TRY(read_stdin(&text, &bytes));
	const aur_status status = show_text(tokenizer, text, bytes, json);
	free(text);
	return status;
}

/* ---- tokens to text ---- */

/* Numbers between blanks or commas. */
static aur_status parse_ids(const char *list, struct aur_ids *ids)
{
	ids->ids = calloc(strlen(list) / 2 + 1, sizeof *ids->ids);
	if (!ids->ids)
		return aur_fail(AUR_MEMORY, "no memory for a list of tokens");
	const char *at = list;
	for (;;) {
		at += strspn(at, ", \t\r\n");
		if (*at == '\0')
			break;
		char *end;
		errno = 0;
		const long value = isdigit((unsigned char)*at) ? strtol(at, &end, 10) : -1;
		if (value < 0 || errno != 0 || value > INT32_MAX || (*end != '\0' && !strchr(", \t\r\n", *end)))
			return aur_fail(AUR_USAGE, "--decode: '%.*s' is not a token's number", (int)strcspn(at, ", \t\r\n"), at);
		ids->ids[ids->count++] = (int32_t)value;
		at = end;
	}
	return ids->count > 0 ? AUR_OK : aur_fail(AUR_USAGE, "--decode: no numbers in '%s'", list);
}

/* A token may be the character 0: the text's first zero need not be its end. */
static size_t decoded_bytes(const struct aur_tokenizer *tokenizer, const struct aur_ids *ids)
{
	size_t bytes = 0, piece_bytes;
	for (int64_t i = 0; i < ids->count; i++)
		if (aur_tokenizer_piece(tokenizer, ids->ids[i], i == 0, &piece_bytes))
			bytes += piece_bytes;
	return bytes;
}

static aur_status show_decoded(const struct aur_tokenizer *tokenizer, const struct aur_ids *ids, int json)
{
	char *text;
	aur_status status = AUR_OK;
	AUR_TRY(aur_tokenizer_decode(tokenizer, ids->ids, ids->count, &text));
	const size_t bytes = decoded_bytes(tokenizer, ids);
	if (json)
		status = print_json(json_pack("{s:o}", "text", json_piece(text, bytes)));
	else {
		aur_print_bytes(text, bytes);
		aur_print("\n");
	}
	free(text);
	return status;
}

/* ---- the command ---- */

static aur_status parse(int argc, char **argv, struct request *request, struct aur_options *options)
{
	const struct aur_option table[] = {
		{"decode", AUR_OPTION_TEXT, &request->decode, "IDS", "print the text of these tokens: \"1 2 3\" or 1,2,3", 0},
		{"json", AUR_OPTION_FLAG, &request->json, NULL, "print one JSON object", 0},
	};
	*options = (struct aur_options){
		.usage = "tokenize MODEL|DATA|VOCABULARY [TEXT] [options]",
		.about = "Shows how a dataset's or a model's tokenizer splits TEXT (standard input without one), and back.\n"
				 "VOCABULARY is a tokenizer.json, or a folder with GPT-2's vocab.json and merges.txt.",
		.options = table,
		.n_options = (int)(sizeof table / sizeof *table),
		.argument = "a dataset, a model or a vocabulary",
		.least_arguments = 1,
		.most_arguments = 2,
	};
	const aur_status status = aur_options_parse(options, argc, argv);
	options->options = NULL; /* the table ends here */
	AUR_TRY(status);
	if (request->decode && options->n_arguments > 1)
		return aur_fail(AUR_USAGE, "tokenize takes a TEXT or --decode, not both");
	return AUR_OK;
}

static aur_status tokenize(const struct request *request, const struct aur_options *options)
{
	struct aur_tokenizer *tokenizer = NULL;
	struct aur_ids ids = {0};
	aur_status status;
	if (request->decode)
		AUR_TRY_CLEANUP(parse_ids(request->decode, &ids));
	AUR_TRY_CLEANUP(aur_tokenizer_of_file(options->arguments[0], &tokenizer));
	if (request->decode)
		AUR_TRY_CLEANUP(show_decoded(tokenizer, &ids, request->json));
	else if (options->n_arguments > 1)
		AUR_TRY_CLEANUP(show_text(tokenizer, options->arguments[1], strlen(options->arguments[1]), request->json));
	else
		AUR_TRY_CLEANUP(show_stdin(tokenizer, request->json));
	status = aur_print_end();
cleanup:
	aur_ids_clear(&ids);
	aur_tokenizer_destroy(&tokenizer);
	return status;
}

aur_status aur_command_tokenize(const struct aur_command_context *context, int argc, char **argv)
{
	struct request request = {0};
	struct aur_options options;
	if (context->rank != 0)
		return AUR_OK;
	aur_status status = parse(argc, argv, &request, &options);
	if (status == AUR_OK && !options.help)
		status = tokenize(&request, &options);
	aur_options_clear(&options);
	return status;
}
