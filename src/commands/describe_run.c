#include "config/config.h"
#include "describe.h"
#include "io/file.h"
#include "io/metrics.h"
#include "train/run_folder.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { CONFIG_BYTES_MAX = 1 << 20 };

/* What the lock says: its holder's line; `held` while the holder lives, for the kernel drops a lock with its process.
 */
static void read_lock(const char *run, int *held, char *holder, size_t bytes)
{
	char path[AUR_PATH];
	*held = 0;
	holder[0] = '\0';
	if (aur_run_path(run, "lock", path, sizeof path) != AUR_OK)
		return;
	const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file < 0)
		return;
	*held = flock(file, LOCK_SH | LOCK_NB) != 0;
	const ssize_t got = pread(file, holder, bytes - 1, 0);
	holder[got > 0 ? got : 0] = '\0';
	holder[strcspn(holder, "\n")] = '\0';
	close(file);
}

static void add_state(json_t *object, const char *run, const struct aur_metrics_curve *losses)
{
	char holder[256];
	int held;
	read_lock(run, &held, holder, sizeof holder);
	const int finished = strcmp(losses->end_reason, "finished") == 0;
	aur_describe_text(object, "state", held ? "running" : finished ? "finished" : "stopped");
	if (held)
		aur_describe_text(object, "holder", holder);
	else
		aur_describe_text(object, "end_reason", losses->end_reason[0] ? losses->end_reason : "killed");
}

static void add_progress(json_t *object, const struct aur_metrics_curve *losses)
{
	const int64_t last = losses->n_steps - 1, eval = losses->n_evals - 1;
	json_object_set_new(object, "logged_step", last >= 0 ? json_integer(losses->step[last]) : json_null());
	aur_describe_number(object, "loss", last >= 0 ? losses->loss[last] : (double)NAN);
	aur_describe_number(object, "val_loss", eval >= 0 ? losses->eval_val[eval] : (double)NAN);
}

/* ---- checkpoints ---- */

static aur_status checkpoint_summary(const char *path, json_t **summary)
{
	struct aur_checkpoint *checkpoint = NULL;
	AUR_TRY(aur_checkpoint_open(path, &checkpoint));
	const struct aur_checkpoint_meta *meta = aur_checkpoint_meta_of(checkpoint);
	*summary = json_object();
	aur_describe_text(*summary, "path", path);
	aur_describe_integer(*summary, "step", meta->step);
	aur_describe_number(*summary, "val_loss", meta->val_loss);
	aur_checkpoint_close(&checkpoint);
	return AUR_OK;
}

/* A run whose checkpoints are all damaged is still one to look at: its warnings have said why there is none. */
static void add_checkpoint(json_t *object, const char *key, const char *path)
{
	json_t *summary = NULL;
	if (!path[0] || checkpoint_summary(path, &summary) != AUR_OK)
		aur_error_clear();
	json_object_set_new(object, key, summary ? summary : json_null());
}

static aur_status add_checkpoints(json_t *object, const char *run)
{
	char newest[AUR_PATH] = "", best[AUR_PATH];
	int64_t *steps = NULL, count = 0;
	AUR_TRY(aur_run_checkpoints(run, &steps, &count));
	free(steps);
	aur_describe_integer(object, "checkpoints", count);
	const aur_status status = aur_run_newest_good(run, newest, sizeof newest);
	if (status != AUR_OK && status != AUR_INPUT)
		return status;
	AUR_TRY(aur_run_path(run, "checkpoints/best.h5", best, sizeof best));
	add_checkpoint(object, "newest", status == AUR_OK ? newest : "");
	add_checkpoint(object, "best", aur_file_exists(best) ? best : "");
	return AUR_OK;
}

/* ---- the run ---- */

static aur_status add_config(json_t *object, const char *run)
{
	char path[AUR_PATH];
	char *yaml = NULL;
	size_t bytes = 0;
	json_t *config = NULL;
	AUR_TRY(aur_run_path(run, "config.yaml", path, sizeof path));
	AUR_TRY(aur_file_read(path, CONFIG_BYTES_MAX, &yaml, &bytes));
	const aur_status status = aur_describe_config(path, yaml, &config);
	free(yaml);
	AUR_TRY(status);
	const json_t *train = json_object_get(config, "train");
	json_t *steps = json_object_get(train, "steps");
	json_object_set_new(object, "steps", steps ? json_incref(steps) : json_null());
	json_object_set_new(object, "config", config);
	return AUR_OK;
}

aur_status aur_describe_run(const char *path, json_t *object)
{
	char name[AUR_PATH];
	struct aur_metrics_curve losses = {0};
	AUR_TRY(aur_run_path(path, "log.jsonl", name, sizeof name));
	if (!aur_file_exists(name))
		return aur_fail(AUR_INPUT, "%s: holds no log.jsonl: it is no run folder", path);
	AUR_TRY(aur_metrics_read(name, &losses));
	aur_describe_text(object, "kind", "run");
	aur_describe_text(object, "path", path);
	add_state(object, path, &losses);
	add_progress(object, &losses);
	aur_metrics_curve_clear(&losses);
	AUR_TRY(add_checkpoints(object, path));
	return add_config(object, path);
}
