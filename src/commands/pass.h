#ifndef AUR_COMMANDS_PASS_H
#define AUR_COMMANDS_PASS_H

#include "comm/comm.h"
#include "core/crew.h"
#include "progress.h"
#include "units.h"

#include <pthread.h>
#include <stdatomic.h>

/* One pass over the sources: every rank's threads take its units one after another, while its main thread tells the
 * others how far it is, hears of their failures and of signals, and shows the progress. */

struct aur_pass {
	struct aur_comm *world; /* borrowed, like all here */
	struct aur_crew *crew;
	struct aur_units *units; /* of this rank; may be none */
	struct aur_progress_line *line;
	const char *title; /* "encoding" */
	int64_t all_bytes; /* of files, over all ranks */
	/* What a thread does with a unit, whose text it reads first (aur_unit_read). */
	aur_status (*work)(void *context, int member, struct aur_unit *unit);
	void *context;

	/* Private. */
	struct aur_unit *unit; /* owned [members]: each thread's */
	int members;
	atomic_int stop;
	pthread_mutex_t lock;
	aur_status status; /* the failure of the earliest unit, and its message */
	int64_t failed_source, failed_part;
	char message[AUR_MESSAGE];
};

/* Collective. Fails on all ranks together; AUR_STOPPED after a signal. The first failing unit of a rank is the one
 * whose message comes up. */
aur_status aur_pass_run(struct aur_pass *pass);

#endif
