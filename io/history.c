#include "checkpoint_format.h"

#include <stdlib.h>

void aur_history_clear(struct aur_history *history)
{
	if (!history)
		return;
	free(history->step);
	free(history->loss);
	free(history->eval_step);
	free(history->eval_train);
	free(history->eval_val);
	*history = (struct aur_history){0};
}

/* Makes room for one entry more. The capacity is the next power of two, asked for each time, which costs nothing where
 * it is already there: a list that came from elsewhere with just its length grows as well. */
static int grow(int64_t count, void **list, size_t entry_bytes)
{
	size_t capacity = 1;
	while (capacity <= (size_t)count)
		capacity *= 2;
	void *larger = realloc(*list, capacity * entry_bytes);
	if (larger)
		*list = larger;
	return larger != NULL;
}

static int grow_integers(int64_t count, int64_t **list)
{
	void *memory = *list;
	const int grown = grow(count, &memory, sizeof **list);
	*list = memory;
	return grown;
}

static int grow_numbers(int64_t count, double **list)
{
	void *memory = *list;
	const int grown = grow(count, &memory, sizeof **list);
	*list = memory;
	return grown;
}

aur_status aur_history_add_step(struct aur_history *history, int64_t step, double loss)
{
	const int64_t at = history->n_steps;
	if (!grow_integers(at, &history->step) || !grow_numbers(at, &history->loss))
		return aur_fail(AUR_MEMORY, "no memory for a loss curve of %lld steps", (long long)at + 1);
	history->step[at] = step;
	history->loss[at] = loss;
	history->n_steps = at + 1;
	return AUR_OK;
}

aur_status aur_history_add_eval(struct aur_history *history, int64_t step, double train_loss, double val_loss)
{
	const int64_t at = history->n_evals;
	if (!grow_integers(at, &history->eval_step) || !grow_numbers(at, &history->eval_train) ||
		!grow_numbers(at, &history->eval_val))
		return aur_fail(AUR_MEMORY, "no memory for a loss curve of %lld evaluations", (long long)at + 1);
	history->eval_step[at] = step;
	history->eval_train[at] = train_loss;
	history->eval_val[at] = val_loss;
	history->n_evals = at + 1;
	return AUR_OK;
}

/* ---- in a checkpoint ---- */

aur_status aur_h5_put_history(struct aur_h5 *file, const struct aur_history *history)
{
	static const struct aur_history none;
	const struct aur_history *from = history ? history : &none;
	AUR_TRY(aur_h5_group(file, "/history"));
	AUR_TRY(aur_h5_put_list(file, "/history/step", AUR_H5_I64, from->step, from->n_steps));
	AUR_TRY(aur_h5_put_list(file, "/history/loss", AUR_H5_F64, from->loss, from->n_steps));
	AUR_TRY(aur_h5_put_list(file, "/history/eval_step", AUR_H5_I64, from->eval_step, from->n_evals));
	AUR_TRY(aur_h5_put_list(file, "/history/eval_train", AUR_H5_F64, from->eval_train, from->n_evals));
	return aur_h5_put_list(file, "/history/eval_val", AUR_H5_F64, from->eval_val, from->n_evals);
}

/* A list that must have `expected` entries; -1: any number, which becomes *count. */
static aur_status get_list_of(
	struct aur_h5 *file, const char *name, enum aur_h5_type type, int64_t expected, void **data, int64_t *count)
{
	AUR_TRY(aur_h5_get_list(file, name, type, data, count));
	if (expected >= 0 && *count != expected)
		return aur_h5_damaged(file, name, "has %lld entries, %lld are needed", (long long)*count, (long long)expected);
	return AUR_OK;
}

aur_status aur_h5_get_history(struct aur_h5 *file, struct aur_history *history)
{
	void *lists[5] = {NULL};
	int64_t n_steps, n_evals, count;
	aur_status status;
	AUR_TRY_CLEANUP(get_list_of(file, "/history/step", AUR_H5_I64, -1, &lists[0], &n_steps));
	AUR_TRY_CLEANUP(get_list_of(file, "/history/loss", AUR_H5_F64, n_steps, &lists[1], &count));
	AUR_TRY_CLEANUP(get_list_of(file, "/history/eval_step", AUR_H5_I64, -1, &lists[2], &n_evals));
	AUR_TRY_CLEANUP(get_list_of(file, "/history/eval_train", AUR_H5_F64, n_evals, &lists[3], &count));
	AUR_TRY_CLEANUP(get_list_of(file, "/history/eval_val", AUR_H5_F64, n_evals, &lists[4], &count));
	*history = (struct aur_history){n_steps, lists[0], lists[1], n_evals, lists[2], lists[3], lists[4]};
	return AUR_OK;
cleanup:
	for (int i = 0; i < 5; i++)
		free(lists[i]);
	return status;
}
