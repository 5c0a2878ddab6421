#include "core/crew.h"

#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct member {
	struct aur_crew *crew;
	int number;
	aur_status status; /* of its last piece, and the message beside it */
	char message[AUR_MESSAGE];
	pthread_t thread;
};

struct aur_crew {
	pthread_mutex_t lock;
	pthread_cond_t begun, done;
	long round; /* pieces handed out so far */
	int working, leaving, threads_each;
	aur_crew_work work;
	void *context;
	int members; /* threads that were started */
	struct member all[];
};

/* Waits for the round after `last`. Returns 0 when told to leave. */
static int wait_for_round(struct aur_crew *crew, long last)
{
	pthread_mutex_lock(&crew->lock);
	while (crew->round == last && !crew->leaving)
		pthread_cond_wait(&crew->begun, &crew->lock);
	const int go_on = !crew->leaving;
	pthread_mutex_unlock(&crew->lock);
	return go_on;
}

static void tell_done(struct aur_crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	if (--crew->working == 0)
		pthread_cond_signal(&crew->done);
	pthread_mutex_unlock(&crew->lock);
}

static void *live(void *context)
{
	struct member *self = context;
	struct aur_crew *crew = self->crew;
	omp_set_num_threads(crew->threads_each);
	for (long round = 0; wait_for_round(crew, round); round++) {
		self->status = crew->work(crew->context, self->number);
		if (self->status != AUR_OK)
			snprintf(self->message, sizeof self->message, "%s", aur_error_message());
		tell_done(crew);
	}
	return NULL;
}

static int start_members(struct aur_crew *crew, int members)
{
	sigset_t all, old;
	int code = 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (crew->members < members && code == 0) {
		struct member *member = &crew->all[crew->members];
		*member = (struct member){.crew = crew, .number = crew->members};
		code = pthread_create(&member->thread, NULL, live, member);
		crew->members += code == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return code;
}

aur_status aur_crew_create(int members, int threads_each, struct aur_crew **crew)
{
	*crew = calloc(1, sizeof **crew + (size_t)members * sizeof(struct member));
	if (!*crew)
		return aur_fail(AUR_MEMORY, "threads: no memory for %d of them", members);
	(*crew)->threads_each = threads_each;
	pthread_mutex_init(&(*crew)->lock, NULL);
	pthread_cond_init(&(*crew)->begun, NULL);
	pthread_cond_init(&(*crew)->done, NULL);
	if (start_members(*crew, members) == 0)
		return AUR_OK;
	const int started = (*crew)->members;
	aur_crew_destroy(crew);
	return aur_fail(AUR_MEMORY, "threads: the system refuses more than %d; lower system.threads", started);
}

int aur_crew_members(const struct aur_crew *crew)
{
	return crew->members;
}

void aur_crew_begin(struct aur_crew *crew, aur_crew_work work, void *context)
{
	pthread_mutex_lock(&crew->lock);
	crew->work = work;
	crew->context = context;
	crew->working = crew->members;
	crew->round++;
	pthread_cond_broadcast(&crew->begun);
	pthread_mutex_unlock(&crew->lock);
}

/* Of the lowest member that failed, in the calling thread. */
static aur_status status_of_all(const struct aur_crew *crew)
{
	for (int i = 0; i < crew->members; i++)
		if (crew->all[i].status != AUR_OK)
			return aur_fail(crew->all[i].status, "%s", crew->all[i].message);
	return AUR_OK;
}

aur_status aur_crew_run(struct aur_crew *crew, aur_crew_work work, void *context)
{
	aur_crew_begin(crew, work, context);
	pthread_mutex_lock(&crew->lock);
	while (crew->working > 0)
		pthread_cond_wait(&crew->done, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
	return status_of_all(crew);
}

static struct timespec time_in(double seconds)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	const double end = (double)at.tv_nsec * 1e-9 + seconds;
	at.tv_sec += (time_t)end;
	at.tv_nsec = (long)((end - (double)(time_t)end) * 1e9);
	return at;
}

aur_status aur_crew_wait(struct aur_crew *crew, double seconds, int *done)
{
	const struct timespec until = time_in(seconds);
	pthread_mutex_lock(&crew->lock);
	int code = 0;
	while (crew->working > 0 && code == 0)
		code = pthread_cond_clockwait(&crew->done, &crew->lock, CLOCK_MONOTONIC, &until);
	*done = crew->working == 0;
	pthread_mutex_unlock(&crew->lock);
	return *done ? status_of_all(crew) : AUR_OK;
}

void aur_crew_destroy(struct aur_crew **crew)
{
	if (!crew || !*crew)
		return;
	struct aur_crew *gone = *crew;
	pthread_mutex_lock(&gone->lock);
	gone->leaving = 1;
	pthread_cond_broadcast(&gone->begun);
	pthread_mutex_unlock(&gone->lock);
	for (int i = 0; i < gone->members; i++)
		pthread_join(gone->all[i].thread, NULL);
	pthread_cond_destroy(&gone->done);
	pthread_cond_destroy(&gone->begun);
	pthread_mutex_destroy(&gone->lock);
	free(gone);
	*crew = NULL;
}
