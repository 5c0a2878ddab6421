#ifndef AUR_IO_METRICS_H
#define AUR_IO_METRICS_H

#include "core/status.h"

#include <stdint.h>

/* log.jsonl: one JSON object a line, appended. Writing never allocates after opening; each line reaches the file as one
 * write, so that a killed run leaves whole lines (a cut last line is ignored when read). */

struct aur_metrics;

aur_status aur_metrics_open(const char *path, struct aur_metrics **metrics);
void aur_metrics_close(struct aur_metrics **metrics);

/* Non-finite numbers are written as null. */
struct aur_metrics_step {
	int64_t step;
	double loss, grad_norm, learning_rate;
	int64_t tokens; /* seen since the start of the training */
	double tokens_per_s;
	double of_ceiling; /* FLOPs a second over those of matrix products, measured at the start; 1 at best */
	double ms_step, ms_data, ms_forward, ms_backward, ms_reduce_wait, ms_optimizer;
};

aur_status aur_metrics_write_step(struct aur_metrics *metrics, const struct aur_metrics_step *step);
aur_status aur_metrics_write_eval(struct aur_metrics *metrics, int64_t step, double train_loss, double val_loss);
aur_status aur_metrics_write_checkpoint(struct aur_metrics *metrics, int64_t step, const char *path, double seconds);
aur_status aur_metrics_write_start(struct aur_metrics *metrics, int64_t step, int ranks, int threads,
	int64_t parameters, const char *program, const char *variant, const char *precision);
aur_status aur_metrics_write_end(struct aur_metrics *metrics, int64_t step, const char *reason);

/* ---- reading, for plots and inspect ---- */

struct aur_metrics_curve {
	int64_t n_steps;
	int64_t
		*step; /* owned arrays, ascending steps: what a resumed run did again replaces what a "start" event cut off */
	double *loss;
	int64_t n_evals;
	int64_t *eval_step;
	double *eval_train, *eval_val; /* NaN where null */
	char end_reason[32];           /* of the last "end" event; empty: still running or killed */
};

/* AUR_INPUT when missing or not such a log; a cut last line is ignored. */
aur_status aur_metrics_read(const char *path, struct aur_metrics_curve *curve);
void aur_metrics_curve_clear(struct aur_metrics_curve *curve);

#endif
