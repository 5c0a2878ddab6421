#ifndef AUR_COMMANDS_PREPARE_REPORT_H
#define AUR_COMMANDS_PREPARE_REPORT_H

#include "core/status.h"
#include "corpus.h"
#include "text/report.h"

/* What prepare has made of the texts. */
struct aur_prepared {
	const struct aur_tokenizer *tokenizer; /* borrowed, like the rest */
	const struct aur_corpus *corpus;
	int64_t train_tokens, val_tokens;
	int64_t unknown; /* pieces that were not in the vocabulary */
	const char *out; /* the dataset's path */
};

/* Prints the figures of the texts, the vocabulary and the tokens. */
void aur_prepare_print(const struct aur_prepared *prepared, const struct aur_text_report *report);

/* Draws a bar chart of the texts' vocabulary sizes by tokenizer. */
aur_status aur_prepare_chart(const struct aur_prepared *prepared, const char *path);

#endif
