#include "run.h"

#include "core/log.h"
#include "io/file.h"
#include "train/model_file.h"
#include "train/precision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Which file to start from: none, a checkpoint to go on from, or weights alone. Decided on rank 0. */
struct start {
	char path[AUR_PATH];
	int resume;
};

static aur_status find_auto(const struct aur_run *run, struct start *start)
{
	AUR_TRY(aur_run_newest_good(run->options->run, start->path, sizeof start->path));
	start->resume = start->path[0] != '\0';
	/* A run that was stopped goes on with the same command. */
	if (start->resume && run->options->from)
		aur_info("%s holds checkpoints of its own: it goes on from them, --from %s was for its start",
			run->options->run, run->options->from);
	return AUR_OK;
}

static aur_status find_never(const struct aur_run *run)
{
	int64_t *steps, count;
	AUR_TRY(aur_run_checkpoints(run->options->run, &steps, &count));
	free(steps);
	if (count == 0)
		return AUR_OK;
	return aur_fail(AUR_USAGE,
		"%s: holds %lld checkpoints, which --resume never would overwrite (choose another --run)", run->options->run,
		(long long)count);
}

static aur_status find_start(const struct aur_run *run, struct start *start)
{
	const struct aur_train_options *options = run->options;
	*start = (struct start){.resume = 0};
	if (options->resume == AUR_RESUME_FROM) {
		start->resume = 1;
		AUR_TRY(aur_model_file_resolve(options->resume_path, 0, start->path, sizeof start->path));
		return aur_checkpoint_verify(start->path);
	}
	if (options->resume == AUR_RESUME_AUTO)
		AUR_TRY(find_auto(run, start));
	else
		AUR_TRY(find_never(run));
	if (!start->resume && options->from) {
		AUR_TRY(aur_model_file_resolve(options->from, 0, start->path, sizeof start->path));
		return aur_checkpoint_verify(start->path);
	}
	return AUR_OK;
}

/* What the comparison of two configurations found. */
struct differences {
	char refused[512];
	int count;
};

static void on_difference(void *context, const char *key, const char *was, const char *is, int may_change)
{
	struct differences *differences = context;
	if (may_change) {
		aur_info("changed since the checkpoint: %s was %s, is %s", key, was, is);
		return;
	}
	const size_t used = strlen(differences->refused);
	snprintf(differences->refused + used, sizeof differences->refused - used, "%s%s from %s to %s",
		differences->count++ ? ", " : "", key, was, is);
}

static aur_status stored_config(const struct aur_checkpoint *checkpoint, struct aur_config *was)
{
	const char *yaml = aur_checkpoint_meta_of(checkpoint)->config;
	aur_config_defaults(was);
	aur_status status = aur_config_parse(aur_checkpoint_path(checkpoint), yaml, strlen(yaml), was);
	if (status == AUR_OK)
		status = aur_config_finish(was);
	return status == AUR_OK
			   ? AUR_OK
			   : aur_add_context(AUR_INPUT, "%s: its stored configuration", aur_checkpoint_path(checkpoint));
}

/* Weights mean the same in another run only where the model computes the same with them. */
static void on_model_difference(void *context, const char *key, const char *was, const char *is, int may_change)
{
	static const char *const free_to_change[] = {"model.dropout", "model.embedding_dropout", "model.init"};
	(void)may_change;
	int matters = strncmp(key, "model.", 6) == 0;
	for (size_t i = 0; i < sizeof free_to_change / sizeof free_to_change[0]; i++)
		matters = matters && strcmp(key, free_to_change[i]) != 0;
	if (matters)
		on_difference(context, key, was, is, 0);
}

static aur_status check_model(const struct aur_run *run, const struct aur_checkpoint *checkpoint)
{
	struct aur_config was;
	struct differences differences = {.count = 0};
	AUR_TRY(stored_config(checkpoint, &was));
	/* A bigram is its table: the other keys do not touch it. */
	if (was.model.kind != AUR_MODEL_BIGRAM || run->stored.model.kind != AUR_MODEL_BIGRAM)
		aur_config_compare(&was, &run->stored, on_model_difference, &differences);
	if (differences.count == 0)
		return AUR_OK;
	return aur_fail(AUR_INPUT, "%s: --from needs a model of the same kind and size; changed is %s",
		aur_checkpoint_path(checkpoint), differences.refused);
}

static aur_status check_config(const struct aur_run *run, const struct aur_checkpoint *checkpoint)
{
	struct aur_config was;
	AUR_TRY(stored_config(checkpoint, &was));
	struct differences differences = {.count = 0};
	aur_config_compare(&was, &run->stored, on_difference, &differences);
	if (differences.count == 0)
		return AUR_OK;
	return aur_fail(AUR_USAGE, "%s: a resume may not change %s (put it back, or start a new --run with --from)",
		aur_checkpoint_path(checkpoint), differences.refused);
}

static aur_status check_vocabulary(const struct aur_run *run, const struct aur_checkpoint *checkpoint)
{
	const struct aur_vocab *ours = aur_dataset_vocab(run->dataset), *theirs = aur_checkpoint_vocab(checkpoint);
	if (aur_vocab_hash(ours) == aur_vocab_hash(theirs))
		return AUR_OK;
	return aur_fail(AUR_INPUT,
		"%s: its vocabulary (%s, %lld tokens) is not the dataset's (%s, %lld tokens): give data made with its "
		"tokenizer",
		aur_checkpoint_path(checkpoint), theirs->kind, (long long)theirs->size, ours->kind, (long long)ours->size);
}

static int is_compressed(const struct aur_dataset *dataset)
{
	for (int64_t i = 0; i < aur_dataset_sources(dataset); i++)
		if (aur_dataset_source(dataset, i).chunk_tokens > 0)
			return 1;
	return 0;
}

/* Older checkpoints hold the hash of the sizes alone. */
static aur_status check_data(const struct aur_run *run, const struct aur_checkpoint *checkpoint)
{
	const uint64_t theirs = aur_checkpoint_meta_of(checkpoint)->data_hash;
	if (theirs == aur_dataset_hash(run->dataset))
		return AUR_OK;
	if (aur_dataset_is_mixture(run->dataset) || theirs != aur_dataset_size_hash(run->dataset))
		return aur_fail(AUR_INPUT,
			"%s: was trained on another dataset%s (give that one with --data, or start a new --run with --from)",
			aur_checkpoint_path(checkpoint), aur_dataset_is_mixture(run->dataset) ? ", or with other weights" : "");
	if (is_compressed(run->dataset) && run->config.data.order == AUR_ORDER_SHUFFLE)
		aur_warn(
			"%s: was written by a version that shuffled compressed data otherwise: until the current pass over the "
			"data ends, some windows are seen twice and others not",
			aur_checkpoint_path(checkpoint));
	return AUR_OK;
}

static aur_status check_resume(const struct aur_run *run, const struct aur_checkpoint *checkpoint)
{
	const struct aur_checkpoint_meta *meta = aur_checkpoint_meta_of(checkpoint);
	if (strcmp(meta->kind, "checkpoint") != 0)
		return aur_fail(AUR_INPUT, "%s: is an exported model without optimizer state (start a new run with --from)",
			aur_checkpoint_path(checkpoint));
	AUR_TRY(check_vocabulary(run, checkpoint));
	AUR_TRY(check_config(run, checkpoint));
	AUR_TRY(check_data(run, checkpoint));
	char variant[AUR_VARIANT];
	aur_precision_variant(&run->config, run->backend, variant);
	if (strcmp(meta->variant, variant) != 0)
		aur_warn("the checkpoint was written with %s, this is %s: the run goes on, but not with the same bits",
			meta->variant, variant);
	return AUR_OK;
}

static aur_status copy_history(struct aur_history *to, const struct aur_history *from)
{
	for (int64_t i = 0; i < from->n_steps; i++)
		AUR_TRY(aur_history_add_step(to, from->step[i], from->loss[i]));
	for (int64_t i = 0; i < from->n_evals; i++)
		AUR_TRY(aur_history_add_eval(to, from->eval_step[i], from->eval_train[i], from->eval_val[i]));
	return AUR_OK;
}

/* Whether the checkpoint gone on from is this run's own of that step, and not one from elsewhere. */
static int is_own(const struct aur_run *run, const char *checkpoint, int64_t step)
{
	char path[AUR_PATH];
	struct stat own, other;
	return aur_run_checkpoint_path(run->options->run, step, path, sizeof path) == AUR_OK && stat(path, &own) == 0 &&
		   stat(checkpoint, &other) == 0 && own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

/* Checkpoints newer than the one gone on from belong to a past that is being rewritten, or are damaged: they are kept
 * under another name, so that the next resume does not take them. */
static aur_status set_newer_aside(const struct aur_run *run, int64_t step, int64_t from)
{
	int64_t *steps, count;
	AUR_TRY(aur_run_checkpoints(run->options->run, &steps, &count));
	aur_status status = AUR_OK;
	for (int64_t i = 0; i < count && steps[i] > step && status == AUR_OK; i++) {
		char path[AUR_PATH], aside[AUR_PATH + 16];
		status = aur_run_checkpoint_path(run->options->run, steps[i], path, sizeof path);
		if (status != AUR_OK)
			break;
		snprintf(aside, sizeof aside, "%s.set-aside", path);
		status = aur_file_rename(path, aside);
		if (status == AUR_OK)
			aur_info("set aside %s: the run goes on from another checkpoint, of step %lld", path, (long long)from);
	}
	free(steps);
	return status;
}

static aur_status take_over(struct aur_run *run, const struct aur_checkpoint *checkpoint)
{
	const struct aur_checkpoint_meta *meta = aur_checkpoint_meta_of(checkpoint);
	run->best_val_loss = meta->best_val_loss;
	run->best_step = meta->best_step;
	run->val_loss = meta->val_loss;
	run->val_step = isfinite(meta->val_loss) ? meta->step : -1;
	if (run->comm->rank != 0)
		return AUR_OK;
	if (is_own(run, aur_checkpoint_path(checkpoint), meta->step))
		run->saved_step = meta->step;
	/* One of the same step from elsewhere takes the place of this run's. */
	AUR_TRY(set_newer_aside(run, run->saved_step == meta->step ? meta->step : meta->step - 1, meta->step));
	aur_info("going on from %s at step %lld", aur_checkpoint_path(checkpoint), (long long)meta->step);
	return copy_history(&run->history, aur_checkpoint_history(checkpoint));
}

/* Rank 0: the loss of best.h5, NaN where this run has none. */
static double kept_best(const struct aur_run *run)
{
	char path[AUR_PATH];
	struct aur_checkpoint *best = NULL;
	double loss = NAN;
	if (run->saved_step >= 0 && aur_run_path(run->options->run, "checkpoints/best.h5", path, sizeof path) == AUR_OK &&
		aur_checkpoint_open(path, &best) == AUR_OK)
		loss = aur_checkpoint_meta_of(best)->best_val_loss;
	aur_checkpoint_close(&best);
	aur_error_clear();
	return loss;
}

/* A kill between a checkpoint and best.h5, or a checkpoint from another run, leaves a best loss whose weights are not
 * in best.h5: they are saved where they are this step's, and otherwise the next evaluation counts as better.
 * Collective. */
static aur_status settle_best(struct aur_run *run)
{
	double facts[2] = {NAN, -1};
	if (run->comm->rank == 0) {
		facts[0] = kept_best(run);
		facts[1] = (double)run->saved_step;
	}
	AUR_TRY(run->comm->ops->broadcast(run->comm, facts, sizeof facts, 0));
	run->saved_step = (int64_t)facts[1];
	/* From here on this run's newest checkpoint is its own: the next resume finds it. */
	if (run->saved_step < 0)
		AUR_TRY(aur_run_save(run, 1));
	if (!isfinite(run->best_val_loss) || facts[0] <= run->best_val_loss)
		return AUR_OK;
	if (run->best_step == run->trainer->step)
		return aur_run_save_best(run);
	run->best_val_loss = facts[0];
	return AUR_OK;
}

static aur_status resume_from(struct aur_run *run, const struct start *start)
{
	struct aur_checkpoint *checkpoint = NULL;
	aur_status status = aur_checkpoint_open(start->path, &checkpoint);
	if (status == AUR_OK)
		status = check_resume(run, checkpoint);
	if (status == AUR_OK && run->comm->rank == 0)
		status = aur_run_restore_choices(run, checkpoint);
	AUR_TRY_CLEANUP(aur_comm_agree(run->comm, status));
	AUR_TRY_CLEANUP(aur_state_load(run->trainer, checkpoint));
	AUR_TRY_CLEANUP(aur_comm_agree(run->comm, take_over(run, checkpoint)));
	status = settle_best(run);
cleanup:
	aur_checkpoint_close(&checkpoint);
	return status;
}

static aur_status start_from_weights(struct aur_run *run, const struct start *start)
{
	struct aur_checkpoint *checkpoint = NULL;
	aur_status status = AUR_OK;
	if (run->comm->rank == 0) {
		status = aur_checkpoint_open(start->path, &checkpoint);
		if (status == AUR_OK)
			status = check_vocabulary(run, checkpoint);
		if (status == AUR_OK)
			status = check_model(run, checkpoint);
	}
	AUR_TRY_CLEANUP(aur_comm_agree(run->comm, status));
	AUR_TRY_CLEANUP(aur_state_load_weights(run->trainer, checkpoint));
	aur_info("starting from the weights of %s", start->path);
cleanup:
	aur_checkpoint_close(&checkpoint);
	return status;
}

/* Rank 0's numbers are everyone's: a different mathematical library on another node changes nothing. */
static aur_status initialise(struct aur_run *run)
{
	float *weights;
	aur_status status = aur_state_host_weights(run->trainer, &weights);
	if (status == AUR_OK && run->comm->rank == 0)
		aur_model_initialise(run->model, (uint64_t)run->config.train.seed, weights);
	AUR_TRY_CLEANUP(aur_comm_agree(run->comm, status));
	status = aur_trainer_set_weights(run->trainer, weights);
cleanup:
	aur_state_free_weights(run->trainer, &weights);
	return status;
}

aur_status aur_run_restore(struct aur_run *run)
{
	struct start start = {.resume = 0};
	aur_status status = AUR_OK;
	if (run->comm->rank == 0)
		status = find_start(run, &start);
	AUR_TRY(aur_comm_agree(run->comm, status));
	AUR_TRY(run->comm->ops->broadcast(run->comm, &start, sizeof start, 0));
	if (start.resume)
		return resume_from(run, &start);
	if (start.path[0])
		return start_from_weights(run, &start);
	return initialise(run);
}
