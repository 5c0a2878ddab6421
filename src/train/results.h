#ifndef AUR_TRAIN_RESULTS_H
#define AUR_TRAIN_RESULTS_H

#include "train/trainer.h"

/* What a step gives, and when the host takes it.
 *
 * A device copies it into host memory by itself, after the step's work, and the host goes on to queue the next step:
 * two rooms take turns. A result is waited for with work of the step behind it queued, so that the device does not wait
 * for the host. Where memory is the host's a result is there at once.
 *
 * Exchanges of the step are waited for as well, with an eye on the other ranks: what fails is as a failure inside an
 * exchange, kept in trainer->lost, and no agreement may follow it. What the operations of this rank found wrong is a
 * failure of this rank alone and may be agreed upon. */

aur_status aur_results_open(struct aur_trainer *trainer);
void aur_results_close(struct aur_trainer *trainer);

/* Whether results come when the device is done with a step; otherwise queueing a result waits for it. */
int aur_results_come_later(const struct aur_trainer *trainer);

/* Of the step at work, trainer->step + 1, in this order. Its gradients are asked for and no exchange of them is waited
 * for yet by the backend; its losses are gathered; all of it is asked for. Each is collective as a settle is. */
aur_status aur_results_begin(struct aur_trainer *trainer);
aur_status aur_results_queue_losses(struct aur_trainer *trainer);
aur_status aur_results_queue(struct aur_trainer *trainer, const struct aur_trainer_times *times);

/* Takes the results of steps below `before`, in order, into trainer->results; counts updates and skipped steps. `all`:
 * nothing was asked for behind step trainer->step. AUR_INPUT: this rank's operations met a number that they could not
 * use, which may be agreed upon; the results are taken. Else it is trainer->lost. */
aur_status aur_results_take(struct aur_trainer *trainer, int64_t before, int all);

/* How many results are on their way. */
int aur_results_awaited(const struct aur_trainer *trainer);

#endif
