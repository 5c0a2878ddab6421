#ifndef AUR_COMMANDS_SWEEP_REPORT_H
#define AUR_COMMANDS_SWEEP_REPORT_H

#include "core/status.h"
#include "sweep_grid.h"

#include <stdint.h>

/* What came out of a sweep: a table, and a picture of it. */

enum aur_point_state { AUR_POINT_WAITING, AUR_POINT_STOPPED, AUR_POINT_DIVERGED, AUR_POINT_FINISHED };

struct aur_point_result {
	enum aur_point_state state;
	int64_t step;                /* last one logged */
	double train_loss, val_loss; /* of the last evaluation, or the last step's loss; NaN: none */
	double best_val_loss;        /* NaN: none */
	int64_t best_step;
};

/* Reads what the log of a point's run folder says; a folder without a log is waiting. AUR_INPUT for a foreign log,
 * AUR_MEMORY. */
aur_status aur_point_read(const char *run, struct aur_point_result *result);

/* Sorts the points' numbers so that the best comes last: by best validation loss (by training loss where there is
 * none), those that diverged, and those without a loss, first. `order` [points]. */
void aur_sweep_sort(const struct aur_point_result *results, int64_t points, int64_t *order);

/* Writes FOLDER/sweep.csv and FOLDER/sweep.json, sorted, each whole or not at all. AUR_IO, AUR_MEMORY. */
aur_status aur_sweep_write(const char *folder, const struct aur_grid *grid, const struct aur_point_result *results);

/* Prints the table for people. */
aur_status aur_sweep_print(const struct aur_grid *grid, const struct aur_point_result *results);

/* Draws the best validation loss over the axis with the most values into FOLDER/sweep.svg, a line for each combination
 * of the other axes. AUR_INPUT when no point has a loss; errors of gnuplot. */
aur_status aur_sweep_draw(const char *folder, const struct aur_grid *grid, const struct aur_point_result *results);

#endif
