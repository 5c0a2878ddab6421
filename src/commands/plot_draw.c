#include "gnuplot.h"
#include "plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 900, HEIGHT = 540, LEGEND_LINE = 20, MOST_MARKS = 60 };

/* Points of a training curve: fewer, hence smoother, where several curves share a picture. */
enum { POINTS_OF_ONE = 200, POINTS_OF_SEVERAL = 100 };

/* Colours that people with any kind of colour blindness tell apart (Okabe and Ito 2008), without the yellow that is
 * lost on white. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"};

enum { COLOURS = sizeof colours / sizeof *colours };

const char *aur_plot_colour(int64_t curve)
{
	return colours[curve % COLOURS];
}

/* Where colours come again, the lines are dashed. */
int aur_plot_dashes(int64_t curve)
{
	return (int)(curve / COLOURS) % 5 + 1;
}

/* The best validation point of a curve, or -1. */
static int64_t best_eval(const struct aur_metrics_curve *losses)
{
	int64_t best = -1;
	for (int64_t i = 0; i < losses->n_evals; i++)
		if (isfinite(losses->eval_val[i]) && (best < 0 || losses->eval_val[i] < losses->eval_val[best]))
			best = i;
	return best;
}

static int has_finite(const double *values, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (isfinite(values[i]))
			return 1;
	return 0;
}

/* ---- data blocks of the script ---- */

/* Neighbouring steps become one point: their mean, and the smallest and the largest loss among them. */
static void write_steps(FILE *script, int64_t curve, const struct aur_metrics_curve *losses, int64_t points)
{
	const int64_t group = (losses->n_steps + points - 1) / points;
	fprintf(script, "$steps%" PRId64 " << END\n", curve);
	for (int64_t begin = 0; begin < losses->n_steps; begin += group) {
		double step = 0, sum = 0, low = INFINITY, high = -INFINITY;
		int64_t count = 0;
		for (int64_t i = begin; i < begin + group && i < losses->n_steps; i++) {
			if (!isfinite(losses->loss[i]))
				continue;
			step += (double)losses->step[i];
			sum += losses->loss[i];
			low = fmin(low, losses->loss[i]);
			high = fmax(high, losses->loss[i]);
			count++;
		}
		if (count > 0)
			fprintf(script, "%.10g %.8g %.8g %.8g\n", step / (double)count, sum / (double)count, low, high);
	}
	fprintf(script, "END\n");
}

static void write_evals(
	FILE *script, int64_t curve, const char *name, const struct aur_metrics_curve *losses, const double *values)
{
	fprintf(script, "$%s%" PRId64 " << END\n", name, curve);
	for (int64_t i = 0; i < losses->n_evals; i++)
		if (isfinite(values[i]))
			fprintf(script, "%" PRId64 " %.8g\n", losses->eval_step[i], values[i]);
	fprintf(script, "END\n");
}

static void write_best(FILE *script, int64_t curve, const struct aur_metrics_curve *losses)
{
	const int64_t best = best_eval(losses);
	fprintf(script, "$best%" PRId64 " << END\n", curve);
	if (best >= 0)
		fprintf(script, "%" PRId64 " %.8g\n", losses->eval_step[best], losses->eval_val[best]);
	fprintf(script, "END\n");
}

static void write_data(FILE *script, const struct aur_plot_curve *curves, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		const struct aur_metrics_curve *losses = &curves[i].losses;
		write_steps(script, i, losses, n > 1 ? POINTS_OF_SEVERAL : POINTS_OF_ONE);
		write_evals(script, i, "train", losses, losses->eval_train);
		write_evals(script, i, "val", losses, losses->eval_val);
		write_best(script, i, losses);
	}
}

/* ---- words ---- */

static void write_legend(FILE *script, const char *text)
{
	fprintf(script, " title ");
	aur_gnuplot_write_quoted(script, text);
}

/* 0 at the first step of the curve, 1 at its last. */
static double place_across(const struct aur_metrics_curve *losses, int64_t step)
{
	int64_t low = step, high = step;
	for (int64_t i = 0; i < losses->n_steps; i++) {
		low = losses->step[i] < low ? losses->step[i] : low;
		high = losses->step[i] > high ? losses->step[i] : high;
	}
	for (int64_t i = 0; i < losses->n_evals; i++) {
		low = losses->eval_step[i] < low ? losses->eval_step[i] : low;
		high = losses->eval_step[i] > high ? losses->eval_step[i] : high;
	}
	return high > low ? ((double)step - (double)low) / ((double)high - (double)low) : 0.5;
}

/* The value of the only curve's best point, above it in the open: the training loss runs below. Near a side it leans
 * inwards. Of several curves the legend alone tells the values, labels would cover each other. */
static void write_best_label(FILE *script, const struct aur_metrics_curve *losses, const char *colour)
{
	const int64_t best = best_eval(losses);
	if (best < 0)
		return;
	const int64_t step = losses->eval_step[best];
	const double across = place_across(losses, step);
	const char *side = across > 0.9 ? "right" : across < 0.1 ? "left" : "center";
	fprintf(script,
		"set label 1 'best %.4f at step %" PRId64 "' at %" PRId64 ",%.8g %s offset 0,1.3 front textcolor rgb '%s'\n",
		losses->eval_val[best], step, step, losses->eval_val[best], side, colour);
}

static void write_frame(FILE *script, const struct aur_plot_curve *curves, int64_t n, const char *title)
{
	fprintf(script, "set encoding utf8\n"
					"set border 3 linecolor rgb '#555555'\n"
					"set tics nomirror out textcolor rgb '#222222'\n"
					"set grid linecolor rgb '#dddddd' linetype 1 linewidth 0.7\n"
					"set format x '%%.8g'\n"
					"set xlabel 'step'\n"
					"set ylabel 'loss (nats per token)'\n"
					"set autoscale xfix\n"
					"set offsets graph 0.01, graph 0.02, graph 0.05, graph 0.08\n"
					"set key above center horizontal samplen 2.5 spacing 1.2\n");
	if (title) {
		fprintf(script, "set title ");
		aur_gnuplot_write_quoted(script, title);
		fprintf(script, "\n");
	}
	if (n == 1)
		write_best_label(script, &curves[0].losses, aur_plot_colour(1));
}

/* ---- lines ---- */

/* What separates the elements of one plot command. */
static void begin_element(FILE *script, int *elements)
{
	fprintf(script, "%s", (*elements)++ ? ", \\\n  " : "plot ");
}

static double mark_size(const struct aur_metrics_curve *losses)
{
	return losses->n_evals <= MOST_MARKS ? 0.5 : 0;
}

/* The line, and a ring around its best point. */
static void plot_validation(FILE *script, int64_t i, const struct aur_metrics_curve *losses, const char *colour,
	const char *legend, int *elements)
{
	begin_element(script, elements);
	fprintf(script,
		"$val%" PRId64
		" using 1:2 with linespoints linewidth 2.2 dashtype %d pointtype 7 pointsize %g linecolor rgb '%s'",
		i, aur_plot_dashes(i), mark_size(losses), colour);
	write_legend(script, legend);
	begin_element(script, elements);
	fprintf(script,
		"$best%" PRId64 " using 1:2 with points pointtype 6 pointsize 1.6 linewidth 2 linecolor rgb '%s' notitle", i,
		colour);
}

/* As it went in a light colour, with the spread of the steps behind a point; then evaluation's, validation on top. */
static void plot_only_curve(FILE *script, const struct aur_metrics_curve *losses, int *elements)
{
	if (has_finite(losses->loss, losses->n_steps)) {
		if (losses->n_steps > POINTS_OF_ONE) {
			begin_element(script, elements);
			fprintf(script, "$steps0 using 1:3:4 with filledcurves noautoscale fillcolor rgb '#d8e8f3' notitle");
		}
		begin_element(script, elements);
		fprintf(script, "$steps0 using 1:2 with lines linewidth 1.2 linecolor rgb '#7fb8d8'");
		write_legend(script, "training");
	}
	if (has_finite(losses->eval_train, losses->n_evals)) {
		begin_element(script, elements);
		fprintf(script, "$train0 using 1:2 with linespoints linewidth 1.8 pointtype 7 pointsize %g linecolor rgb '%s'",
			mark_size(losses), aur_plot_colour(0));
		write_legend(script, "training, evaluated");
	}
	if (best_eval(losses) >= 0)
		plot_validation(script, 0, losses, aur_plot_colour(1), "validation", elements);
}

/* One line of the legend for each run: its validation loss, or its training loss where there is no other. */
static void plot_one_of_several(FILE *script, int64_t i, const struct aur_plot_curve *curve, int *elements)
{
	const struct aur_metrics_curve *losses = &curve->losses;
	const int64_t best = best_eval(losses);
	const char *name = curve->name ? curve->name : "";
	char legend[512];
	if (has_finite(losses->loss, losses->n_steps)) {
		begin_element(script, elements);
		fprintf(script, "$steps%" PRId64 " using 1:2 with lines linewidth 1 linecolor rgb '#77%s'", i,
			aur_plot_colour(i) + 1);
		write_legend(script, best < 0 ? name : "");
	}
	if (best < 0)
		return;
	snprintf(
		legend, sizeof legend, "%s: best %.4f at step %" PRId64, name, losses->eval_val[best], losses->eval_step[best]);
	plot_validation(script, i, losses, aur_plot_colour(i), legend, elements);
}

static aur_status write_script(FILE *script, const struct aur_plot_curve *curves, int64_t n, const char *title)
{
	int elements = 0;
	write_data(script, curves, n);
	write_frame(script, curves, n, n > 1 && !title ? "validation loss (thick) and training loss (thin)" : title);
	if (n == 1)
		plot_only_curve(script, &curves[0].losses, &elements);
	for (int64_t i = 0; n > 1 && i < n; i++)
		plot_one_of_several(script, i, &curves[i], &elements);
	fprintf(script, "\n");
	return elements > 0 ? AUR_OK : aur_fail(AUR_INPUT, "no loss has been logged yet: there is nothing to plot");
}

aur_status aur_plot_draw(const struct aur_plot_curve *curves, int64_t n, const char *title, const char *out)
{
	char *text = NULL;
	size_t bytes = 0;
	AUR_TRY(aur_gnuplot_check_path(out));
	FILE *script = open_memstream(&text, &bytes);
	if (!script)
		return aur_fail(AUR_MEMORY, "%s: no memory for its plot", out);
	aur_status status = write_script(script, curves, n, title);
	const int failed = ferror(script);
	if (fclose(script) != 0 || failed)
		status = aur_fail(AUR_MEMORY, "%s: no memory for its plot", out);
	if (status == AUR_OK)
		status = aur_gnuplot_draw(out, WIDTH, HEIGHT + LEGEND_LINE * (int)(n > 1 ? n : 1), text, bytes);
	free(text);
	return status;
}
