#include "sweep_grid.h"

#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *without_dashes(const char *override)
{
	return strncmp(override, "--", 2) == 0 ? override + 2 : override;
}

/* Whether two overrides set one key. */
static int same_key(const char *a, const char *b)
{
	const size_t length = strcspn(a, "=");
	return length == strcspn(b, "=") && strncmp(a, b, length) == 0;
}

static int is_text(const char *override)
{
	for (int64_t i = 0; i < aur_config_keys(); i++) {
		char name[128];
		const struct aur_config_key key = aur_config_key_at(i);
		const int length = snprintf(name, sizeof name, "%s.%s=", key.section, key.name);
		if (strncmp(override, name, (size_t)length) == 0)
			return strcmp(key.type, "text") == 0;
	}
	return 0;
}

static int is_axis(const char *override)
{
	const char *equals = strchr(override, '=');
	return equals && strchr(equals, ',') && !is_text(override);
}

static aur_status add_value(struct aur_grid_axis *axis, const char *value, size_t length)
{
	if (length == 0)
		return aur_fail(AUR_USAGE, "--%s: a value between the commas is empty", axis->key);
	for (int64_t i = 0; i < axis->n_values; i++)
		if (strlen(axis->values[i]) == length && strncmp(axis->values[i], value, length) == 0)
			return aur_fail(AUR_USAGE, "--%s: the value %s comes twice", axis->key, axis->values[i]);
	axis->values[axis->n_values] = strndup(value, length);
	if (!axis->values[axis->n_values])
		return aur_fail(AUR_MEMORY, "--%s: no memory for its values", axis->key);
	axis->n_values++;
	return AUR_OK;
}

static aur_status add_axis(struct aur_grid *grid, const char *override)
{
	if (grid->n_axes == AUR_GRID_AXES)
		return aur_fail(AUR_USAGE, "a sweep over more than %d keys: give fewer keys several values", AUR_GRID_AXES);
	struct aur_grid_axis *axis = &grid->axes[grid->n_axes++];
	const size_t key = strcspn(override, "="), room = strlen(override);
	axis->key = strndup(override, key);
	axis->values = calloc(room, sizeof *axis->values);
	if (!axis->key || !axis->values)
		return aur_fail(AUR_MEMORY, "a sweep: no memory for its grid");
	for (const char *at = override + key + 1;; at++) {
		const size_t length = strcspn(at, ",");
		AUR_TRY(add_value(axis, at, length));
		at += length;
		if (*at == '\0')
			break;
	}
	grid->n_points *= axis->n_values;
	if (grid->n_points > AUR_GRID_POINTS)
		return aur_fail(
			AUR_USAGE, "a sweep of %lld points and more: %d are the most", (long long)grid->n_points, AUR_GRID_POINTS);
	return AUR_OK;
}

/* The keys that say how long a training is: one of them, when not 0, sets the others to 0. */
static int is_length(const char *override)
{
	return same_key(override, "train.steps=") || same_key(override, "train.epochs=") ||
		   same_key(override, "train.tokens=");
}

static int overrules(const char *later, const char *override)
{
	return same_key(override, later) ||
		   (is_length(override) && is_length(later) && strcmp(strchr(later, '='), "=0") != 0);
}

static int is_overruled(const char *const *overrides, int n, int i)
{
	for (int j = i + 1; j < n; j++)
		if (overrules(without_dashes(overrides[j]), without_dashes(overrides[i])))
			return 1;
	return 0;
}

aur_status aur_grid_make(const char *const *overrides, int n, struct aur_grid *grid)
{
	*grid = (struct aur_grid){.n_points = 1};
	grid->fixed = calloc((size_t)n + 1, sizeof *grid->fixed);
	if (!grid->fixed)
		return aur_fail(AUR_MEMORY, "a sweep: no memory for its grid");
	for (int i = 0; i < n; i++) {
		const char *override = without_dashes(overrides[i]);
		if (is_overruled(overrides, n, i))
			continue;
		if (is_axis(override))
			AUR_TRY(add_axis(grid, override));
		else
			grid->fixed[grid->n_fixed++] = override;
	}
	if (grid->n_axes == 0)
		return aur_fail(AUR_USAGE,
			"sweep: no key has several values; separate them by commas (--train.learning_rate=1e-2,1e-3), or list them "
			"in the configuration's section sweep");
	return AUR_OK;
}

void aur_grid_clear(struct aur_grid *grid)
{
	for (int a = 0; a < grid->n_axes; a++) {
		struct aur_grid_axis *axis = &grid->axes[a];
		for (int64_t i = 0; i < axis->n_values; i++)
			free(axis->values[i]);
		free(axis->values);
		free(axis->key);
	}
	free(grid->fixed);
	*grid = (struct aur_grid){0};
}

const char *aur_grid_value(const struct aur_grid *grid, int64_t point, int axis)
{
	for (int a = grid->n_axes - 1; a > axis; a--)
		point /= grid->axes[a].n_values;
	return grid->axes[axis].values[point % grid->axes[axis].n_values];
}

static const char *bare(const char *key)
{
	const char *dot = strchr(key, '.');
	return dot ? dot + 1 : key;
}

const char *aur_grid_axis_name(const struct aur_grid *grid, int axis)
{
	const char *key = grid->axes[axis].key;
	for (int a = 0; a < grid->n_axes; a++)
		if (a != axis && strcmp(bare(grid->axes[a].key), bare(key)) == 0)
			return key;
	return bare(key);
}

aur_status aur_grid_name(const struct aur_grid *grid, int64_t point, char *name, size_t bytes)
{
	size_t used = 0;
	for (int a = 0; a < grid->n_axes && used < bytes; a++)
		used += (size_t)snprintf(name + used, bytes - used, "%s%s-%s", a ? "_" : "", aur_grid_axis_name(grid, a),
			aur_grid_value(grid, point, a));
	if (used >= bytes)
		return aur_fail(AUR_USAGE, "a sweep: the name of a point, %.40s..., is too long", name);
	/* A value is a number or a word; what a folder's name cannot hold is refused when the key is set. */
	for (char *at = name; *at; at++)
		if (*at == '/' || *at == ' ')
			*at = '_';
	return AUR_OK;
}
