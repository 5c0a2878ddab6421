#include "sweep_report.h"

#include "describe.h"
#include "io/file.h"
#include "io/metrics.h"
#include "print.h"
#include "train/run_folder.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {[AUR_POINT_WAITING] = "waiting",
	[AUR_POINT_STOPPED] = "stopped",
	[AUR_POINT_DIVERGED] = "diverged",
	[AUR_POINT_FINISHED] = "finished"};

/* ---- one point ---- */

static enum aur_point_state state_of(const char *reason)
{
	if (strcmp(reason, "finished") == 0)
		return AUR_POINT_FINISHED;
	return strcmp(reason, "diverged") == 0 ? AUR_POINT_DIVERGED : AUR_POINT_STOPPED;
}

static void read_curve(const struct aur_metrics_curve *curve, struct aur_point_result *result)
{
	result->state = state_of(curve->end_reason);
	if (curve->n_steps > 0) {
		result->step = curve->step[curve->n_steps - 1];
		result->train_loss = curve->loss[curve->n_steps - 1];
	}
	if (curve->n_evals > 0) {
		result->train_loss = curve->eval_train[curve->n_evals - 1];
		result->val_loss = curve->eval_val[curve->n_evals - 1];
	}
	for (int64_t i = 0; i < curve->n_evals; i++)
		if (isfinite(curve->eval_val[i]) && !(result->best_val_loss <= curve->eval_val[i])) {
			result->best_val_loss = curve->eval_val[i];
			result->best_step = curve->eval_step[i];
		}
}

aur_status aur_point_read(const char *run, struct aur_point_result *result)
{
	char path[AUR_PATH];
	struct aur_metrics_curve curve = {0};
	*result = (struct aur_point_result){.train_loss = NAN, .val_loss = NAN, .best_val_loss = NAN};
	AUR_TRY(aur_run_path(run, "log.jsonl", path, sizeof path));
	if (!aur_file_exists(path))
		return AUR_OK;
	AUR_TRY(aur_metrics_read(path, &curve));
	read_curve(&curve, result);
	aur_metrics_curve_clear(&curve);
	return AUR_OK;
}

/* ---- the order ---- */

/* The larger, the earlier in the table. */
static double badness(const struct aur_point_result *result)
{
	const double loss = isfinite(result->best_val_loss) ? result->best_val_loss : result->train_loss;
	return result->state == AUR_POINT_DIVERGED || !isfinite(loss) ? (double)INFINITY : loss;
}

/* Insertion: stable, and a sweep has few points. */
void aur_sweep_sort(const struct aur_point_result *results, int64_t points, int64_t *order)
{
	for (int64_t i = 0; i < points; i++) {
		int64_t at = i;
		for (; at > 0 && badness(&results[order[at - 1]]) < badness(&results[i]); at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
}

static aur_status sorted(const struct aur_grid *grid, const struct aur_point_result *results, int64_t **order)
{
	*order = malloc((size_t)grid->n_points * sizeof **order);
	if (!*order)
		return aur_fail(AUR_MEMORY, "no memory for the table of a sweep");
	aur_sweep_sort(results, grid->n_points, *order);
	return AUR_OK;
}

/* ---- files ---- */

static void write_number(FILE *out, double value)
{
	if (isfinite(value))
		fprintf(out, ",%.9g", value);
	else
		fprintf(out, ",");
}

static void write_csv(
	FILE *out, const struct aur_grid *grid, const struct aur_point_result *results, const int64_t *order)
{
	for (int a = 0; a < grid->n_axes; a++)
		fprintf(out, "%s,", grid->axes[a].key);
	fprintf(out, "state,step,train_loss,val_loss,best_val_loss,best_step\n");
	for (int64_t i = 0; i < grid->n_points; i++) {
		const struct aur_point_result *result = &results[order[i]];
		for (int a = 0; a < grid->n_axes; a++)
			fprintf(out, "%s,", aur_grid_value(grid, order[i], a));
		fprintf(out, "%s,%" PRId64, state_names[result->state], result->step);
		write_number(out, result->train_loss);
		write_number(out, result->val_loss);
		write_number(out, result->best_val_loss);
		fprintf(out, ",%" PRId64 "\n", result->best_step);
	}
}

static json_t *point_object(const struct aur_grid *grid, const struct aur_point_result *result, int64_t point)
{
	char name[AUR_PATH];
	json_t *object = json_object(), *values = json_object();
	for (int a = 0; a < grid->n_axes; a++)
		aur_describe_text(values, grid->axes[a].key, aur_grid_value(grid, point, a));
	if (aur_grid_name(grid, point, name, sizeof name) == AUR_OK)
		aur_describe_text(object, "run", name);
	json_object_set_new(object, "values", values);
	aur_describe_text(object, "state", state_names[result->state]);
	aur_describe_integer(object, "step", result->step);
	aur_describe_number(object, "train_loss", result->train_loss);
	aur_describe_number(object, "val_loss", result->val_loss);
	aur_describe_number(object, "best_val_loss", result->best_val_loss);
	aur_describe_integer(object, "best_step", result->best_step);
	return object;
}

static void write_json(
	FILE *out, const struct aur_grid *grid, const struct aur_point_result *results, const int64_t *order)
{
	json_t *points = json_array();
	for (int64_t i = 0; i < grid->n_points; i++)
		json_array_append_new(points, point_object(grid, &results[order[i]], order[i]));
	char *text = json_dumps(points, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	fprintf(out, "%s\n", text ? text : "null");
	free(text);
	json_decref(points);
}

typedef void (*table_writer)(
	FILE *out, const struct aur_grid *grid, const struct aur_point_result *results, const int64_t *order);

static aur_status write_file(const char *folder, const char *name, table_writer write, const struct aur_grid *grid,
	const struct aur_point_result *results, const int64_t *order)
{
	char path[AUR_PATH], *text = NULL;
	size_t bytes = 0;
	AUR_TRY(aur_run_path(folder, name, path, sizeof path));
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		return aur_fail(AUR_MEMORY, "%s: no memory for it", path);
	write(out, grid, results, order);
	const int failed = ferror(out);
	aur_status status;
	if (fclose(out) != 0 || failed)
		status = aur_fail(AUR_MEMORY, "%s: no memory for it", path);
	else
		status = aur_file_write_atomic(path, text, bytes);
	free(text);
	return status;
}

aur_status aur_sweep_write(const char *folder, const struct aur_grid *grid, const struct aur_point_result *results)
{
	int64_t *order;
	AUR_TRY(sorted(grid, results, &order));
	aur_status status = write_file(folder, "sweep.csv", write_csv, grid, results, order);
	if (status == AUR_OK)
		status = write_file(folder, "sweep.json", write_json, grid, results, order);
	free(order);
	return status;
}

/* ---- for people ---- */

static int width_of(const struct aur_grid *grid, int axis)
{
	size_t width = strlen(aur_grid_axis_name(grid, axis));
	for (int64_t i = 0; i < grid->axes[axis].n_values; i++)
		if (strlen(grid->axes[axis].values[i]) > width)
			width = strlen(grid->axes[axis].values[i]);
	return (int)width;
}

static void print_loss(double loss)
{
	if (isfinite(loss))
		aur_print("  %10.4f", loss);
	else
		aur_print("  %10s", "-");
}

aur_status aur_sweep_print(const struct aur_grid *grid, const struct aur_point_result *results)
{
	int64_t *order;
	AUR_TRY(sorted(grid, results, &order));
	for (int a = 0; a < grid->n_axes; a++)
		aur_print("%-*s  ", width_of(grid, a), aur_grid_axis_name(grid, a));
	aur_print("%-8s  %9s  %10s  %10s  %10s  %9s\n", "state", "step", "train loss", "val loss", "best val", "at step");
	for (int64_t i = 0; i < grid->n_points; i++) {
		const struct aur_point_result *result = &results[order[i]];
		for (int a = 0; a < grid->n_axes; a++)
			aur_print("%-*s  ", width_of(grid, a), aur_grid_value(grid, order[i], a));
		aur_print("%-8s  %9" PRId64, state_names[result->state], result->step);
		print_loss(result->train_loss);
		print_loss(result->val_loss);
		print_loss(result->best_val_loss);
		aur_print("  %9" PRId64 "\n", result->best_step);
	}
	free(order);
	return aur_print_end();
}
