#ifndef AUR_CORE_CREW_H
#define AUR_CORE_CREW_H

#include "core/status.h"

/* Threads that each do a whole piece of work alone, beside each other, where OpenMP's threads share every loop. Each
 * member has OpenMP threads of its own for the loops inside its piece. */
struct aur_crew;

/* What member `member` of [0, members) does. */
typedef aur_status (*aur_crew_work)(void *context, int member);

/* `threads_each`: OpenMP threads of a member. Signals stay with the thread that calls. AUR_MEMORY when the system
 * refuses a thread. */
aur_status aur_crew_create(int members, int threads_each, struct aur_crew **crew);

int aur_crew_members(const struct aur_crew *crew);

/* Every member does work(context, its number) once; waits for all. Returns the status of the lowest member that failed,
 * with its message. One call at a time; allocates nothing. */
aur_status aur_crew_run(struct aur_crew *crew, aur_crew_work work, void *context);

/* The same in two steps, for a caller that has something else to do meanwhile: aur_crew_begin hands out the work,
 * aur_crew_wait waits for at most `seconds` and says in *done whether all members are through. Until then it returns
 * AUR_OK, afterwards what aur_crew_run would. */
void aur_crew_begin(struct aur_crew *crew, aur_crew_work work, void *context);
aur_status aur_crew_wait(struct aur_crew *crew, double seconds, int *done);

/* Accepts NULL and a destroyed one; sets *crew to NULL. Waits for work that was begun. */
void aur_crew_destroy(struct aur_crew **crew);

#endif
