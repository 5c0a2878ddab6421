#ifndef AUR_TRAIN_RUN_H
#define AUR_TRAIN_RUN_H

/* What a training holds open, for the files of this folder. */

#include "io/metrics.h"
#include "train/dataset.h"
#include "train/evaluate.h"
#include "train/loader.h"
#include "train/run_folder.h"
#include "train/sampler.h"
#include "train/state.h"
#include "train/train.h"
#include "train/trainer.h"

#include "core/threads.h"
#include "text/tokenizer.h"

struct aur_run {
	struct aur_config stored; /* as the user wrote it, resolved: what files keep */
	struct aur_config config; /* the same with steps and decay_steps as numbers */
	const struct aur_train_options *options;
	struct aur_comm *comm; /* borrowed */
	struct aur_threads threads;
	struct aur_run_lock lock; /* rank 0 */
	struct aur_backend *backend;
	struct aur_comm *exchange; /* of the backend's memory: comm itself, or owned */
	struct aur_model *model;
	struct aur_dataset *dataset;      /* the loader's */
	struct aur_sample_order order;    /* of the training samples */
	struct aur_dataset *eval_dataset; /* its own handles: the loader reads in its thread */
	struct aur_trainer *trainer;
	struct aur_loader *loader;
	struct aur_evaluator *evaluator; /* NULL: nothing to evaluate on */
	int64_t eval_windows;
	struct aur_metrics *metrics; /* rank 0 */
	struct aur_history history;  /* rank 0 */
	double val_loss;             /* of the newest evaluation; NaN: none */
	int64_t val_step;
	double best_val_loss; /* NaN: none */
	int64_t best_step;
	int64_t saved_step; /* of the newest checkpoint of this process or the one resumed from; -1 */
	int64_t first_step; /* this process began with */
	double started_s;
	int64_t program_bytes; /* memory of this process before the training took its own */
	double own_ceiling;    /* FLOPs a second of matrix products on this rank, the best seen at the start */
	double ceiling;        /* the same of all ranks together */
	int log_failed;        /* rank 0: a line of the log was lost and said to be */
	/* Optional samples during training: rank 0's own backend, because scratch memory is reserved once for each. */
	struct aur_backend *sample_backend;
	struct aur_decoder *decoder;
	struct aur_tokenizer *tokenizer;
	int32_t *sample_prompt;
	int64_t sample_prompt_count;
};

/* setup.c: opens everything; collective. Whatever happens, aur_run_close follows. */
aur_status aur_run_open(struct aur_run *run);
void aur_run_close(struct aur_run *run);

/* resume.c: collective. Finds what to start from, checks it against the configuration and loads it, or initialises. */
aur_status aur_run_restore(struct aur_run *run);

/* choices.c: the backend's choices of algorithms, the same on all ranks and, in exact mode, in a resumed run.
 *
 * settle: collective, before the first step: rank 0 makes those that its checkpoint did not hold, all ranks take them.
 * restore, rank 0: takes what the checkpoint holds; where that is of another device or library it says so and goes on.
 * keep, rank 0: what a checkpoint is to hold, in *text, which the caller frees; NULL: nothing. */
aur_status aur_run_settle_choices(struct aur_run *run);
aur_status aur_run_restore_choices(struct aur_run *run, const struct aur_checkpoint *checkpoint);
aur_status aur_run_keep_choices(const struct aur_run *run, char **text);

/* save.c: collective. step-N.h5 and pruning; best.h5. Obeys train.on_save_error, but for the checkpoint that ends the
 * training (`last`): without it nothing could go on. */
aur_status aur_run_save(struct aur_run *run, int last);
aur_status aur_run_save_best(struct aur_run *run);

/* Rank 0: what train.on_save_error makes of a line of the log that could not be written. */
aur_status aur_run_judge_log(struct aur_run *run, aur_status status);

/* report.c: evaluation and what is said and logged. Collective but for the log. */
aur_status aur_run_measure_ceiling(struct aur_run *run);
aur_status aur_run_evaluate(struct aur_run *run);
aur_status aur_run_log_step(struct aur_run *run, const struct aur_step_result *result, double tokens_per_s);
void aur_run_sample(struct aur_run *run);

#endif
