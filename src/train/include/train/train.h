#ifndef AUR_TRAIN_TRAIN_H
#define AUR_TRAIN_TRAIN_H

#include "comm/comm.h"
#include "config/config.h"
#include "core/status.h"

#include <stdint.h>

/* A whole training: opens everything, resumes, steps, evaluates, saves. */

enum aur_resume { AUR_RESUME_AUTO, AUR_RESUME_NEVER, AUR_RESUME_FROM };

/* Where a training stands, for a progress bar; rank 0 only. */
struct aur_progress {
	int64_t step, steps;
	double loss, ms_step, eta_s;
};

struct aur_train_options {
	const char *run; /* folder */
	enum aur_resume resume;
	const char *resume_path; /* of AUR_RESUME_FROM */
	const char *from;        /* NULL, or a checkpoint or exported model whose weights a new run starts from */
	int64_t stop_at;         /* 0, or the step after which to save and stop */
	double max_minutes;      /* 0, or when to save and stop */
	void (*progress)(void *context, const struct aur_progress *progress); /* optional */
	void *context;
};

/* Collective: every rank calls it with the same options and a finished configuration. AUR_OK: all steps are done, or
 * stop_at was reached. AUR_STOPPED: a signal or max_minutes, after a checkpoint. All ranks leave together with the same
 * status, the culprit alone with a message. */
aur_status aur_train(const struct aur_config *config, const struct aur_train_options *options, struct aur_comm *comm);

#endif
