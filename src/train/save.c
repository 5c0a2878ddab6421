#include "run.h"

#include "core/build_info.h"
#include "core/clock.h"
#include "core/log.h"
#include "io/file.h"
#include "train/precision.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Rank 0 describes the checkpoint; the others only take part. */
static aur_status describe(const struct aur_run *run, struct aur_checkpoint_meta *meta)
{
	*meta = (struct aur_checkpoint_meta){
		.version = 1,
		.val_loss = run->val_step == run->trainer->step ? run->val_loss : NAN,
		.best_val_loss = run->best_val_loss,
		.best_step = run->best_step,
		.vocab_hash = aur_vocab_hash(aur_dataset_vocab(run->dataset)),
		.data_hash = aur_dataset_hash(run->dataset),
	};
	snprintf(meta->kind, sizeof meta->kind, "checkpoint");
	snprintf(meta->program, sizeof meta->program, "%s %s", AUR_VERSION, AUR_COMMIT);
	aur_precision_variant(&run->config, run->backend, meta->variant);
	aur_clock_text(meta->created, sizeof meta->created);
	AUR_TRY(aur_run_keep_choices(run, &meta->choices));
	return aur_config_write(&run->stored, &meta->config);
}

static aur_status save_to(struct aur_run *run, const char *path)
{
	struct aur_checkpoint_meta meta = {0};
	aur_status status = AUR_OK;
	if (run->comm->rank == 0)
		status = describe(run, &meta);
	status = aur_comm_agree(run->comm, status);
	if (status == AUR_OK)
		status = aur_state_save(run->trainer, path, &meta, aur_dataset_vocab(run->dataset), &run->history);
	aur_checkpoint_meta_clear(&meta);
	return status;
}

/* A save that failed leaves older files as they were; the run goes on when it was told to. All ranks decide alike. */
static aur_status judge(const struct aur_run *run, const char *path, aur_status status)
{
	if (status == AUR_OK || run->config.train.on_save_error == AUR_SAVE_STOP || status == AUR_NETWORK)
		return status;
	const char *why = aur_error_message();
	if (run->comm->rank == 0)
		aur_warn("%s was not saved, training goes on (train.on_save_error: continue): %s", path,
			why[0] ? why : "another rank could not do its part");
	aur_error_clear();
	return AUR_OK;
}

aur_status aur_run_judge_log(struct aur_run *run, aur_status status)
{
	if (status != AUR_IO || run->config.train.on_save_error == AUR_SAVE_STOP)
		return status;
	if (!run->log_failed)
		aur_warn("log lines are lost, training goes on (train.on_save_error: continue): %s", aur_error_message());
	run->log_failed = 1;
	aur_error_clear();
	return AUR_OK;
}

/* Rank 0: what follows a checkpoint that is there. */
static aur_status note_saved(struct aur_run *run, const char *path, double seconds)
{
	const int64_t step = run->trainer->step;
	if (run->comm->rank != 0)
		return AUR_OK;
	aur_info("saved %s (%.2f s)", path, seconds);
	if (run->metrics)
		AUR_TRY(aur_run_judge_log(run, aur_metrics_write_checkpoint(run->metrics, step, path, seconds)));
	return aur_run_prune(run->options->run, run->config.train.keep_checkpoints, step);
}

aur_status aur_run_save(struct aur_run *run, int last)
{
	const int64_t step = run->trainer->step;
	if (run->saved_step == step)
		return AUR_OK;
	char path[AUR_PATH];
	AUR_TRY(aur_run_checkpoint_path(run->options->run, step, path, sizeof path));
	const double start = aur_clock_s();
	const aur_status status = save_to(run, path);
	if (status != AUR_OK)
		return last ? status : judge(run, path, status);
	run->saved_step = step;
	return aur_comm_agree(run->comm, note_saved(run, path, aur_clock_s() - start));
}

/* The same bytes under a second name, when the step's checkpoint is there already: linked beside, then renamed over. */
static aur_status link_best(const char *saved, const char *best)
{
	char partial[AUR_PATH + 16];
	snprintf(partial, sizeof partial, "%s.partial", best);
	AUR_TRY(aur_file_remove(partial));
	if (link(saved, partial) != 0)
		return aur_fail(AUR_IO, "%s: cannot link: %s", partial, strerror(errno));
	return aur_file_publish(partial, best);
}

aur_status aur_run_save_best(struct aur_run *run)
{
	char best[AUR_PATH], saved[AUR_PATH];
	AUR_TRY(aur_run_path(run->options->run, "checkpoints/best.h5", best, sizeof best));
	AUR_TRY(aur_run_checkpoint_path(run->options->run, run->trainer->step, saved, sizeof saved));
	aur_status status = AUR_OK;
	int linked = 0;
	if (run->saved_step == run->trainer->step && run->comm->rank == 0) {
		linked = link_best(saved, best) == AUR_OK;
		if (!linked)
			aur_error_clear();
	}
	double linked_value = linked;
	AUR_TRY(run->comm->ops->all_reduce(run->comm, &linked_value, 1, AUR_COMM_MAX));
	if (linked_value == 0.0)
		status = save_to(run, best);
	return judge(run, best, status);
}
