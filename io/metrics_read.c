#include "io/checkpoint.h"
#include "io/file.h"
#include "io/metrics.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t log_bytes_max = (int64_t)4 << 30;

void aur_metrics_curve_clear(struct aur_metrics_curve *curve)
{
	if (!curve)
		return;
	free(curve->step);
	free(curve->loss);
	free(curve->eval_step);
	free(curve->eval_train);
	free(curve->eval_val);
	*curve = (struct aur_metrics_curve){0};
}

static double number_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_number(value) ? json_number_value(value) : NAN;
}

/* Steps of a list that lie before `step`; the list ascends. */
static int64_t count_until(const int64_t *steps, int64_t count, int64_t step)
{
	while (count > 0 && steps[count - 1] >= step)
		count--;
	return count;
}

/* A run that starts again at step S did S updates: what an earlier one logged after them did not last. */
static void cut_after(struct aur_history *history, int64_t step)
{
	history->n_steps = count_until(history->step, history->n_steps, step + 1);
	history->n_evals = count_until(history->eval_step, history->n_evals, step + 1);
}

static aur_status take_step(struct aur_history *history, int64_t step, const json_t *object)
{
	history->n_steps = count_until(history->step, history->n_steps, step);
	return aur_history_add_step(history, step, number_of(object, "loss"));
}

static aur_status take_eval(struct aur_history *history, int64_t step, const json_t *object)
{
	history->n_evals = count_until(history->eval_step, history->n_evals, step);
	return aur_history_add_eval(history, step, number_of(object, "train_loss"), number_of(object, "val_loss"));
}

/* Events of other names belong to later versions and are left alone. */
static aur_status take_event(struct aur_history *history, char end_reason[32], const json_t *object)
{
	const char *event = json_string_value(json_object_get(object, "event"));
	const json_t *number = json_object_get(object, "step");
	if (!event || !json_is_integer(number))
		return aur_fail(AUR_INPUT, "is no object with \"event\" and \"step\"");
	const int64_t step = (int64_t)json_integer_value(number);
	if (step < 0 || step == INT64_MAX)
		return aur_fail(AUR_INPUT, "has the step %lld", (long long)step);
	if (strcmp(event, "step") == 0)
		return take_step(history, step, object);
	if (strcmp(event, "eval") == 0)
		return take_eval(history, step, object);
	if (strcmp(event, "start") == 0) {
		cut_after(history, step);
		end_reason[0] = '\0';
	} else if (strcmp(event, "end") == 0) {
		const char *reason = json_string_value(json_object_get(object, "reason"));
		snprintf(end_reason, 32, "%s", reason ? reason : "unknown");
	}
	return AUR_OK;
}

static aur_status take_line(struct aur_history *history, char end_reason[32], const char *line, size_t bytes)
{
	json_error_t error;
	json_t *object = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		return aur_fail(AUR_INPUT, "is not JSON: %s", error.text);
	const aur_status status = take_event(history, end_reason, object);
	json_decref(object);
	return status;
}

/* A line that was cut by a kill is followed, after a restart, by a "start" on a line of its own: only such a line, or
 * the last one, may be no JSON. */
static int is_excused(const char *next, const char *end)
{
	static const char start[] = "{\"event\":\"start\"";
	return next >= end || ((size_t)(end - next) >= sizeof start - 1 && memcmp(next, start, sizeof start - 1) == 0);
}

static aur_status take_lines(
	struct aur_history *history, char end_reason[32], const char *path, const char *text, size_t bytes)
{
	const char *end = text + bytes;
	int64_t number = 1;
	for (const char *line = text; line < end; number++) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		/* A last line without its end was cut, whatever it looks like. */
		if (!stop)
			return number > 1 ? AUR_OK : aur_fail(AUR_INPUT, "%s: has no whole line: not a training log", path);
		const aur_status status = stop > line ? take_line(history, end_reason, line, (size_t)(stop - line)) : AUR_OK;
		if (status == AUR_MEMORY || (status != AUR_OK && (number == 1 || !is_excused(stop + 1, end))))
			return aur_add_context(status, "%s: line %lld", path, (long long)number);
		line = stop + 1;
	}
	aur_error_clear();
	return AUR_OK;
}

aur_status aur_metrics_read(const char *path, struct aur_metrics_curve *curve)
{
	char *text;
	size_t bytes;
	struct aur_history history = {0};
	*curve = (struct aur_metrics_curve){0};
	AUR_TRY(aur_file_read(path, log_bytes_max, &text, &bytes));
	const aur_status status = take_lines(&history, curve->end_reason, path, text, bytes);
	free(text);
	if (status != AUR_OK) {
		aur_history_clear(&history);
		return status;
	}
	curve->n_steps = history.n_steps;
	curve->step = history.step;
	curve->loss = history.loss;
	curve->n_evals = history.n_evals;
	curve->eval_step = history.eval_step;
	curve->eval_train = history.eval_train;
	curve->eval_val = history.eval_val;
	return AUR_OK;
}
