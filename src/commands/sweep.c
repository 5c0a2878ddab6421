#include "commands/commands.h"

#include "comm/comm.h"
#include "config/config.h"
#include "configure.h"
#include "core/clock.h"
#include "core/log.h"
#include "io/file.h"
#include "options.h"
#include "print.h"
#include "sweep_grid.h"
#include "sweep_report.h"
#include "train/dataset.h"
#include "train/evaluate.h"
#include "train/order.h"
#include "train/run_folder.h"
#include "train/signals.h"
#include "train/train.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct sweep {
	const struct aur_command_context *context;
	const char *config_path, *folder, *data;
	struct aur_config_grid in_file;
	const char **overrides; /* owned list of borrowed overrides: the file's grid, then the command line's */
	struct aur_grid grid;
	struct aur_point_result *results; /* owned [points] */
};

/* The lines of a single training would bury the sweep's: warnings alone come through. */
static void print_warning(enum aur_log_level level, const char *line)
{
	fflush(stdout);
	if (level == AUR_LOG_WARNING)
		fprintf(stderr, "warning: %s\n", line);
}

static int is_first(const struct sweep *sweep)
{
	return sweep->context->rank == 0;
}

/* ---- points ---- */

static aur_status point_folder(const struct sweep *sweep, int64_t point, char *path, size_t bytes)
{
	char name[AUR_PATH];
	AUR_TRY(aur_grid_name(&sweep->grid, point, name, 256));
	return aur_run_path(sweep->folder, name, path, bytes);
}

static aur_status point_config(const struct sweep *sweep, int64_t point, struct aur_config *config)
{
	char assignment[512];
	aur_config_defaults(config);
	AUR_TRY(aur_config_read(sweep->config_path, config));
	AUR_TRY(aur_configure(config, sweep->data, sweep->grid.fixed, sweep->grid.n_fixed));
	for (int a = 0; a < sweep->grid.n_axes; a++) {
		snprintf(
			assignment, sizeof assignment, "%s=%s", sweep->grid.axes[a].key, aur_grid_value(&sweep->grid, point, a));
		AUR_TRY(aur_config_override(config, assignment));
	}
	return aur_config_finish(config);
}

static aur_status check_configs(const struct sweep *sweep)
{
	for (int64_t i = 0; i < sweep->grid.n_points; i++) {
		struct aur_config config;
		char path[AUR_PATH];
		AUR_TRY(point_folder(sweep, i, path, sizeof path));
		AUR_TRY(point_config(sweep, i, &config));
		AUR_TRY(aur_trainer_check_ranks(&config, sweep->context->world->size));
	}
	return AUR_OK;
}

static void count_difference(void *context, const char *key, const char *was, const char *is, int may_change)
{
	(void)key;
	(void)was;
	(void)is;
	(void)may_change;
	(*(int *)context)++;
}

/* Whether the run in this folder was made with this very configuration. */
static int has_config(const char *run, const struct aur_config *config)
{
	char path[AUR_PATH];
	struct aur_config stored;
	int differences = 0;
	aur_config_defaults(&stored);
	if (aur_run_path(run, "config.yaml", path, sizeof path) != AUR_OK || !aur_file_exists(path) ||
		aur_config_read(path, &stored) != AUR_OK || aur_config_finish(&stored) != AUR_OK) {
		aur_error_clear();
		return 0;
	}
	aur_config_compare(&stored, config, count_difference, &differences);
	return differences == 0;
}

/* ---- what is said ---- */

static void say_point(const struct sweep *sweep, int64_t point, int done_before, double seconds)
{
	static const char *const words[] = {[AUR_POINT_WAITING] = "not trained",
		[AUR_POINT_STOPPED] = "stopped",
		[AUR_POINT_DIVERGED] = "diverged",
		[AUR_POINT_FINISHED] = "finished"};
	const struct aur_point_result *result = &sweep->results[point];
	char name[256] = "";
	if (aur_grid_name(&sweep->grid, point, name, sizeof name) != AUR_OK)
		aur_error_clear();
	aur_print("[%lld/%lld] %s: %s at step %lld", (long long)point + 1, (long long)sweep->grid.n_points, name,
		words[result->state], (long long)result->step);
	if (isfinite(result->val_loss))
		aur_print(", validation loss %.4f, best %.4f at step %lld", result->val_loss, result->best_val_loss,
			(long long)result->best_step);
	if (done_before)
		aur_print(" (done before)\n");
	else
		aur_print(" (%.1f s)\n", seconds);
	aur_print_flush();
}

/* ---- training ---- */

enum decision { TRAIN, SKIP, STOP };

/* Whether a point has ended with this configuration; its result is kept. */
static aur_status read_point(struct sweep *sweep, int64_t point, const struct aur_config *config, int *over)
{
	char path[AUR_PATH];
	AUR_TRY(point_folder(sweep, point, path, sizeof path));
	AUR_TRY(aur_point_read(path, &sweep->results[point]));
	const enum aur_point_state state = sweep->results[point].state;
	*over = (state == AUR_POINT_FINISHED || state == AUR_POINT_DIVERGED) && has_config(path, config);
	return AUR_OK;
}

/* Rank 0: what is to be done with a point. */
static aur_status decide(struct sweep *sweep, int64_t point, const struct aur_config *config, int *decision)
{
	int over = 0;
	AUR_TRY(read_point(sweep, point, config, &over));
	*decision = aur_signals_pending(NULL) ? STOP : over ? SKIP : TRAIN;
	return AUR_OK;
}

/* A window of either part must fit. */
static aur_status check_windows(const struct aur_dataset *dataset, const struct aur_config *config)
{
	struct aur_sample_order order = {0};
	AUR_TRY(
		aur_order_create(dataset, config->data.order, (uint64_t)config->train.seed, config->model.block_size, &order));
	aur_order_clear(&order);
	return aur_evaluation_check_val(dataset, config->model.block_size);
}

/* Of one point, unless it is over. Keys that are texts are no axes: the data, opened for the first, is that of all. */
static aur_status check_point_data(struct sweep *sweep, int64_t point, struct aur_dataset **dataset)
{
	struct aur_config config;
	int over = 0;
	AUR_TRY(point_config(sweep, point, &config));
	AUR_TRY(read_point(sweep, point, &config, &over));
	if (over || !config.data.train[0])
		return AUR_OK; /* without a name the training says so best */
	if (!*dataset)
		AUR_TRY(aur_dataset_open(config.data.train, config.data.val, (uint64_t)config.train.seed, dataset));
	return check_windows(*dataset, &config);
}

static aur_status check_data(struct sweep *sweep)
{
	struct aur_dataset *dataset = NULL;
	aur_status status = AUR_OK;
	for (int64_t i = 0; i < sweep->grid.n_points && status == AUR_OK; i++)
		status = check_point_data(sweep, i, &dataset);
	aur_dataset_close(&dataset);
	return status;
}

/* Rank 0 after a point: its losses, and the table as it stands, so that it is there whatever ends the sweep. */
static aur_status record(struct sweep *sweep, int64_t point, aur_status trained, double seconds)
{
	char path[AUR_PATH];
	AUR_TRY(point_folder(sweep, point, path, sizeof path));
	AUR_TRY(aur_point_read(path, &sweep->results[point]));
	if (trained == AUR_DIVERGED)
		sweep->results[point].state = AUR_POINT_DIVERGED;
	say_point(sweep, point, 0, seconds);
	return aur_sweep_write(sweep->folder, &sweep->grid, sweep->results);
}

/* Collective. A point that diverges is a result; everything else that fails ends the sweep. */
static aur_status train_point(struct sweep *sweep, int64_t point, const struct aur_config *config)
{
	char path[AUR_PATH];
	struct aur_comm *world = sweep->context->world;
	AUR_TRY(point_folder(sweep, point, path, sizeof path));
	const struct aur_train_options options = {.run = path};
	const double start = aur_clock_s();
	const aur_status trained = aur_train(config, &options, world);
	if (trained != AUR_OK && trained != AUR_STOPPED && trained != AUR_DIVERGED)
		return aur_error_message()[0] ? aur_add_context(trained, "%s", path) : trained;
	aur_error_clear();
	aur_status status = AUR_OK;
	if (is_first(sweep))
		status = record(sweep, point, trained, aur_clock_s() - start);
	AUR_TRY(aur_comm_agree(world, status));
	return trained == AUR_STOPPED ? AUR_STOPPED : AUR_OK;
}

/* Collective: rank 0 looks at the folder, all do what it says. */
static aur_status do_point(struct sweep *sweep, int64_t point)
{
	struct aur_comm *world = sweep->context->world;
	struct aur_config config;
	int decision = TRAIN;
	aur_status status = point_config(sweep, point, &config);
	if (status == AUR_OK && is_first(sweep))
		status = decide(sweep, point, &config, &decision);
	AUR_TRY(aur_comm_agree(world, status));
	AUR_TRY(world->ops->broadcast(world, &decision, sizeof decision, 0));
	if (decision == STOP)
		return AUR_STOPPED;
	if (decision == TRAIN)
		return train_point(sweep, point, &config);
	if (is_first(sweep))
		say_point(sweep, point, 1, 0);
	return AUR_OK;
}

/* ---- the end ---- */

/* Rank 0. Without gnuplot the sweep is no less done. */
static aur_status finish(struct sweep *sweep, int stopped)
{
	AUR_TRY(aur_sweep_write(sweep->folder, &sweep->grid, sweep->results));
	aur_print("\n");
	AUR_TRY(aur_sweep_print(&sweep->grid, sweep->results));
	if (aur_sweep_draw(sweep->folder, &sweep->grid, sweep->results) == AUR_OK)
		aur_print("\n%s/sweep.svg\n", sweep->folder);
	else
		aur_warn("%s/sweep.svg was not drawn: %s", sweep->folder, aur_error_message());
	aur_error_clear();
	if (stopped)
		aur_print("stopped: the same command goes on from here\n");
	return aur_print_end();
}

/* Points that are not reached keep what an earlier sweep left of them. */
static aur_status read_points(struct sweep *sweep)
{
	for (int64_t i = 0; i < sweep->grid.n_points; i++) {
		char path[AUR_PATH];
		AUR_TRY(point_folder(sweep, i, path, sizeof path));
		AUR_TRY(aur_point_read(path, &sweep->results[i]));
	}
	return AUR_OK;
}

static aur_status start(struct sweep *sweep)
{
	sweep->results = calloc((size_t)sweep->grid.n_points, sizeof *sweep->results);
	if (!sweep->results)
		return aur_fail(AUR_MEMORY, "sweep: no memory for its results");
	/* All points are checked before the first is trained: a typing error must not show after a night. */
	AUR_TRY(check_configs(sweep));
	if (!is_first(sweep))
		return AUR_OK;
	AUR_TRY(check_data(sweep));
	AUR_TRY(aur_folder_create(sweep->folder));
	return read_points(sweep);
}

static aur_status run(struct sweep *sweep)
{
	struct aur_comm *world = sweep->context->world;
	aur_log_set_sink(is_first(sweep) ? print_warning : NULL);
	aur_signals_install();
	AUR_TRY(aur_comm_agree(world, start(sweep)));
	aur_status status = AUR_OK;
	for (int64_t i = 0; i < sweep->grid.n_points && status == AUR_OK; i++)
		status = do_point(sweep, i);
	if (status != AUR_OK && status != AUR_STOPPED)
		return status;
	AUR_TRY(aur_comm_agree(world, is_first(sweep) ? finish(sweep, status == AUR_STOPPED) : AUR_OK));
	return status;
}

/* The file's grid comes first: what the command line says of the same key holds. */
static aur_status make_grid(struct sweep *sweep, const struct aur_options *options)
{
	AUR_TRY(aur_config_read_grid(sweep->config_path, &sweep->in_file));
	const int in_file = sweep->in_file.n, n = in_file + options->n_overrides;
	sweep->overrides = calloc((size_t)n + 1, sizeof *sweep->overrides);
	if (!sweep->overrides)
		return aur_fail(AUR_MEMORY, "sweep: no memory for its grid");
	for (int i = 0; i < n; i++)
		sweep->overrides[i] = i < in_file ? sweep->in_file.overrides[i] : options->overrides[i - in_file];
	return aur_grid_make(sweep->overrides, n, &sweep->grid);
}

aur_status aur_command_sweep(const struct aur_command_context *context, int argc, char **argv)
{
	struct sweep sweep = {.context = context};
	const struct aur_option table[] = {
		{"config", AUR_OPTION_TEXT, &sweep.config_path, "FILE", "configuration that all points share", 1},
		{"run", AUR_OPTION_TEXT, &sweep.folder, "DIR", "folder of the sweep: a run folder for each point", 1},
		{"data", AUR_OPTION_TEXT, &sweep.data, "FILES", "dataset files and globs; short for data.train", 0},
	};
	struct aur_options options = {
		.usage = "sweep --config FILE --run DIR [--section.key=value,value ...]",
		.about = "Trains every combination of the values of keys that are given several, separated by commas, or as\n"
				 "lists in the configuration's section sweep, one after another, each on all ranks. Writes sweep.csv,\n"
				 "sweep.json and sweep.svg, the best last.",
		.options = table,
		.n_options = sizeof table / sizeof *table,
		.argument = "nothing",
		.most_arguments = 0,
		.takes_overrides = 1,
		.notes = "A sweep that was stopped goes on by the same command. A point that diverges is recorded.",
	};
	aur_status status = aur_options_parse(&options, argc, argv);
	if (status == AUR_OK && !options.help && sweep.folder[0] == '\0')
		status = aur_fail(AUR_USAGE, "--run: the name is empty");
	if (status == AUR_OK && !options.help)
		status = make_grid(&sweep, &options);
	if (!options.help)
		status = aur_comm_agree(context->world, status);
	if (status == AUR_OK && !options.help)
		status = run(&sweep);
	free(sweep.results);
	aur_grid_clear(&sweep.grid);
	free(sweep.overrides);
	aur_config_grid_clear(&sweep.in_file);
	aur_options_clear(&options);
	return status;
}
