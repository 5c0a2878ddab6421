#include "commands/commands.h"
#include "core/log.h"
#include "loaded_model.h"
#include "options.h"
#include "print.h"
#include "text/tokenizer.h"
#include "train/sampler.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What the command line asked for. */
struct request {
	const char *model, *prompt;
	int64_t tokens, top_k, seed, samples;
	double temperature, top_p;
	int best;
};

struct speaker {
	const struct aur_tokenizer *tokenizer;
	int first;    /* nothing has been written of this text yet */
	char held[4]; /* the beginning of a character whose other bytes are in tokens to come */
	size_t n_held;
};

/* Text reaches its reader token by token, a pipe too, but only whole characters; whoever has closed it ends the text.
 */
static aur_status speak(void *context, int32_t token)
{
	struct speaker *speaker = context;
	size_t bytes;
	const char *piece = aur_tokenizer_piece(speaker->tokenizer, token, speaker->first, &bytes);
	if (!piece)
		return aur_fail(AUR_INPUT, "token %d is not in the model's vocabulary", token);
	speaker->first = 0;
	for (size_t i = 0; i < bytes; i++) {
		speaker->held[speaker->n_held++] = piece[i];
		if (aur_utf8_whole(speaker->held, speaker->n_held) < speaker->n_held)
			continue;
		aur_print_bytes(speaker->held, speaker->n_held);
		speaker->n_held = 0;
	}
	return aur_print_end();
}

static aur_status check_request(const struct request *request)
{
	if (request->tokens < 1)
		return aur_fail(AUR_USAGE, "--tokens: %" PRId64 " is out of range: 1 or more", request->tokens);
	if (request->temperature < 0)
		return aur_fail(
			AUR_USAGE, "--temperature: %g is out of range: 0 (always the most likely) or more", request->temperature);
	if (request->top_k < 0)
		return aur_fail(AUR_USAGE, "--top-k: %" PRId64 " is out of range: 0 (all) or more", request->top_k);
	if (!(request->top_p > 0 && request->top_p <= 1))
		return aur_fail(AUR_USAGE, "--top-p: %g is out of range: above 0, at most 1 (all)", request->top_p);
	if (request->samples < 1)
		return aur_fail(AUR_USAGE, "--samples: %" PRId64 " is out of range: 1 or more", request->samples);
	if (request->seed < 0)
		return aur_fail(AUR_USAGE, "--seed: %" PRId64 " is out of range: 0 or more", request->seed);
	return AUR_OK;
}

static aur_status check_utf8(const char *prompt)
{
	const int64_t bad = prompt ? aur_utf8_check(prompt, strlen(prompt)) : -1;
	if (bad >= 0)
		return aur_fail(AUR_INPUT, "--prompt: not UTF-8 at byte %" PRId64, bad);
	return AUR_OK;
}

static void name_unknown(const struct aur_ids *ids)
{
	if (ids->unknown == 1)
		aur_warn("1 piece of the prompt is not in the vocabulary: '%s'", ids->first_unknown);
	else if (ids->unknown > 1)
		aur_warn("%" PRId64 " pieces of the prompt are not in the vocabulary, the first is '%s'", ids->unknown,
			ids->first_unknown);
}

/* The prompt's tokens. Without one it is the token that ends a text, since another text begins behind it; where there
 * is none, token 0. */
static aur_status encode_prompt(
	const struct request *request, const struct aur_tokenizer *tokenizer, int64_t block_size, struct aur_ids *ids)
{
	if (!request->prompt) {
		ids->ids = calloc(1, sizeof *ids->ids);
		if (!ids->ids)
			return aur_fail(AUR_MEMORY, "no memory for a prompt");
		const int64_t end_of_text = aur_vocab_end_of_text(aur_tokenizer_vocab(tokenizer));
		ids->ids[0] = end_of_text >= 0 ? (int32_t)end_of_text : 0;
		ids->count = 1;
		return AUR_OK;
	}
	const aur_status status = aur_tokenizer_encode(tokenizer, request->prompt, strlen(request->prompt), ids);
	if (status != AUR_OK)
		return aur_add_context(status, "--prompt");
	name_unknown(ids);
	if (ids->count == 0)
		return aur_fail(AUR_INPUT,
			"--prompt: nothing is left of it after cleaning ('%s') and without what is not in the vocabulary",
			aur_tokenizer_vocab(tokenizer)->clean);
	if (ids->count > block_size)
		aur_warn("the prompt has %" PRId64 " tokens: the model reads the last %" PRId64 " of them (block_size)",
			ids->count, block_size);
	return AUR_OK;
}

/* The prompt as the model reads it, so that cleaning shows. */
static aur_status print_prompt(const struct aur_tokenizer *tokenizer, const struct aur_ids *ids)
{
	char *text;
	AUR_TRY(aur_tokenizer_decode(tokenizer, ids->ids, ids->count, &text));
	aur_print_bytes(text, strlen(text));
	free(text);
	return AUR_OK;
}

static aur_status write_texts(const struct request *request, const struct aur_tokenizer *tokenizer,
	const struct aur_model *model, struct aur_decoder *decoder, const struct aur_ids *ids)
{
	for (int64_t i = 0; i < request->samples; i++) {
		struct speaker speaker = {.tokenizer = tokenizer, .first = !request->prompt};
		const struct aur_generate generate = {.decoder = decoder,
			.model = model,
			.prompt = ids->ids,
			.prompt_tokens = ids->count,
			.tokens = request->tokens,
			.sampling = {request->temperature, request->top_k, request->top_p, (uint64_t)request->seed, i},
			.emit = speak,
			.context = &speaker};
		if (i > 0)
			aur_print("----------\n");
		if (request->prompt)
			AUR_TRY(print_prompt(tokenizer, ids));
		AUR_TRY(aur_generate_text(&generate));
		aur_print_bytes(speaker.held, speaker.n_held);
		aur_print("\n");
	}
	return aur_print_end();
}

static aur_status run(const struct request *request)
{
	struct aur_loaded_model loaded = {0};
	struct aur_tokenizer *tokenizer = NULL;
	struct aur_decoder *decoder = NULL;
	struct aur_ids ids = {0};
	aur_status status;
	AUR_TRY_CLEANUP(aur_loaded_model_open(request->model, request->best, &loaded));
	AUR_TRY_CLEANUP(aur_tokenizer_create(aur_checkpoint_vocab(loaded.file.checkpoint), &tokenizer));
	AUR_TRY_CLEANUP(encode_prompt(request, tokenizer, aur_model_config_of(loaded.file.model)->block_size, &ids));
	AUR_TRY_CLEANUP(aur_decoder_create(loaded.file.model, loaded.backend, loaded.weights, &decoder));
	AUR_TRY_CLEANUP(write_texts(request, tokenizer, loaded.file.model, decoder, &ids));
cleanup:
	aur_ids_clear(&ids);
	aur_decoder_destroy(&decoder);
	aur_tokenizer_destroy(&tokenizer);
	aur_loaded_model_close(&loaded);
	return status;
}

aur_status aur_command_generate(const struct aur_command_context *context, int argc, char **argv)
{
	struct request request = {.temperature = 1, .top_p = 1, .seed = 1, .samples = 1};
	const struct aur_option table[] = {
		{"prompt", AUR_OPTION_TEXT, &request.prompt, "TEXT",
			"the text to go on from; without it, the token that ends texts, or token 0", 0},
		{"tokens", AUR_OPTION_INTEGER, &request.tokens, "N", "how many tokens to add", 1},
		{"temperature", AUR_OPTION_REAL, &request.temperature, "X",
			"below 1 more likely, above 1 more varied; 0: always the most likely token (default 1)", 0},
		{"top-k", AUR_OPTION_INTEGER, &request.top_k, "N", "draw from the N most likely tokens (default: all)", 0},
		{"top-p", AUR_OPTION_REAL, &request.top_p, "X",
			"draw from the fewest tokens that together have probability X (default 1: all)", 0},
		{"seed", AUR_OPTION_INTEGER, &request.seed, "N", "another seed, another text (default 1)", 0},
		{"samples", AUR_OPTION_INTEGER, &request.samples, "N", "how many texts (default 1)", 0},
		{"best", AUR_OPTION_FLAG, &request.best, NULL, "of a run: the best checkpoint instead of the newest", 0},
	};
	struct aur_options options = {.usage = "generate MODEL --tokens N [--prompt TEXT] [options]",
		.about = "Writes text with a trained model. MODEL is a checkpoint, an exported .h5 or a run.",
		.options = table,
		.n_options = sizeof table / sizeof *table,
		.argument = "a MODEL",
		.least_arguments = 1,
		.most_arguments = 1,
		.notes = "The prompt is cleaned as the model's corpus was. The same seed gives the same text."};
	aur_status status;
	AUR_TRY_CLEANUP(aur_options_parse(&options, argc, argv));
	if (options.help)
		goto cleanup;
	request.model = options.arguments[0];
	AUR_TRY_CLEANUP(aur_check_one_rank(context, argv[0]));
	AUR_TRY_CLEANUP(check_request(&request));
	AUR_TRY_CLEANUP(check_utf8(request.prompt));
	AUR_TRY_CLEANUP(run(&request));
cleanup:
	aur_options_clear(&options);
	return status;
}
