#include "prepare_report.h"

#include "gnuplot.h"
#include "print.h"

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

static void print_unknown(const struct aur_prepared *prepared)
{
	const struct aur_vocab *vocab = aur_tokenizer_vocab(prepared->tokenizer);
	const char *unit = strcmp(vocab->kind, "char") == 0 ? "character" : "piece";
	if (prepared->unknown == 0)
		return;
	if (vocab->unknown < 0)
		aur_print("dropped     %lld %s%s that are not in the vocabulary\n", (long long)prepared->unknown, unit,
			plural(prepared->unknown));
	else
		aur_print("unknown     %lld %s%s outside the vocabulary became its unknown token\n",
			(long long)prepared->unknown, unit, plural(prepared->unknown));
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

void aur_prepare_print(const struct aur_prepared *prepared, const struct aur_text_report *report)
{
	const struct aur_vocab *vocab = aur_tokenizer_vocab(prepared->tokenizer);
	const int64_t files = prepared->corpus->count;
	aur_print("text        %lld file%s: %lld bytes, %lld characters, %lld lines\n", (long long)files, plural(files),
		(long long)report->bytes, (long long)report->characters, (long long)report->lines);
	aur_print("tokenizer   %s, cleaning %s%s\n", vocab->kind, vocab->clean, vocab->lowercase ? ", lower case" : "");
	aur_print("vocabulary  %lld tokens\n", (long long)report->vocab_size);
	aur_print("tokens      %lld: %lld for training, %lld for validation\n", (long long)report->tokens,
		(long long)prepared->train_tokens, (long long)prepared->val_tokens);
	print_unknown(prepared);
	if (report->words.distinct > 0)
		print_words(vocab, &report->words);
	print_counts(prepared->tokenizer, "most frequent tokens", report->most, report->n_most);
	print_counts(prepared->tokenizer, "least frequent tokens", report->least, report->n_least);
	aur_print("wrote       %s\n", prepared->out);
}

/* ---- the chart ---- */

struct bar {
	const char *title;
	struct aur_tokenizer_options options;
};

static aur_status vocabulary_size(
	const struct aur_corpus *corpus, const struct aur_tokenizer_options *options, int64_t *size)
{
	struct aur_tokenizer *tokenizer = NULL;
	AUR_TRY(aur_tokenizer_train_texts(options, corpus->texts, corpus->count, &tokenizer));
	*size = aur_tokenizer_vocab(tokenizer)->size;
	aur_tokenizer_destroy(&tokenizer);
	return AUR_OK;
}

static aur_status write_bars(const struct aur_corpus *corpus, const struct bar *bars, int n, FILE *script)
{
	fprintf(script, "$bars << END\n");
	for (int i = 0; i < n; i++) {
		int64_t size = 0;
		const aur_status status = vocabulary_size(corpus, &bars[i].options, &size);
		/* A text of digits alone has no words: no bar for them. */
		if (status == AUR_INPUT) {
			aur_error_clear();
			continue;
		}
		AUR_TRY(status);
		fprintf(script, "\"%s\" %lld\n", bars[i].title, (long long)size);
	}
	fprintf(script, "END\n");
	return AUR_OK;
}

static aur_status write_script(const struct aur_corpus *corpus, FILE *script)
{
	const struct bar bars[] = {
		{"characters", {"char", "none", 0, 0}},
		{"characters,\\nlower case", {"char", "none", 1, 0}},
		{"characters,\\noriginal", {"char", "original", 0, 0}},
		{"words", {"word", "none", 0, 0}},
		{"words,\\nlower case", {"word", "none", 1, 0}},
		{"words,\\noriginal", {"word", "original", 0, 0}},
	};
	AUR_TRY(write_bars(corpus, bars, (int)(sizeof bars / sizeof *bars), script));
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
	return AUR_OK;
}

aur_status aur_prepare_chart(const struct aur_prepared *prepared, const char *path)
{
	char *script = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&script, &bytes);
	if (!stream)
		return aur_fail(AUR_MEMORY, "no memory for the chart");
	aur_status status = write_script(prepared->corpus, stream);
	if (fclose(stream) != 0 && status == AUR_OK)
		status = aur_fail(AUR_MEMORY, "no memory for the chart");
	if (status == AUR_OK)
		status = aur_gnuplot_draw(path, 800, 500, script, bytes);
	free(script);
	return status;
}
