#include "prepare_report.h"

#include "gnuplot.h"
#include "print.h"
#include "text/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *plural(int64_t n)
{
	return n == 1 ? "" : "s";
}

/* ---- the printed report ---- */

static void print_counts(
	const struct aur_tokenizer *tokenizer, const char *title, const struct aur_token_count *counts, int n)
{
	aur_print("%s\n", title);
	for (int i = 0; i < n; i++) {
		char shown[64];
		size_t bytes;
		const char *piece = aur_tokenizer_piece(tokenizer, counts[i].id, 1, &bytes);
		aur_text_readable(piece, bytes, shown, sizeof shown);
		aur_print("  %10lld  '%s'\n", (long long)counts[i].count, shown);
	}
}

static void print_unknown(const struct aur_vocab *vocab, int64_t unknown)
{
	const char *unit = strcmp(vocab->kind, "char") == 0 ? "character" : "piece";
	if (unknown == 0)
		return;
	if (vocab->unknown < 0)
		aur_print("dropped     %lld %s%s that are not in the vocabulary\n", (long long)unknown, unit, plural(unknown));
	else
		aur_print("unknown     %lld %s%s outside the vocabulary became its unknown token\n", (long long)unknown, unit,
			plural(unknown));
}

static void print_words(const struct aur_vocab *vocab, const struct aur_word_figures *words)
{
	const int removed = strcmp(vocab->clean, "original") == 0;
	aur_print("words       %lld distinct\n", (long long)words->distinct);
	aur_print("            %lld of under four characters, which may mislead a model%s%s\n",
		(long long)words->short_words, words->short_words > 0 ? ", first: " : "", words->short_examples);
	aur_print("            %lld %s they hold a digit\n", (long long)words->digit_words,
		removed ? "removed because" : "kept although");
}

/* Files of texts, and files of token numbers. */
static void print_sources(const struct aur_corpus *sources, const struct aur_text_report *report)
{
	int64_t numbers = 0, tokens = 0;
	for (int64_t i = 0; i < sources->count; i++) {
		numbers += sources->all[i].kind == AUR_CORPUS_IDS;
		tokens += sources->all[i].tokens;
	}
	const int64_t files = sources->count - numbers;
	if (files > 0)
		aur_print("text        %lld file%s: %lld bytes, %lld characters, %lld lines\n", (long long)files, plural(files),
			(long long)report->bytes, (long long)report->characters, (long long)report->lines);
	if (numbers > 0)
		aur_print("numbers     %lld file%s of %lld tokens\n", (long long)numbers, plural(numbers), (long long)tokens);
}

/* Where a text is one document and all are good there is nothing to say. */
static void print_documents(const struct aur_prepare *prepare, const struct aur_shards_sum *sum)
{
	int listed = 0;
	for (int64_t i = 0; i < prepare->sources.count; i++)
		listed |= prepare->sources.all[i].kind != AUR_CORPUS_TEXT;
	if (listed || prepare->end_of_text >= 0)
		aur_print("documents   %lld\n", (long long)sum->documents);
}

static void print_bad(const struct aur_prepare *prepare, const struct aur_shards_sum *sum)
{
	const struct aur_corpus *sources = &prepare->sources;
	int64_t texts = 0, first = -1;
	for (int64_t i = 0; i < sources->count; i++) {
		texts += sources->all[i].bad_byte >= 0;
		first = first < 0 && sources->all[i].bad_byte >= 0 ? i : first;
	}
	const int64_t all = texts + sum->bad + sources->empty;
	if (all == 0)
		return;
	aur_print("skipped     %lld bad document%s\n", (long long)all, plural(all));
	if (texts > 0)
		aur_print("            %lld not UTF-8, first: %s at byte %lld\n", (long long)texts,
			aur_corpus_file_name(sources, first, prepare->standard_input), (long long)sources->all[first].bad_byte);
	if (sum->bad > 0)
		aur_print("            %lld line%s, first: %s line %lld: %s\n", (long long)sum->bad, plural(sum->bad),
			aur_corpus_file_name(sources, sum->first_bad.source, prepare->standard_input),
			(long long)sum->first_bad.line + 1, sum->first_bad.why);
	if (sources->empty > 0)
		aur_print("            %lld empty file%s, first: %s\n", (long long)sources->empty, plural(sources->empty),
			sources->first_empty);
}

static aur_status print_written(const char *out, int64_t shards)
{
	char first[AUR_WORK_PATH], last[AUR_WORK_PATH];
	AUR_TRY(aur_shards_name(out, 0, shards, first));
	AUR_TRY(aur_shards_name(out, shards - 1, shards, last));
	if (shards > 1)
		aur_print("wrote       %lld shards, %s to %s\n", (long long)shards, first, last);
	else
		aur_print("wrote       %s\n", first);
	return AUR_OK;
}

aur_status aur_prepare_print(const struct aur_prepare *prepare, const struct aur_shards_sum *sum, const int64_t *counts)
{
	const struct aur_vocab *vocab = aur_tokenizer_vocab(prepare->tokenizer);
	struct aur_text_report report;
	AUR_TRY(aur_text_report_fill(prepare->tokenizer, sum->bytes, sum->characters, sum->lines, counts, &report));
	print_sources(&prepare->sources, &report);
	aur_print("tokenizer   %s, cleaning %s%s\n", vocab->kind, vocab->clean, vocab->lowercase ? ", lower case" : "");
	aur_print("vocabulary  %lld tokens\n", (long long)report.vocab_size);
	aur_print("tokens      %lld: %lld for training, %lld for validation\n", (long long)report.tokens,
		(long long)sum->train_tokens, (long long)sum->val_tokens);
	print_documents(prepare, sum);
	print_unknown(vocab, sum->unknown);
	print_bad(prepare, sum);
	if (report.words.distinct > 0)
		print_words(vocab, &report.words);
	print_counts(prepare->tokenizer, "most frequent tokens", report.most, report.n_most);
	print_counts(prepare->tokenizer, "least frequent tokens", report.least, report.n_least);
	AUR_TRY(print_written(prepare->request->out, sum->shards));
	return aur_print_end();
}

/* ---- the chart ---- */

struct bar {
	const char *title;
	struct aur_tokenizer_options options;
};

static const struct bar bars[] = {
	{"characters", {.kind = "char", .clean = "none"}},
	{"characters,\\nlower case", {.kind = "char", .clean = "none", .lowercase = 1}},
	{"characters,\\noriginal", {.kind = "char", .clean = "original"}},
	{"words", {.kind = "word", .clean = "none"}},
	{"words,\\nlower case", {.kind = "word", .clean = "none", .lowercase = 1}},
	{"words,\\noriginal", {.kind = "word", .clean = "original"}},
};

enum { BARS = sizeof bars / sizeof *bars };

/* A text of digits alone has no words: 0, and no bar for them. What fails otherwise ends it on all ranks, since every
 * one takes part in the training of each. */
static aur_status vocabulary_sizes(struct aur_prepare *prepare, int64_t sizes[BARS])
{
	for (int i = 0; i < BARS; i++) {
		struct aur_tokenizer *tokenizer = NULL;
		aur_status status = aur_prepare_train(prepare, &bars[i].options, &tokenizer);
		sizes[i] = tokenizer ? aur_tokenizer_vocab(tokenizer)->size : 0;
		aur_tokenizer_destroy(&tokenizer);
		if (status == AUR_INPUT) {
			aur_error_clear();
			status = AUR_OK;
		}
		AUR_TRY(aur_comm_agree(prepare->world, status));
	}
	return AUR_OK;
}

static void write_script(const int64_t sizes[BARS], FILE *script)
{
	fprintf(script, "$bars << END\n");
	for (int i = 0; i < BARS; i++)
		if (sizes[i] > 0)
			fprintf(script, "\"%s\" %lld\n", bars[i].title, (long long)sizes[i]);
	fprintf(script, "END\n");
	fprintf(script, "set title 'Vocabulary size by tokenizer'\n"
					"set ylabel 'tokens in the vocabulary (logarithmic)'\n"
					"set xlabel 'tokenizer and cleaning' offset 0,-0.8\n"
					"set logscale y\n"
					"set yrange [1:*]\n"
					"set style fill solid 0.8 noborder\n"
					"set boxwidth 0.6\n"
					"set grid ytics\n"
					"set bmargin 5\n"
					"unset key\n"
					"plot $bars using 0:2:xtic(1) with boxes linecolor rgb '#4477aa', "
					"'' using 0:2:2 with labels offset 0,0.7\n");
}

static aur_status draw(const int64_t sizes[BARS], const char *path)
{
	char *script = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&script, &bytes);
	if (!stream)
		return aur_fail(AUR_MEMORY, "no memory for the chart");
	write_script(sizes, stream);
	aur_status status = AUR_OK;
	if (fclose(stream) != 0)
		status = aur_fail(AUR_MEMORY, "no memory for the chart");
	if (status == AUR_OK)
		status = aur_gnuplot_draw(path, 800, 500, script, bytes);
	free(script);
	return status;
}

aur_status aur_prepare_chart(struct aur_prepare *prepare, const char *path)
{
	int64_t sizes[BARS];
	AUR_TRY(vocabulary_sizes(prepare, sizes));
	return aur_comm_agree(prepare->world, prepare->world->rank == 0 ? draw(sizes, path) : AUR_OK);
}
