#ifndef AUR_CORE_THREADS_H
#define AUR_CORE_THREADS_H

#include "core/status.h"

/* How many threads a rank uses, and on which cores. */

struct aur_threads {
	int requested;     /* system.threads; 0: cores / ranks_on_node */
	int ranks_on_node; /* at least 1 */
	int cores;         /* out: cores of the node this process may use */
	int threads;       /* out: what OpenMP was set to */
	int confined;      /* out: the launcher's mask was smaller than `threads` and could not be widened */
	int widened;       /* out: the mask was widened from `confined_to` cores */
	int confined_to;   /* out: cores in the launcher's mask */
};

/* Counts the cores, widens the process's affinity mask where a launcher confined it below the threads wanted, and sets
 * OpenMP's thread count. Says in the out-fields what it found; never fails: with a mask that cannot be widened it runs
 * on as many threads as the mask has cores, unless `requested` says otherwise. */
void aur_threads_setup(struct aur_threads *threads);

/* The OpenMP threads that loops of the calling thread get, and setting their number. */
int aur_threads_now(void);
void aur_threads_use(int threads);

/* Environment that must stand before libgomp and the matrix library load (their constructors read it): passive waiting,
 * so that threads do not spin against each other. Returns 1 when it changed anything and the program must re-execute
 * itself. */
int aur_threads_environment(void);

#endif
