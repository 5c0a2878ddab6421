#include "run.h"

#include "core/clock.h"
#include "core/log.h"
#include "train/ceiling.h"
#include "train/precision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static aur_status evaluate_split(struct aur_run *run, enum aur_split split, struct aur_evaluation *result)
{
	const struct aur_evaluate evaluate = {
		.workspace = run->trainer->lanes[0].workspace,
		.backend = run->backend,
		.comm = run->comm,
		.dataset = run->eval_dataset,
		.split = split,
		.weights = run->trainer->weights,
		.compute_weights = run->trainer->compute_weights,
		.positions = run->config.model.block_size,
		.batch = run->config.train.micro_batch_size,
		.windows = run->eval_windows,
		.rank_zero_only = run->config.train.eval_ranks == AUR_EVAL_ZERO,
	};
	return aur_evaluate_run(run->evaluator, &evaluate, result);
}

static aur_status report_evaluation(struct aur_run *run, const struct aur_evaluation *train,
	const struct aur_evaluation *val, int better, double seconds)
{
	const int64_t step = run->trainer->step;
	char error[32] = ""; /* which one window does not tell */
	if (run->comm->rank != 0)
		return AUR_OK;
	if (isfinite(val->standard_error))
		snprintf(error, sizeof error, "+- %.4f, ", val->standard_error);
	aur_info("step %lld: training loss %.4f, validation loss %.4f (%s%lld window%s, %.1f s)%s", (long long)step,
		train->loss, val->loss, error, (long long)val->windows, val->windows == 1 ? "" : "s", seconds,
		better ? ", the best so far" : "");
	AUR_TRY(aur_history_add_eval(&run->history, step, train->loss, val->loss));
	return aur_run_judge_log(run, aur_metrics_write_eval(run->metrics, step, train->loss, val->loss));
}

aur_status aur_run_evaluate(struct aur_run *run)
{
	struct aur_evaluation train, val;
	if (!run->evaluator || run->val_step == run->trainer->step)
		return AUR_OK;
	const double start = aur_clock_s();
	AUR_TRY(evaluate_split(run, AUR_VAL, &val));
	AUR_TRY(evaluate_split(run, AUR_TRAIN, &train));
	run->val_loss = val.loss;
	run->val_step = run->trainer->step;
	/* Untrained weights are evaluated for the curve; they are nobody's best. */
	const int better = run->trainer->step > 0 && isfinite(val.loss) && !(val.loss >= run->best_val_loss);
	if (better) {
		run->best_val_loss = val.loss;
		run->best_step = run->trainer->step;
	}
	const aur_status status = report_evaluation(run, &train, &val, better, aur_clock_s() - start);
	AUR_TRY(aur_comm_agree(run->comm, status));
	return AUR_OK;
}

/* NULL where the training has left no memory for it: the ceiling seen before stands then. */
static aur_status open_ceiling(const struct aur_run *run, struct aur_ceiling **ceiling)
{
	const aur_status status = aur_ceiling_open(run->backend, aur_precision_of(&run->config, run->backend), ceiling);
	if (status != AUR_MEMORY)
		return status;
	aur_error_clear();
	return AUR_OK;
}

static aur_status run_ceiling(struct aur_run *run, struct aur_ceiling *ceiling)
{
	const double moment_s = 0.05;
	return ceiling ? aur_ceiling_run(ceiling, moment_s, &run->own_ceiling) : AUR_OK;
}

/* On all ranks at the same time, as they will compute, and for a moment only: a core that another program has just then
 * makes a low ceiling, so it is called at two places of the start, and a rank's best counts. */
aur_status aur_run_measure_ceiling(struct aur_run *run)
{
	struct aur_ceiling *ceiling = NULL;
	aur_status status;
	AUR_TRY_CLEANUP(aur_comm_agree(run->comm, open_ceiling(run, &ceiling)));
	AUR_TRY_CLEANUP(aur_comm_agree(run->comm, run_ceiling(run, ceiling)));
	double all = run->own_ceiling;
	AUR_TRY_CLEANUP(run->comm->ops->all_reduce(run->comm, &all, 1, AUR_COMM_SUM));
	run->ceiling = all;
cleanup:
	aur_ceiling_close(&ceiling);
	return status;
}

/* The share of it that a training of so many tokens a second uses. */
static double of_ceiling(const struct aur_run *run, double tokens_per_s)
{
	const double flops = aur_model_flops_per_token(run->model, run->config.model.block_size);
	return run->ceiling > 0 ? flops * tokens_per_s / run->ceiling : NAN;
}

/* "1:02:03" or "2:03" */
static void duration_text(double seconds, char *text, size_t bytes)
{
	const long long whole = seconds > 0 && seconds < 1e9 ? (long long)(seconds + 0.5) : 0;
	if (whole >= 3600)
		snprintf(text, bytes, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
	else
		snprintf(text, bytes, "%lld:%02lld", whole / 60, whole % 60);
}

static struct aur_metrics_step metrics_of(
	const struct aur_run *run, const struct aur_step_result *result, double tokens_per_s)
{
	const int64_t step_tokens = run->config.train.batch_size * run->config.model.block_size;
	return (struct aur_metrics_step){
		.step = result->step,
		.loss = result->loss,
		.grad_norm = result->grad_norm,
		.learning_rate = result->learning_rate,
		.tokens = result->step * step_tokens,
		.tokens_per_s = tokens_per_s,
		.of_ceiling = of_ceiling(run, tokens_per_s),
		.ms_step = result->times.step_s * 1e3,
		.ms_data = result->times.data_s * 1e3,
		.ms_forward = result->times.forward_s * 1e3,
		.ms_backward = result->times.backward_s * 1e3,
		.ms_reduce_wait = result->times.reduce_wait_s * 1e3,
		.ms_optimizer = result->times.optimizer_s * 1e3,
	};
}

aur_status aur_run_log_step(struct aur_run *run, const struct aur_step_result *result, double tokens_per_s)
{
	if (run->comm->rank != 0)
		return AUR_OK;
	const int64_t step = result->step, steps = run->config.train.steps;
	const double step_tokens = (double)(run->config.train.batch_size * run->config.model.block_size);
	char eta[32];
	duration_text((double)(steps - step) * step_tokens / (tokens_per_s > 0 ? tokens_per_s : 1), eta, sizeof eta);
	aur_info(
		"step %lld/%lld | loss %.4f | norm %.3f | lr %.2e | %.1f ms | %.0f tokens/s | %.0f%% of ceiling | ETA %s%s",
		(long long)step, (long long)steps, result->loss, result->grad_norm, result->learning_rate,
		step_tokens / tokens_per_s * 1e3, tokens_per_s, 100 * of_ceiling(run, tokens_per_s), eta,
		result->skipped ? " | skipped: the gradient is not finite" : "");
	const struct aur_metrics_step metrics = metrics_of(run, result, tokens_per_s);
	AUR_TRY(aur_history_add_step(&run->history, step, result->loss));
	return aur_run_judge_log(run, aur_metrics_write_step(run->metrics, &metrics));
}

enum { SAMPLE_TOKENS = 200 };

struct sample_text {
	int32_t ids[SAMPLE_TOKENS];
	int64_t count;
};

static aur_status keep_token(void *context, int32_t token)
{
	struct sample_text *text = context;
	if (text->count < SAMPLE_TOKENS)
		text->ids[text->count++] = token;
	return AUR_OK;
}

static aur_status say_sample(struct aur_run *run, const struct sample_text *sample)
{
	char *text = NULL;
	AUR_TRY(aur_tokenizer_decode(run->tokenizer, sample->ids, sample->count, &text));
	for (char *end = text; *end; end++)
		if (*end == '\n')
			*end = ' ';
	aur_info("sample at step %lld: %s", (long long)run->trainer->step, text);
	free(text);
	return AUR_OK;
}

/* Rank 0 alone: the others wait for it at the next agreement. A text that cannot be made is no reason to stop. */
void aur_run_sample(struct aur_run *run)
{
	if (!run->decoder)
		return;
	struct sample_text sample = {.count = 0};
	const struct aur_generate generate = {
		.decoder = run->decoder,
		.model = run->model,
		.prompt = run->sample_prompt,
		.prompt_tokens = run->sample_prompt_count,
		.tokens = SAMPLE_TOKENS,
		.sampling = {.temperature = 1.0, .seed = (uint64_t)run->config.train.seed, .text = run->trainer->step},
		.emit = keep_token,
		.context = &sample,
	};
	aur_status status = aur_generate_text(&generate);
	if (status == AUR_OK)
		status = say_sample(run, &sample);
	if (status == AUR_OK)
		return;
	aur_warn("no sample at step %lld: %s", (long long)run->trainer->step, aur_error_message());
	aur_error_clear();
}
