#include "run.h"

#include "core/build_info.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/process.h"
#include "io/file.h"
#include "train/model_file.h"
#include "train/precision.h"
#include "train/signals.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Speed over the steps since the last log line, evaluations and saves left out. */
struct pace {
	double seconds;
	int64_t steps;
};

static aur_status write_config(const struct aur_run *run)
{
	char path[AUR_PATH], *yaml = NULL;
	AUR_TRY(aur_run_path(run->options->run, "config.yaml", path, sizeof path));
	AUR_TRY(aur_config_write(&run->stored, &yaml));
	const aur_status status = aur_file_write_atomic(path, yaml, strlen(yaml));
	free(yaml);
	return status;
}

/* Rank 0: the folder's files that describe the run. */
static aur_status open_log(struct aur_run *run)
{
	char path[AUR_PATH];
	if (run->comm->rank != 0)
		return AUR_OK;
	AUR_TRY(write_config(run));
	AUR_TRY(aur_run_path(run->options->run, "log.jsonl", path, sizeof path));
	AUR_TRY(aur_metrics_open(path, &run->metrics));
	const char *precision = aur_precision_name(&run->config, run->backend);
	char lanes[32] = "";
	if (run->trainer->n_lanes > 1)
		snprintf(lanes, sizeof lanes, " in %d lanes", run->trainer->n_lanes);
	aur_info("%d rank%s of %d thread%s%s, %s, %s, %s reduction", run->comm->size, run->comm->size > 1 ? "s" : "",
		run->threads.threads, run->threads.threads > 1 ? "s" : "", lanes, run->backend->variant, precision,
		run->config.train.reduction == AUR_REDUCTION_EXACT ? "exact" : "fast");
	return aur_metrics_write_start(run->metrics, run->trainer->step, run->comm->size, run->threads.threads,
		aur_model_parameters(run->model)->elements, AUR_VERSION " " AUR_COMMIT, run->backend->variant, precision);
}

static aur_status start_loader(struct aur_run *run)
{
	const struct aur_config *config = &run->config;
	const struct aur_loader_options options = {
		.dataset = run->dataset,
		.order = &run->order,
		.batch_size = config->train.batch_size,
		.first = aur_trainer_first_sequence(run->trainer),
		.count = run->trainer->local_batch,
		.start_sample = run->trainer->step * config->train.batch_size,
		.depth = config->data.prefetch,
	};
	return aur_loader_create(&options, &run->loader);
}

static int time_is_up(const struct aur_run *run)
{
	const double limit = run->options->max_minutes * 60.0;
	return limit > 0 && aur_clock_s() - run->started_s >= limit;
}

/* This rank's wish to stop after the coming step: a signal, or on rank 0 the time. */
static int wants_to_stop(const struct aur_run *run)
{
	return aur_signals_pending(NULL) || (run->comm->rank == 0 && time_is_up(run));
}

static int64_t last_step(const struct aur_run *run)
{
	const int64_t stop_at = run->options->stop_at, steps = run->config.train.steps;
	return stop_at > 0 && stop_at < steps ? stop_at : steps;
}

static int is_due(int64_t interval, int64_t step)
{
	return interval > 0 && step % interval == 0;
}

static void tell_progress(const struct aur_run *run, const struct aur_step_result *result)
{
	if (!run->options->progress || run->comm->rank != 0)
		return;
	const int64_t step = result->step, steps = run->config.train.steps;
	const double elapsed = aur_clock_s() - run->started_s;
	const int64_t done = step - run->first_step;
	const struct aur_progress progress = {
		.step = step,
		.steps = steps,
		.loss = result->loss,
		.ms_step = result->times.step_s * 1e3,
		.eta_s = done > 0 ? elapsed / (double)done * (double)(steps - step) : 0,
	};
	run->options->progress(run->options->context, &progress);
}

/* Steps that are looked at: their results are wanted at once, all others come when the device is done with them. */
static int is_logged(const struct aur_run *run, int64_t step)
{
	return is_due(run->config.train.log_interval, step) || step == run->first_step + 1 || step == last_step(run);
}

static int is_evaluated(const struct aur_run *run, int64_t step)
{
	return is_due(run->config.train.eval_interval, step) || step == run->config.train.steps;
}

static int is_looked_at(const struct aur_run *run, int64_t step)
{
	return is_logged(run, step) || is_evaluated(run, step) || is_due(run->config.train.checkpoint_interval, step) ||
		   is_due(run->config.train.sample_interval, step);
}

/* `last`: the run ends after the newest step, which may come before the step that it was to end at. */
static aur_status log_if_due(struct aur_run *run, const struct aur_step_result *result, struct pace *pace, int last)
{
	const int ends = last && result->step == run->trainer->step;
	pace->seconds += result->times.step_s;
	pace->steps++;
	if (!is_logged(run, result->step) && !ends && !result->skipped)
		return AUR_OK;
	const double tokens = (double)(pace->steps * run->config.train.batch_size * run->config.model.block_size);
	const double seconds = pace->seconds > 0 ? pace->seconds : 1e-9;
	*pace = (struct pace){0};
	return aur_run_log_step(run, result, tokens / seconds);
}

/* The step at which a run has diverged is told by the message of its end. */
static aur_status report_results(
	struct aur_run *run, const struct aur_step_results *results, struct pace *pace, int last)
{
	const int64_t diverged_at = run->trainer->diverged_at;
	for (int i = 0; i < results->count; i++) {
		if (diverged_at != 0 && results->of[i].step >= diverged_at)
			break;
		tell_progress(run, &results->of[i]);
		AUR_TRY(log_if_due(run, &results->of[i], pace, last));
	}
	return AUR_OK;
}

/* What follows a step. Rank 0's log can fail alone, so it is agreed upon with the rest. */
static aur_status after_step(struct aur_run *run, const struct aur_step_results *results, struct pace *pace, int last)
{
	const struct aur_config *config = &run->config;
	const int64_t step = run->trainer->step;
	aur_status status = run->trainer->pending;
	if (status == AUR_OK)
		status = report_results(run, results, pace, last);
	AUR_TRY(aur_trainer_judge(run->trainer));
	if (status == AUR_OK && run->comm->rank == 0 && is_due(config->train.sample_interval, step))
		aur_run_sample(run);
	const int evaluate = is_evaluated(run, step);
	const int save = is_due(config->train.checkpoint_interval, step) || last;
	/* The other ranks do not know of it before the next step's agreement. */
	run->trainer->pending = status;
	if (!evaluate && !save)
		return AUR_OK;
	AUR_TRY(aur_comm_agree(run->comm, status));
	if (evaluate)
		AUR_TRY(aur_run_evaluate(run));
	if (save)
		AUR_TRY(aur_run_save(run, last));
	if (evaluate && run->best_step == step && isfinite(run->best_val_loss))
		AUR_TRY(aur_run_save_best(run));
	return AUR_OK;
}

static const char *end_reason(const struct aur_run *run, int stopped)
{
	const char *signal_name = NULL;
	if (!stopped)
		return run->trainer->step >= run->config.train.steps ? "finished" : "stop-at";
	return aur_signals_pending(&signal_name) ? signal_name : time_is_up(run) ? "max-minutes" : "stopped";
}

static aur_status say_end(struct aur_run *run, int stopped)
{
	if (run->comm->rank != 0)
		return AUR_OK;
	const char *reason = end_reason(run, stopped);
	aur_info("memory was %.1f MB at most", (double)aur_process_peak() * 1e-6);
	if (stopped)
		aur_info("stopped at step %lld (%s) after a checkpoint: %s goes on from there", (long long)run->trainer->step,
			reason, run->options->resume == AUR_RESUME_AUTO ? "the same command" : "the same command without --resume");
	return aur_run_judge_log(run, aur_metrics_write_end(run->metrics, run->trainer->step, reason));
}

/* The message of the divergence outlives a log that cannot be written. */
static void note_divergence(struct aur_run *run)
{
	char why[1024];
	if (run->comm->rank != 0)
		return;
	snprintf(why, sizeof why, "%s", aur_error_message());
	if (aur_metrics_write_end(run->metrics, run->trainer->diverged_at, "diverged") != AUR_OK)
		aur_fail(AUR_DIVERGED, "%s", why);
}

/* A run that stands at its end already: its configuration file stays that of the training that took place. */
static aur_status end_at_once(struct aur_run *run)
{
	char path[AUR_PATH];
	const long long step = run->trainer->step;
	if (run->comm->rank != 0)
		return AUR_OK;
	if (step >= run->config.train.steps)
		aur_info("the run is complete at step %lld: raise train.steps to go on", step);
	else
		aur_info("the run is at step %lld already, --stop-at %lld is not beyond it: nothing is done", step,
			(long long)run->options->stop_at);
	AUR_TRY(aur_run_path(run->options->run, "log.jsonl", path, sizeof path));
	AUR_TRY(aur_metrics_open(path, &run->metrics));
	return say_end(run, 0);
}

static aur_status run_steps(struct aur_run *run, int *stopped)
{
	const int64_t end = last_step(run);
	struct pace pace = {0};
	*stopped = 0;
	while (run->trainer->step < end && !*stopped) {
		const struct aur_step_request request = {
			.stop = wants_to_stop(run),
			.at_once = is_looked_at(run, run->trainer->step + 1),
		};
		struct aur_step_results results;
		AUR_TRY(aur_trainer_step(run->trainer, run->loader, &request, &results));
		*stopped = results.stop && run->trainer->step < end;
		AUR_TRY(after_step(run, &results, &pace, run->trainer->step == end || *stopped));
	}
	return AUR_OK;
}

/* Some time after the first measurement, which setting up made. Its memory goes back to the system, so that it does not
 * count on top of the run's. */
static aur_status measure_again(struct aur_run *run)
{
	AUR_TRY(aur_run_measure_ceiling(run));
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	aur_info("ceiling: %.1f GFLOP/s in matrix products on all ranks, measured now", run->ceiling * 1e-9);
	return AUR_OK;
}

static aur_status train(struct aur_run *run)
{
	int stopped = 0;
	AUR_TRY(aur_run_open(run));
	AUR_TRY(aur_run_restore(run));
	run->first_step = run->trainer->step;
	if (run->trainer->step >= last_step(run))
		return aur_comm_agree(run->comm, end_at_once(run));
	AUR_TRY(aur_comm_agree(run->comm, open_log(run)));
	AUR_TRY(measure_again(run));
	AUR_TRY(aur_run_settle_choices(run));
	/* Of synthetic tokens nothing can be learned: their curve needs no beginning. */
	if (run->trainer->step == 0 && !aur_dataset_is_synthetic(run->dataset))
		AUR_TRY(aur_run_evaluate(run));
	AUR_TRY(aur_comm_agree(run->comm, start_loader(run)));
	run->started_s = aur_clock_s();
	const aur_status status = run_steps(run, &stopped);
	if (status == AUR_DIVERGED)
		note_divergence(run);
	AUR_TRY(status);
	AUR_TRY(aur_comm_agree(run->comm, say_end(run, stopped)));
	return stopped ? AUR_STOPPED : AUR_OK;
}

aur_status aur_train(const struct aur_config *config, const struct aur_train_options *options, struct aur_comm *comm)
{
	struct aur_run run = {.stored = *config, .config = *config, .options = options, .comm = comm};
	comm->bucket_bytes = (size_t)(config->system.allreduce_bucket_mb * 1e6);
	aur_signals_install();
	const aur_status status = train(&run);
	aur_run_close(&run);
	return status;
}
