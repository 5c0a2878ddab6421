#ifndef AUR_COMMANDS_SWEEP_GRID_H
#define AUR_COMMANDS_SWEEP_GRID_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* The grid of a sweep: overrides whose value holds commas are axes, one point for each combination of their values. */

enum { AUR_GRID_AXES = 8, AUR_GRID_POINTS = 10000 };

struct aur_grid_axis {
	char *key;        /* "train.learning_rate", owned */
	char **values;    /* owned, as they were written */
	int64_t n_values; /* at least 2 */
};

struct aur_grid {
	struct aur_grid_axis axes[AUR_GRID_AXES];
	int n_axes;
	const char **fixed; /* owned list of borrowed overrides that are alike for all points, in the order given */
	int n_fixed;
	int64_t n_points;
};

/* Sorts overrides ("train.learning_rate=1e-2,1e-3") into axes and fixed ones. Of two with one key the last wins. Texts
 * may hold commas themselves and are never axes. AUR_USAGE: a value between commas is empty or comes twice, too many
 * axes or points, no axis at all. aur_grid_clear frees it, whatever came back. */
aur_status aur_grid_make(const char *const *overrides, int n, struct aur_grid *grid);
void aur_grid_clear(struct aur_grid *grid);

/* The value of an axis at a point; the last axis changes fastest. */
const char *aur_grid_value(const struct aur_grid *grid, int64_t point, int axis);

/* "learning_rate-1e-2_block_size-8": names a point's folder. Keys of one name in two sections keep their section.
 * AUR_USAGE when it is too long. */
aur_status aur_grid_name(const struct aur_grid *grid, int64_t point, char *name, size_t bytes);

/* The name of an axis without its section, where that is enough to tell it from the others. */
const char *aur_grid_axis_name(const struct aur_grid *grid, int axis);

#endif
