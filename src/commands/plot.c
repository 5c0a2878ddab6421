#include "plot.h"

#include "commands/commands.h"
#include "gnuplot.h"
#include "io/file.h"
#include "loaded_model.h"
#include "options.h"
#include "print.h"
#include "train/run_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int is_folder(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* ---- where curves come from ---- */

static aur_status copy_array(const void *from, int64_t n, size_t element_bytes, void **to)
{
	*to = malloc((size_t)n * element_bytes + 1);
	if (!*to)
		return aur_fail(AUR_MEMORY, "no memory for a loss curve of %lld points", (long long)n);
	if (n > 0)
		memcpy(*to, from, (size_t)n * element_bytes);
	return AUR_OK;
}

aur_status aur_plot_losses_of_history(const struct aur_history *history, struct aur_metrics_curve *losses)
{
	void *step = NULL, *loss = NULL, *eval_step = NULL, *eval_train = NULL, *eval_val = NULL;
	aur_status status;
	AUR_TRY_CLEANUP(copy_array(history->step, history->n_steps, sizeof *history->step, &step));
	AUR_TRY_CLEANUP(copy_array(history->loss, history->n_steps, sizeof *history->loss, &loss));
	AUR_TRY_CLEANUP(copy_array(history->eval_step, history->n_evals, sizeof *history->eval_step, &eval_step));
	AUR_TRY_CLEANUP(copy_array(history->eval_train, history->n_evals, sizeof *history->eval_train, &eval_train));
	AUR_TRY_CLEANUP(copy_array(history->eval_val, history->n_evals, sizeof *history->eval_val, &eval_val));
	*losses = (struct aur_metrics_curve){
		.n_steps = history->n_steps,
		.step = step,
		.loss = loss,
		.n_evals = history->n_evals,
		.eval_step = eval_step,
		.eval_train = eval_train,
		.eval_val = eval_val,
	};
	return AUR_OK;
cleanup:
	free(step);
	free(loss);
	free(eval_step);
	free(eval_train);
	free(eval_val);
	return status;
}

static aur_status read_losses(const char *run, struct aur_metrics_curve *losses)
{
	if (is_folder(run)) {
		char path[AUR_PATH];
		AUR_TRY(aur_run_path(run, "log.jsonl", path, sizeof path));
		return aur_metrics_read(path, losses);
	}
	struct aur_checkpoint *checkpoint = NULL;
	AUR_TRY(aur_checkpoint_open(run, &checkpoint));
	const aur_status status = aur_plot_losses_of_history(aur_checkpoint_history(checkpoint), losses);
	aur_checkpoint_close(&checkpoint);
	return status;
}

/* ---- names ---- */

/* The last part of a path, without slashes at its end: "runs/a/" is "a". A new string, or NULL. */
static char *last_part(const char *path)
{
	size_t end = strlen(path);
	while (end > 1 && path[end - 1] == '/')
		end--;
	size_t begin = end;
	while (begin > 0 && path[begin - 1] != '/')
		begin--;
	return begin == end ? strndup(path, end) : strndup(path + begin, end - begin);
}

static int all_differ(char *const *names, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < i; j++)
			if (strcmp(names[i], names[j]) == 0)
				return 0;
	return 1;
}

static aur_status name_runs_by(const char *const *runs, int64_t n, char *(*name_of)(const char *), char **names)
{
	for (int64_t i = 0; i < n; i++) {
		free(names[i]);
		names[i] = name_of(runs[i]);
		if (!names[i])
			return aur_fail(AUR_MEMORY, "%s: no memory for its name", runs[i]);
	}
	return AUR_OK;
}

static char *whole_path(const char *path)
{
	return strdup(path);
}

/* Last parts where they tell the runs apart, whole paths elsewhere: checkpoints of two runs may have one name. */
static aur_status name_runs(const char *const *runs, int64_t n, char **names)
{
	AUR_TRY(name_runs_by(runs, n, last_part, names));
	return all_differ(names, n) ? AUR_OK : name_runs_by(runs, n, whole_path, names);
}

aur_status aur_plot_runs(const char *const *runs, int64_t n, const char *out)
{
	aur_status status;
	struct aur_plot_curve *curves = calloc((size_t)n + 1, sizeof *curves);
	char **names = calloc((size_t)n + 1, sizeof *names);
	if (!curves || !names) {
		status = aur_fail(AUR_MEMORY, "no memory for %lld curves", (long long)n);
		goto cleanup;
	}
	AUR_TRY_CLEANUP(aur_gnuplot_check_path(out));
	AUR_TRY_CLEANUP(name_runs(runs, n, names));
	for (int64_t i = 0; i < n; i++) {
		AUR_TRY_CLEANUP(read_losses(runs[i], &curves[i].losses));
		curves[i].name = n > 1 ? names[i] : NULL;
	}
	status = aur_plot_draw(curves, n, n == 1 ? names[0] : NULL, out);
	if (status == AUR_INPUT)
		status = aur_add_context(status, "%s", runs[0]);
cleanup:
	for (int64_t i = 0; i < n; i++) {
		if (curves)
			aur_metrics_curve_clear(&curves[i].losses);
		if (names)
			free(names[i]);
	}
	free(curves);
	free(names);
	return status;
}

/* ---- the command ---- */

/* RUN/loss.svg of the only run; loss.svg here for several runs, and for a checkpoint, whose folder is not ours. */
static aur_status default_out(const struct aur_options *options, char *out, size_t bytes)
{
	if (options->n_arguments == 1 && is_folder(options->arguments[0]))
		return aur_run_path(options->arguments[0], "loss.svg", out, bytes);
	snprintf(out, bytes, "loss.svg");
	return AUR_OK;
}

static aur_status run(const struct aur_options *options, const char *out)
{
	char chosen[AUR_PATH];
	if (!out) {
		AUR_TRY(default_out(options, chosen, sizeof chosen));
		out = chosen;
	}
	AUR_TRY(aur_plot_runs(options->arguments, options->n_arguments, out));
	aur_print("%s\n", out);
	return aur_print_end();
}

aur_status aur_command_plot(const struct aur_command_context *context, int argc, char **argv)
{
	const char *out = NULL;
	const struct aur_option table[] = {
		{"out", AUR_OPTION_TEXT, &out, "FILE.svg|FILE.png",
			"the picture (default: RUN/loss.svg; loss.svg for several runs)", 0},
	};
	struct aur_options options = {.usage = "plot RUN... [--out FILE.svg|FILE.png]",
		.about = "Draws the training and validation loss of one or several runs, or of checkpoints, into one picture.",
		.options = table,
		.n_options = sizeof table / sizeof *table,
		.argument = "a RUN",
		.least_arguments = 1,
		.most_arguments = -1,
		.notes = "It needs gnuplot and prints the name of the picture."};
	aur_status status;
	AUR_TRY_CLEANUP(aur_options_parse(&options, argc, argv));
	if (options.help)
		goto cleanup;
	AUR_TRY_CLEANUP(aur_check_one_rank(context, argv[0]));
	if (out)
		AUR_TRY_CLEANUP(aur_gnuplot_check_path(out));
	AUR_TRY_CLEANUP(run(&options, out));
cleanup:
	aur_options_clear(&options);
	return status;
}
