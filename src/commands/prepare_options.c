#include "gnuplot.h"
#include "options.h"
#include "prepare.h"

#include <string.h>

static int is_one_of(const char *value, const char *one, const char *other)
{
	return strcmp(value, one) == 0 || strcmp(value, other) == 0;
}

static aur_status check_input_options(const struct aur_prepare_request *request)
{
	if (!is_one_of(request->format, "text", "jsonl"))
		return aur_fail(AUR_USAGE, "--format: '%s' is not known: text or jsonl", request->format);
	if (!is_one_of(request->on_bad, "fail", "skip"))
		return aur_fail(AUR_USAGE, "--on-bad: '%s' is not known: fail or skip", request->on_bad);
	if (request->shard_tokens < 0)
		return aur_fail(
			AUR_USAGE, "--shard-tokens: %lld is out of range: at least 1", (long long)request->shard_tokens);
	if (request->threads < 0 || request->threads > 1024)
		return aur_fail(AUR_USAGE, "--threads: %lld is out of range: 0 to 1024", (long long)request->threads);
	return AUR_OK;
}

static aur_status check_request(const struct aur_prepare_request *request)
{
	AUR_TRY(aur_tokenizer_choice_check(&request->tokenizer));
	AUR_TRY(check_input_options(request));
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

aur_status aur_prepare_parse(int argc, char **argv, struct aur_prepare_request *request, struct aur_options *options)
{
	const struct aur_option table[] = {
		{"out", AUR_OPTION_TEXT, &request->out, "FILE.h5", "the dataset to write; an older one is replaced", 1},
		{"tokenizer", AUR_OPTION_TEXT, &request->tokenizer.options.kind, "char|word|bpe|gpt2|FILE",
			"characters (default), words between white space, subwords made of the texts, GPT-2's, or those of a "
			"tokenizer.json or .h5",
			0},
		{"vocab", AUR_OPTION_TEXT, &request->tokenizer.vocab, "DIR",
			"GPT-2's vocab.json and merges.txt, or encoder.json and vocab.bpe", 0},
		{"vocab-size", AUR_OPTION_INTEGER, &request->tokenizer.options.vocab_size, "N",
			"of bpe: at most so many tokens, the 256 bytes and special ones included", 0},
		{"special", AUR_OPTION_TEXT, &request->tokenizer.options.specials, "NAME,...",
			"of bpe: special tokens (default <|endoftext|>, which ends a document; '' for none)", 0},
		{"pattern", AUR_OPTION_TEXT, &request->tokenizer.options.pattern, "gpt2|gpt4",
			"of bpe: how texts are split before pairs are merged (default gpt2)", 0},
		{"clean", AUR_OPTION_TEXT, &request->tokenizer.options.clean, "none|basic|original",
			"basic: byte-order mark, CR, trailing blanks, runs of blank lines (default none)", 0},
		{"lowercase", AUR_OPTION_FLAG, &request->tokenizer.options.lowercase, NULL, "lower-case the text first", 0},
		{"min-count", AUR_OPTION_INTEGER, &request->tokenizer.options.min_count, "N",
			"words seen less often become the unknown token, pairs of subwords are not merged (default 1)", 0},
		{"val-fraction", AUR_OPTION_REAL, &request->val_fraction, "X",
			"part for validation, taken from the end (default 0.2)", 0},
		{"shard-tokens", AUR_OPTION_INTEGER, &request->shard_tokens, "N",
			"write shards of N tokens, FILE-00000-of-00016.h5", 0},
		{"field", AUR_OPTION_TEXT, &request->field, "NAME", "the text's field in JSON Lines (default text)", 0},
		{"format", AUR_OPTION_TEXT, &request->format, "text|jsonl",
			"of standard input and of names without a known ending (default text)", 0},
		{"on-bad", AUR_OPTION_TEXT, &request->on_bad, "fail|skip",
			"what becomes of a document that is not UTF-8 or not JSON (default fail)", 0},
		{"threads", AUR_OPTION_INTEGER, &request->threads, "N", "of each rank (default: its share of the cores)", 0},
		{"anew", AUR_OPTION_FLAG, &request->anew, NULL, "discard unfinished work of another command", 0},
		{"compress", AUR_OPTION_FLAG, &request->compress, NULL, "store the tokens compressed", 0},
		{"report", AUR_OPTION_TEXT, &request->report, "FILE.svg", "draw vocabulary sizes by tokenizer (gnuplot)", 0},
	};
	*options = (struct aur_options){
		.usage = "prepare TEXT... --out FILE.h5 [options]",
		.about = "Turns texts into an HDF5 dataset to train on, or into shards. TEXT is a file, a folder, a glob or -, "
				 "standard\n"
				 "input: .txt, .jsonl, both also as .gz and .zst; or tokens of llm.c, nanoGPT (.bin) or Megatron "
				 "(.idx, .bin).\n"
				 "Started again after it was stopped, it goes on where it was.",
		.options = table,
		.n_options = (int)(sizeof table / sizeof *table),
		.argument = "TEXT",
		.least_arguments = 1,
		.most_arguments = -1,
	};
	const aur_status status = aur_options_parse(options, argc, argv);
	options->options = NULL; /* the table ends here */
	AUR_TRY(status);
	aur_tokenizer_choice_complete(&request->tokenizer);
	return options->help ? AUR_OK : check_request(request);
}
