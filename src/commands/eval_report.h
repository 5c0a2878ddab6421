#ifndef AUR_COMMANDS_EVAL_REPORT_H
#define AUR_COMMANDS_EVAL_REPORT_H

#include "core/status.h"
#include "io/checkpoint.h"
#include "train/evaluate.h"

#include <stdint.h>

/* What `aurelius eval` found, and how it is shown. */

struct aur_split_report {
	int present;
	struct aur_evaluation evaluation;
	int64_t characters; /* that the evaluated tokens stand for */
};

struct aur_eval_report {
	const char *model;                 /* borrowed: the file */
	const struct aur_history *history; /* borrowed */
	int64_t step;
	struct aur_split_report splits[2]; /* by enum aur_split */
};

/* "train", "val" */
const char *aur_split_name(enum aur_split split);

/* A table for people: loss, its standard error, perplexity exp(loss), bits per character
 * loss * tokens / characters / ln 2. `plot` (may be NULL) is named at its end. */
aur_status aur_eval_report_print(const struct aur_eval_report *report, const char *plot);

/* {"model":..,"step":..,"train":{"loss","standard_error","perplexity","bits_per_character","windows","tokens"},"val":..}
 * on one line; a number that is not finite is null. */
aur_status aur_eval_report_json(const struct aur_eval_report *report);

/* The history's curve with the evaluated losses added to it at `step`. */
aur_status aur_eval_report_plot(const struct aur_eval_report *report, const char *out);

#endif
