#include "gnuplot.h"
#include "plot.h"
#include "sweep_report.h"
#include "train/run_folder.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 900, HEIGHT = 540, LEGEND_LINE = 20 };

/* The axis with the most values runs across; the points of one line differ in it alone. */
static int axis_across(const struct aur_grid *grid)
{
	int across = 0;
	for (int a = 1; a < grid->n_axes; a++)
		if (grid->axes[a].n_values > grid->axes[across].n_values)
			across = a;
	return across;
}

/* How far apart two points stand that differ by one place on an axis. */
static int64_t stride_of(const struct aur_grid *grid, int axis)
{
	int64_t stride = 1;
	for (int a = grid->n_axes - 1; a > axis; a--)
		stride *= grid->axes[a].n_values;
	return stride;
}

static int is_drawn(const struct aur_point_result *result)
{
	return isfinite(result->best_val_loss) && result->state != AUR_POINT_DIVERGED;
}

static int64_t best_point(const struct aur_grid *grid, const struct aur_point_result *results)
{
	int64_t best = -1;
	for (int64_t i = 0; i < grid->n_points; i++)
		if (is_drawn(&results[i]) && (best < 0 || results[i].best_val_loss < results[best].best_val_loss))
			best = i;
	return best;
}

struct picture {
	FILE *script;
	const struct aur_grid *grid;
	const struct aur_point_result *results;
	int across;
	int64_t stride;
	int64_t lines; /* as many as points that stand first on the axis across */
};

/* The first point of a line. */
static int64_t first_of(const struct picture *picture, int64_t line)
{
	const int64_t values = picture->grid->axes[picture->across].n_values;
	return line / picture->stride * picture->stride * values + line % picture->stride;
}

static void write_data(const struct picture *picture)
{
	for (int64_t line = 0; line < picture->lines; line++) {
		fprintf(picture->script, "$line%" PRId64 " << END\n", line);
		for (int64_t i = 0; i < picture->grid->axes[picture->across].n_values; i++) {
			const struct aur_point_result *result = &picture->results[first_of(picture, line) + i * picture->stride];
			if (is_drawn(result))
				fprintf(picture->script, "%" PRId64 " %.8g\n", i, result->best_val_loss);
			else
				fprintf(picture->script, "%" PRId64 " NaN\n", i);
		}
		fprintf(picture->script, "END\n");
	}
}

static void write_frame(const struct picture *picture, int64_t best)
{
	FILE *script = picture->script;
	const struct aur_grid_axis *axis = &picture->grid->axes[picture->across];
	fprintf(script, "set encoding utf8\n"
					"set border 3 linecolor rgb '#555555'\n"
					"set tics nomirror out textcolor rgb '#222222'\n"
					"set grid linecolor rgb '#dddddd' linetype 1 linewidth 0.7\n"
					"set ylabel 'best validation loss (nats per token)'\n"
					"set key above center horizontal samplen 2.5 spacing 1.2\n");
	fprintf(script, "set xrange [-0.3:%.1f]\nset offsets 0, 0, graph 0.06, graph 0.06\nset xlabel ",
		(double)axis->n_values - 0.7);
	aur_gnuplot_write_quoted(script, axis->key);
	fprintf(script, "\nset xtics (");
	for (int64_t i = 0; i < axis->n_values; i++) {
		fprintf(script, "%s", i ? ", " : "");
		aur_gnuplot_write_quoted(script, axis->values[i]);
		fprintf(script, " %" PRId64, i);
	}
	fprintf(script, ")\n$best << END\n%" PRId64 " %.8g\nEND\n", best / picture->stride % axis->n_values,
		picture->results[best].best_val_loss);
}

/* "block_size 8, kind gpt": what the points of a line have in common. */
static void line_name(const struct picture *picture, int64_t point, char *name, size_t bytes)
{
	size_t used = 0;
	name[0] = '\0';
	for (int a = 0; a < picture->grid->n_axes && used < bytes; a++)
		if (a != picture->across)
			used += (size_t)snprintf(name + used, bytes - used, "%s%s %s", used ? ", " : "",
				aur_grid_axis_name(picture->grid, a), aur_grid_value(picture->grid, point, a));
}

static void write_lines(const struct picture *picture, int64_t best)
{
	char name[256];
	for (int64_t line = 0; line < picture->lines; line++) {
		line_name(picture, first_of(picture, line), name, sizeof name);
		fprintf(picture->script,
			"%s$line%" PRId64
			" using 1:2 with linespoints linewidth 2 dashtype %d pointtype 7 pointsize 0.5 linecolor rgb '%s' title ",
			line ? ", \\\n  " : "plot ", line, aur_plot_dashes(line), aur_plot_colour(line));
		aur_gnuplot_write_quoted(picture->script, name);
	}
	snprintf(name, sizeof name, "best: %.4f", picture->results[best].best_val_loss);
	fprintf(picture->script,
		", \\\n  $best using 1:2 with points pointtype 6 pointsize 1.8 linewidth 2 linecolor rgb '#000000' title ");
	aur_gnuplot_write_quoted(picture->script, name);
	fprintf(picture->script, "\n");
}

aur_status aur_sweep_draw(const char *folder, const struct aur_grid *grid, const struct aur_point_result *results)
{
	char path[AUR_PATH], *text = NULL;
	size_t bytes = 0;
	const int64_t best = best_point(grid, results);
	AUR_TRY(aur_run_path(folder, "sweep.svg", path, sizeof path));
	if (best < 0)
		return aur_fail(AUR_INPUT, "%s: no point has a validation loss: there is nothing to draw", folder);
	struct picture picture = {open_memstream(&text, &bytes), grid, results, axis_across(grid), 0, 0};
	if (!picture.script)
		return aur_fail(AUR_MEMORY, "%s: no memory for its plot", path);
	picture.stride = stride_of(grid, picture.across);
	picture.lines = grid->n_points / grid->axes[picture.across].n_values;
	write_data(&picture);
	write_frame(&picture, best);
	write_lines(&picture, best);
	const int failed = ferror(picture.script);
	aur_status status;
	if (fclose(picture.script) != 0 || failed)
		status = aur_fail(AUR_MEMORY, "%s: no memory for its plot", path);
	else
		status = aur_gnuplot_draw(path, WIDTH, HEIGHT + LEGEND_LINE * (int)(picture.lines / 4), text, bytes);
	free(text);
	return status;
}
