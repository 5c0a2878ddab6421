#include "pass.h"

#include "train/signals.h"

#include <stdio.h>
#include <stdlib.h>

/* Keeps the failure of the earliest unit, so that the message does not depend on which thread was first. */
static void note_failure(struct aur_pass *pass, const struct aur_unit *unit, aur_status status)
{
	pthread_mutex_lock(&pass->lock);
	const int earlier =
		unit->source < pass->failed_source || (unit->source == pass->failed_source && unit->part < pass->failed_part);
	if (pass->status == AUR_OK || earlier) {
		pass->status = status;
		pass->failed_source = unit->source;
		pass->failed_part = unit->part;
		snprintf(pass->message, sizeof pass->message, "%s", aur_error_message());
	}
	pass->stop = 1;
	pthread_mutex_unlock(&pass->lock);
}

static aur_status take_units(void *context, int member)
{
	struct aur_pass *pass = context;
	struct aur_unit *unit = &pass->unit[member];
	int any = 1;
	while (any && !pass->stop) {
		aur_status status = aur_units_next(pass->units, unit, &any);
		if (status == AUR_OK && any)
			status = pass->work(pass->context, member, unit);
		if (status != AUR_OK) {
			note_failure(pass, unit, status);
			break;
		}
	}
	return AUR_OK;
}

/* All ranks go through this as often as each other: until none has anything left to do. */
static aur_status exchange(struct aur_pass *pass, int done, int *all_done, int *stopped)
{
	struct aur_comm *world = pass->world;
	double sums[2] = {(double)aur_units_taken(pass->units), done};
	struct aur_agreement agreement = {.stop = aur_signals_pending(NULL) || pass->stop};
	AUR_TRY(world->ops->all_reduce(world, sums, 2, AUR_COMM_SUM));
	AUR_TRY(world->ops->agree(world, &agreement));
	if (agreement.stop)
		pass->stop = 1;
	*stopped = agreement.stop;
	*all_done = sums[1] >= world->size;
	aur_progress_show(pass->line, pass->title, sums[0], (double)pass->all_bytes);
	return AUR_OK;
}

static aur_status watch(struct aur_pass *pass)
{
	enum { FIRST_MS = 20, MOST_MS = 500 };
	int done = 0, all_done = 0, stopped = 0;
	for (int wait_ms = FIRST_MS; !all_done; wait_ms = 2 * wait_ms < MOST_MS ? 2 * wait_ms : MOST_MS) {
		AUR_TRY(aur_crew_wait(pass->crew, wait_ms * 1e-3, &done));
		AUR_TRY(exchange(pass, done, &all_done, &stopped));
	}
	aur_status status = AUR_OK;
	if (pass->status != AUR_OK)
		status = aur_fail(pass->status, "%s", pass->message);
	AUR_TRY(aur_comm_agree(pass->world, status));
	/* No rank has failed, so one has a signal: it need not be this one. */
	return stopped ? AUR_STOPPED : AUR_OK;
}

/* Where ranks cannot exchange any more the threads may still be at work with what is freed next. */
static void wait_for_threads(struct aur_pass *pass)
{
	int done = 0;
	pass->stop = 1;
	while (!done && aur_crew_wait(pass->crew, 1, &done) == AUR_OK)
		;
}

aur_status aur_pass_run(struct aur_pass *pass)
{
	pass->members = aur_crew_members(pass->crew);
	pass->status = AUR_OK;
	pass->stop = 0;
	pthread_mutex_init(&pass->lock, NULL);
	pass->unit = calloc((size_t)pass->members, sizeof *pass->unit);
	const aur_status ready = pass->unit ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for %d threads", pass->members);
	aur_status status = aur_comm_agree(pass->world, ready);
	if (status == AUR_OK) {
		aur_progress_begin(pass->line);
		aur_crew_begin(pass->crew, take_units, pass);
		status = watch(pass);
		if (status != AUR_OK)
			wait_for_threads(pass);
		aur_progress_end(pass->line);
	}
	for (int i = 0; pass->unit && i < pass->members; i++)
		aur_unit_clear(&pass->unit[i]);
	free(pass->unit);
	pthread_mutex_destroy(&pass->lock);
	return status;
}
