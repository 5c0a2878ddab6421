#include "commands/commands.h"

#include "comm/comm.h"
#include "config/config.h"
#include "configure.h"
#include "core/log.h"
#include "io/file.h"
#include "options.h"
#include "plot.h"
#include "train/run_folder.h"
#include "train/train.h"

#include <stdio.h>
#include <string.h>

/* The bar stands on the last line of the terminal; a log line takes its place and it is drawn anew below. */
static int bar_drawn;

static void clear_bar(void)
{
	if (bar_drawn)
		fputs("\r\033[K", stdout);
	bar_drawn = 0;
}

static void print_line(enum aur_log_level level, const char *line)
{
	clear_bar();
	fflush(stdout);
	FILE *stream = level == AUR_LOG_WARNING ? stderr : stdout;
	fprintf(stream, "%s%s\n", level == AUR_LOG_WARNING ? "warning: " : "", line);
	fflush(stream);
}

static void draw_bar(void *context, const struct aur_progress *progress)
{
	enum { WIDTH = 30 };
	(void)context;
	char bar[WIDTH + 1];
	const int filled = progress->steps > 0 ? (int)(progress->step * WIDTH / progress->steps) : 0;
	memset(bar, '#', (size_t)filled);
	memset(bar + filled, '.', (size_t)(WIDTH - filled));
	bar[WIDTH] = '\0';
	const long long left = (long long)(progress->eta_s + 0.5);
	printf("\r\033[K[%s] %lld/%lld  loss %.4f  %.1f ms  ETA %lld:%02lld", bar, (long long)progress->step,
		(long long)progress->steps, progress->loss, progress->ms_step, left / 60, left % 60);
	fflush(stdout);
	bar_drawn = 1;
}

struct train_arguments {
	const char *config, *run, *data, *resume, *from;
	int64_t stop_at;
	double max_minutes;
};

static aur_status read_config_file(const struct train_arguments *arguments, struct aur_config *config)
{
	char stored[AUR_PATH];
	if (arguments->config)
		return aur_config_read(arguments->config, config);
	AUR_TRY(aur_run_path(arguments->run, "config.yaml", stored, sizeof stored));
	if (aur_file_exists(stored))
		return aur_config_read(stored, config);
	return aur_fail(
		AUR_USAGE, "train: --config FILE is missing (%s holds no config.yaml to go on with)", arguments->run);
}

/* Files first, then --data, then the overrides in their order: the last word wins. */
static aur_status build_config(
	const struct train_arguments *arguments, const struct aur_options *options, struct aur_config *config)
{
	aur_config_defaults(config);
	AUR_TRY(read_config_file(arguments, config));
	AUR_TRY(aur_configure(config, arguments->data, options->overrides, options->n_overrides));
	return aur_config_finish(config);
}

static aur_status check_arguments(const struct train_arguments *arguments, struct aur_train_options *train)
{
	*train = (struct aur_train_options){
		.run = arguments->run,
		.from = arguments->from,
		.stop_at = arguments->stop_at,
		.max_minutes = arguments->max_minutes,
	};
	if (arguments->run[0] == '\0')
		return aur_fail(AUR_USAGE, "--run: the name is empty");
	if (arguments->stop_at < 0 || arguments->max_minutes < 0)
		return aur_fail(AUR_USAGE, "train: --stop-at and --max-minutes may not be negative");
	if (strcmp(arguments->resume, "never") == 0)
		train->resume = AUR_RESUME_NEVER;
	else if (strcmp(arguments->resume, "auto") != 0) {
		train->resume = AUR_RESUME_FROM;
		train->resume_path = arguments->resume;
	}
	if (train->from && train->resume == AUR_RESUME_FROM)
		return aur_fail(AUR_USAGE, "train: --from starts a new run, --resume %s goes on with one: give one of them",
			arguments->resume);
	return AUR_OK;
}

/* The curve at the end of a run: without gnuplot the training is no less done. */
static void draw_curve(const struct train_arguments *arguments)
{
	char path[AUR_PATH];
	if (aur_run_path(arguments->run, "loss.svg", path, sizeof path) != AUR_OK)
		return;
	if (aur_plot_runs(&arguments->run, 1, path) == AUR_OK)
		aur_info("drew %s", path);
	else
		aur_warn("%s was not drawn: %s", path, aur_error_message());
	aur_error_clear();
}

static aur_status run_training(const struct aur_command_context *context, const struct train_arguments *arguments,
	const struct aur_options *options)
{
	struct aur_config config;
	struct aur_train_options train;
	aur_status status = check_arguments(arguments, &train);
	if (status == AUR_OK)
		status = build_config(arguments, options, &config);
	AUR_TRY(aur_comm_agree(context->world, status));
	aur_log_set_sink(context->rank == 0 ? print_line : NULL);
	if (context->terminal && context->rank == 0)
		train.progress = draw_bar;
	status = aur_train(&config, &train, context->world);
	if (context->rank == 0)
		clear_bar();
	if (context->rank == 0 && (status == AUR_OK || status == AUR_STOPPED))
		draw_curve(arguments);
	return status;
}

aur_status aur_command_train(const struct aur_command_context *context, int argc, char **argv)
{
	struct train_arguments arguments = {.resume = "auto"};
	const struct aur_option table[] = {
		{"config", AUR_OPTION_TEXT, &arguments.config, "FILE", "configuration; an existing run needs none", 0},
		{"run", AUR_OPTION_TEXT, &arguments.run, "DIR", "the run's folder, made if missing", 1},
		{"data", AUR_OPTION_TEXT, &arguments.data, "FILES", "dataset files and globs; short for data.train", 0},
		{"resume", AUR_OPTION_TEXT, &arguments.resume, "auto|never|CHECKPOINT", "what to go on from (auto)", 0},
		{"from", AUR_OPTION_TEXT, &arguments.from, "FILE", "start a new run from the weights of this model", 0},
		{"stop-at", AUR_OPTION_INTEGER, &arguments.stop_at, "STEP", "save and stop after this step", 0},
		{"max-minutes", AUR_OPTION_REAL, &arguments.max_minutes, "N", "save and stop after this time, exit code 75", 0},
	};
	struct aur_options options = {
		.usage = "train --config FILE --run DIR [options] [--section.key=value ...]",
		.about =
			"Trains a model. Starts with mpirun on any number of ranks, or plainly on one. A run that was stopped or "
			"killed goes on from its newest good checkpoint.",
		.options = table,
		.n_options = sizeof table / sizeof table[0],
		.takes_overrides = 1,
		.notes = "Keys of the configuration: docs/configuration.md",
	};
	aur_status status = aur_comm_agree(context->world, aur_options_parse(&options, argc, argv));
	if (status == AUR_OK && !options.help)
		status = run_training(context, &arguments, &options);
	aur_options_clear(&options);
	return status;
}
