#ifndef AUR_COMMANDS_PLOT_H
#define AUR_COMMANDS_PLOT_H

#include "core/status.h"
#include "io/checkpoint.h"
#include "io/metrics.h"

#include <stdint.h>

/* Loss curves as pictures. */

/* One curve and the name it has in the legend. */
struct aur_plot_curve {
	const char *name; /* borrowed; NULL: none, for the only curve of a picture */
	struct aur_metrics_curve losses;
};

/* Copies a checkpoint's history into `losses`, which the caller clears with aur_metrics_curve_clear. AUR_MEMORY. */
aur_status aur_plot_losses_of_history(const struct aur_history *history, struct aur_metrics_curve *losses);

/* Draws curves into `out`, .svg or .png: steps across, loss in nats per token up; training loss as a thin line (the
 * mean of neighbouring steps where there are many), validation loss with its points, the best of them marked with its
 * value. `title` may be NULL. AUR_USAGE for another ending of the name, AUR_INPUT when there is nothing to draw, AUR_IO
 * when gnuplot is missing or fails. */
aur_status aur_plot_draw(const struct aur_plot_curve *curves, int64_t n, const char *title, const char *out);

/* The same from what `runs` name: run folders (their log.jsonl) or checkpoints (their history). AUR_INPUT. */
aur_status aur_plot_runs(const char *const *runs, int64_t n, const char *out);

/* The colour ("#0072b2") and gnuplot's dash type of one of many curves in a picture. */
const char *aur_plot_colour(int64_t curve);
int aur_plot_dashes(int64_t curve);

#endif
