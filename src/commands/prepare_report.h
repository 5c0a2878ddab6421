#ifndef AUR_COMMANDS_PREPARE_REPORT_H
#define AUR_COMMANDS_PREPARE_REPORT_H

#include "prepare.h"

/* What prepare says of its work. */

/* Prints the figures of the texts, the vocabulary and the tokens. counts [vocabulary]: how often each occurs. */
aur_status aur_prepare_print(
	const struct aur_prepare *prepare, const struct aur_shards_sum *sum, const int64_t *counts);

/* Collective. Draws a bar chart of the texts' vocabulary sizes by tokenizer. */
aur_status aur_prepare_chart(struct aur_prepare *prepare, const char *path);

#endif
