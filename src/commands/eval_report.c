#include "eval_report.h"

#include "plot.h"
#include "print.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *aur_split_name(enum aur_split split)
{
	return split == AUR_TRAIN ? "train" : "val";
}

static double bits_per_character(const struct aur_split_report *split)
{
	if (split->characters < 1)
		return NAN;
	return split->evaluation.loss * (double)split->evaluation.tokens / (double)split->characters / log(2);
}

/* ---- for people ---- */

static void print_split(const char *name, const struct aur_split_report *split)
{
	const struct aur_evaluation *found = &split->evaluation;
	char error[32] = "-";
	if (isfinite(found->standard_error))
		snprintf(error, sizeof error, "%.4f", found->standard_error);
	aur_print("%-6s%9.4f%16s%13.*f%18.3f%10" PRId64 "%12" PRId64 "\n", name, found->loss, error,
		exp(found->loss) < 1000 ? 2 : 0, exp(found->loss), bits_per_character(split), found->windows, found->tokens);
}

aur_status aur_eval_report_print(const struct aur_eval_report *report, const char *plot)
{
	aur_print("%s, step %" PRId64 "\n\n", report->model, report->step);
	aur_print("%-6s%9s%16s%13s%18s%10s%12s\n", "", "loss", "standard error", "perplexity", "bits a character",
		"windows", "tokens");
	for (int split = AUR_TRAIN; split <= AUR_VAL; split++)
		if (report->splits[split].present)
			print_split(aur_split_name((enum aur_split)split), &report->splits[split]);
	if (plot)
		aur_print("\n%s\n", plot);
	return aur_print_end();
}

/* ---- for programs ---- */

static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *split_object(const struct aur_split_report *split)
{
	const struct aur_evaluation *found = &split->evaluation;
	return json_pack("{s:o,s:o,s:o,s:o,s:I,s:I}", "loss", number(found->loss), "standard_error",
		number(found->standard_error), "perplexity", number(exp(found->loss)), "bits_per_character",
		number(bits_per_character(split)), "windows", (json_int_t)found->windows, "tokens", (json_int_t)found->tokens);
}

aur_status aur_eval_report_json(const struct aur_eval_report *report)
{
	json_t *object = json_object();
	/* A path that is not UTF-8 cannot stand in JSON. */
	json_t *model = json_string(report->model);
	int failed = json_object_set_new(object, "model", model ? model : json_null());
	failed |= json_object_set_new(object, "step", json_integer(report->step));
	for (int split = AUR_TRAIN; split <= AUR_VAL; split++)
		if (report->splits[split].present)
			failed |= json_object_set_new(
				object, aur_split_name((enum aur_split)split), split_object(&report->splits[split]));
	char *text = failed ? NULL : json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (!text)
		return aur_fail(AUR_MEMORY, "no memory for the JSON of an evaluation");
	aur_print("%s\n", text);
	free(text);
	return aur_print_end();
}

/* ---- the picture ---- */

static double loss_of(const struct aur_split_report *split)
{
	return split->present ? split->evaluation.loss : NAN;
}

/* A point more, or in the place of the one the run itself evaluated at this step on fewer windows. */
static aur_status add_point(struct aur_metrics_curve *losses, int64_t step, double train, double val)
{
	int64_t at = losses->n_evals;
	while (at > 0 && losses->eval_step[at - 1] >= step)
		at--;
	if (at < losses->n_evals && losses->eval_step[at] == step) {
		train = isfinite(train) ? train : losses->eval_train[at];
		val = isfinite(val) ? val : losses->eval_val[at];
	}
	const size_t count = (size_t)at + 1;
	int64_t *steps = realloc(losses->eval_step, count * sizeof *steps);
	losses->eval_step = steps ? steps : losses->eval_step;
	double *trains = realloc(losses->eval_train, count * sizeof *trains);
	losses->eval_train = trains ? trains : losses->eval_train;
	double *vals = realloc(losses->eval_val, count * sizeof *vals);
	losses->eval_val = vals ? vals : losses->eval_val;
	if (!steps || !trains || !vals)
		return aur_fail(AUR_MEMORY, "no memory for a loss curve");
	steps[at] = step;
	trains[at] = train;
	vals[at] = val;
	losses->n_evals = at + 1;
	return AUR_OK;
}

aur_status aur_eval_report_plot(const struct aur_eval_report *report, const char *out)
{
	struct aur_plot_curve curve = {0};
	aur_status status;
	AUR_TRY_CLEANUP(aur_plot_losses_of_history(report->history, &curve.losses));
	AUR_TRY_CLEANUP(
		add_point(&curve.losses, report->step, loss_of(&report->splits[AUR_TRAIN]), loss_of(&report->splits[AUR_VAL])));
	status = aur_plot_draw(&curve, 1, report->model, out);
cleanup:
	aur_metrics_curve_clear(&curve.losses);
	return status;
}
