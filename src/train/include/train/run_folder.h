#ifndef AUR_TRAIN_RUN_FOLDER_H
#define AUR_TRAIN_RUN_FOLDER_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* A run's folder: config.yaml, log.jsonl, checkpoints/step-00001000.h5, checkpoints/best.h5, loss.svg, lock. Rank 0
 * alone touches it. */

enum { AUR_PATH = 4096 };

/* Taken while a run trains. The kernel drops it when the process dies, so that nobody has to clean up. */
struct aur_run_lock {
	int descriptor; /* -1: not held */
};

/* Creates the folder and its parts and takes the lock. A second run is refused with AUR_IO, naming the first by host,
 * process and start; a lock left by a dead process is taken over, which the log says. What a
 * killed save left half written is removed. */
aur_status aur_run_lock_take(const char *run, struct aur_run_lock *lock);
void aur_run_lock_release(struct aur_run_lock *lock);

/* "RUN/checkpoints/step-00001000.h5" */
aur_status aur_run_checkpoint_path(const char *run, int64_t step, char *path, size_t bytes);
aur_status aur_run_path(const char *run, const char *name, char *path, size_t bytes);

/* Steps of the checkpoints that are there, descending; the caller frees *steps. A missing folder has none. */
aur_status aur_run_checkpoints(const char *run, int64_t **steps, int64_t *count);

/* The newest checkpoint that verifies. Says in the log which newer ones were passed over and why. `path` is empty when
 * there is none at all; AUR_INPUT when there are some and none is good. */
aur_status aur_run_newest_good(const char *run, char *path, size_t bytes);

/* Removes all but the newest `keep` checkpoints, never `step` itself. keep < 1 keeps all. */
aur_status aur_run_prune(const char *run, int64_t keep, int64_t step);

#endif
