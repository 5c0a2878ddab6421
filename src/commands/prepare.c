#include "commands/commands.h"
#include "core/threads.h"
#include "corpus.h"
#include "gnuplot.h"
#include "io/tokens.h"
#include "options.h"
#include "prepare_report.h"
#include "prepare_tokenizer.h"
#include "print.h"
#include "text/encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct request {
	struct aur_tokenizer_choice tokenizer;
	const char *out, *report;
	double val_fraction;
	int compress;
};

/* The tokens of all texts, one after another. */
struct token_stream {
	struct aur_encoder *encoder;
	int64_t count;
	int64_t *documents; /* where each text that has tokens begins */
	int64_t n_documents;
};

static void stream_clear(struct token_stream *stream)
{
	aur_encoder_destroy(&stream->encoder);
	free(stream->documents);
	stream->documents = NULL;
}

/* ---- options ---- */

/* The dataset is put in place by renaming: that would replace a device or a pipe, and fails late on a folder. */
static aur_status check_replaceable(const char *path)
{
	struct stat info;
	if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
		return aur_fail(AUR_IO, "%s: cannot be replaced: it is not a regular file", path);
	return AUR_OK;
}

static aur_status check_request(const struct request *request)
{
	AUR_TRY(aur_tokenizer_choice_check(&request->tokenizer));
	if (!(request->val_fraction >= 0 && request->val_fraction < 1))
		return aur_fail(
			AUR_USAGE, "--val-fraction: %g is out of range: at least 0, less than 1", request->val_fraction);
	if (request->out[0] == '\0')
		return aur_fail(AUR_USAGE, "--out: the name is empty");
	if (!request->report)
		return AUR_OK;
	if (strcmp(request->report, request->out) == 0)
		return aur_fail(AUR_USAGE, "--report and --out name the same file: %s", request->out);
	return aur_gnuplot_check_path(request->report);
}

static aur_status parse(int argc, char **argv, struct request *request, struct aur_options *options)
{
	const struct aur_option table[] = {
		{"out", AUR_OPTION_TEXT, &request->out, "FILE.h5", "the dataset to write; an older one is replaced", 1},
		{"tokenizer", AUR_OPTION_TEXT, &request->tokenizer.options.kind, "char|word|gpt2|FILE",
			"characters (default), words between white space, GPT-2's subwords, or those of a tokenizer.json or .h5",
			0},
		{"vocab", AUR_OPTION_TEXT, &request->tokenizer.vocab, "DIR",
			"GPT-2's vocab.json and merges.txt, or encoder.json and vocab.bpe", 0},
		{"clean", AUR_OPTION_TEXT, &request->tokenizer.options.clean, "none|basic|original",
			"basic: byte-order mark, CR, trailing blanks, runs of blank lines (default none)", 0},
		{"lowercase", AUR_OPTION_FLAG, &request->tokenizer.options.lowercase, NULL, "lower-case the text first", 0},
		{"min-count", AUR_OPTION_INTEGER, &request->tokenizer.options.min_count, "N",
			"words seen less often become the unknown token (default 1)", 0},
		{"val-fraction", AUR_OPTION_REAL, &request->val_fraction, "X",
			"part for validation, taken from the end (default 0.2)", 0},
		{"compress", AUR_OPTION_FLAG, &request->compress, NULL, "store the tokens compressed", 0},
		{"report", AUR_OPTION_TEXT, &request->report, "FILE.svg", "draw vocabulary sizes by tokenizer (gnuplot)", 0},
	};
	*options = (struct aur_options){
		.usage = "prepare TEXT... --out FILE.h5 [options]",
		.about = "Turns text files, and folders of .txt files, into one HDF5 dataset to train on.",
		.options = table,
		.n_options = (int)(sizeof table / sizeof *table),
		.argument = "TEXT",
		.least_arguments = 1,
		.most_arguments = -1,
	};
	const aur_status status = aur_options_parse(options, argc, argv);
	options->options = NULL; /* the table ends here */
	AUR_TRY(status);
	return options->help ? AUR_OK : check_request(request);
}

/* ---- work ---- */

/* The dataset's size has to be known before its first token is written: the texts are counted here and encoded there.
 */
static aur_status count_all(
	const struct aur_tokenizer *tokenizer, const struct aur_corpus *corpus, struct token_stream *stream)
{
	stream->documents = calloc((size_t)corpus->count + 1, sizeof *stream->documents);
	if (!stream->documents)
		return aur_fail(AUR_MEMORY, "no memory for %lld documents", (long long)corpus->count);
	AUR_TRY(aur_encoder_create(tokenizer, corpus->texts, corpus->count, &stream->encoder));
	aur_encoder_use_threads(stream->encoder, aur_threads_now());
	for (int64_t i = 0; i < corpus->count; i++) {
		int64_t tokens;
		AUR_TRY(aur_encoder_count(stream->encoder, i, &tokens));
		if (tokens > 0)
			stream->documents[stream->n_documents++] = stream->count;
		stream->count += tokens;
	}
	return AUR_OK;
}

static aur_status next_tokens(void *context, int token_bytes, int64_t count, void *tokens)
{
	const struct token_stream *stream = context;
	int64_t written;
	AUR_TRY(aur_encoder_next(stream->encoder, token_bytes, count, tokens, &written));
	return written == count ? AUR_OK : aur_fail(AUR_INTERNAL, "the texts have fewer tokens than were counted");
}

/* floor((1 - fraction) n), where a product that is whole but for the rounding of `fraction` counts as whole. */
static int64_t training_part(int64_t n, double fraction)
{
	const double exact = (1 - fraction) * (double)n;
	const double nearest = round(exact);
	const double rounding = 4e-16 * (double)n;
	return (int64_t)(fabs(exact - nearest) <= rounding ? nearest : floor(exact));
}

static aur_status split(const struct request *request, struct aur_prepared *prepared, int64_t tokens)
{
	prepared->train_tokens = training_part(tokens, request->val_fraction);
	prepared->val_tokens = tokens - prepared->train_tokens;
	if (tokens == 0)
		return aur_fail(AUR_INPUT, "no token is left of the text: nothing to train on");
	if (prepared->train_tokens == 0 || (request->val_fraction > 0 && prepared->val_tokens == 0))
		return aur_fail(AUR_INPUT, "%lld token%s: too short a text to split with --val-fraction %g", (long long)tokens,
			tokens == 1 ? "" : "s", request->val_fraction);
	return AUR_OK;
}

static aur_status write_dataset(
	const struct request *request, const struct aur_prepared *prepared, struct token_stream *stream)
{
	const struct aur_tokens_create create = {
		.path = request->out,
		.vocab = aur_tokenizer_vocab(prepared->tokenizer),
		.sources = prepared->corpus->names,
		.compress = request->compress,
		.next = next_tokens,
		.context = stream,
		.train_tokens = prepared->train_tokens,
		.val_tokens = prepared->val_tokens,
		.documents = stream->documents,
		.n_documents = stream->n_documents,
	};
	AUR_TRY(aur_tokens_write(&create));
	return aur_encoder_finish(stream->encoder);
}

static aur_status print_report(const struct aur_prepared *prepared, const struct token_stream *stream)
{
	struct aur_text_report report;
	const int64_t size = aur_tokenizer_vocab(prepared->tokenizer)->size;
	int64_t *tokens = calloc((size_t)size, sizeof *tokens);
	if (!tokens)
		return aur_fail(AUR_MEMORY, "no memory for the counts of %lld tokens", (long long)size);
	aur_encoder_tally(stream->encoder, tokens);
	const aur_status status =
		aur_text_report_make(prepared->tokenizer, prepared->corpus->texts, prepared->corpus->count, tokens, &report);
	free(tokens);
	AUR_TRY(status);
	aur_prepare_print(prepared, &report);
	return aur_print_end();
}

static aur_status finish(const struct request *request, struct aur_prepared *prepared, struct token_stream *stream)
{
	AUR_TRY(write_dataset(request, prepared, stream));
	prepared->unknown = aur_encoder_unknown(stream->encoder);
	AUR_TRY(print_report(prepared, stream));
	if (!request->report)
		return AUR_OK;
	const aur_status status = aur_prepare_chart(prepared, request->report);
	if (status != AUR_OK)
		return aur_add_context(status, "%s is written, its chart is not", request->out);
	aur_print("wrote       %s\n", request->report);
	return aur_print_end();
}

static aur_status prepare(const struct request *request, const struct aur_options *options)
{
	struct aur_corpus corpus = {0};
	struct aur_tokenizer *tokenizer = NULL;
	struct token_stream stream = {0};
	aur_status status;
	AUR_TRY_CLEANUP(check_replaceable(request->out));
	if (request->report)
		AUR_TRY_CLEANUP(check_replaceable(request->report));
	AUR_TRY_CLEANUP(aur_corpus_read(options->arguments, options->n_arguments, &corpus));
	AUR_TRY_CLEANUP(aur_corpus_check_apart(&corpus, request->out));
	AUR_TRY_CLEANUP(aur_corpus_check_apart(&corpus, request->report));
	AUR_TRY_CLEANUP(aur_tokenizer_choose(&request->tokenizer, corpus.texts, corpus.count, &tokenizer));
	AUR_TRY_CLEANUP(count_all(tokenizer, &corpus, &stream));
	struct aur_prepared prepared = {.tokenizer = tokenizer, .corpus = &corpus, .out = request->out};
	AUR_TRY_CLEANUP(split(request, &prepared, stream.count));
	status = finish(request, &prepared, &stream);
cleanup:
	stream_clear(&stream);
	aur_tokenizer_destroy(&tokenizer);
	aur_corpus_clear(&corpus);
	return status;
}

aur_status aur_command_prepare(const struct aur_command_context *context, int argc, char **argv)
{
	struct request request = {.tokenizer = {.options = {.kind = "char", .clean = "none"}}, .val_fraction = 0.2};
	struct aur_options options;
	if (context->rank != 0)
		return AUR_OK;
	aur_status status = parse(argc, argv, &request, &options);
	if (status == AUR_OK && !options.help)
		status = prepare(&request, &options);
	aur_options_clear(&options);
	return status;
}
