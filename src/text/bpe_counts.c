#include "bpe_counts.h"

#include "core/crew.h"
#include "core/threads.h"
#include "pretokenize.h"

#include <pthread.h>
#include <stdlib.h>

/* What one thread counts. */
struct counter {
	struct aur_pretokenizer *pretokenizer;
	struct aur_words counts;
};

struct counting {
	const struct aur_bpe_settings *settings;
	const struct aur_bpe_source *source;
	struct aur_pattern *pattern;
	struct counter *counters; /* owned [threads] */
	pthread_mutex_t lock;     /* of the source and what follows */
	int64_t bytes;
	int ended;
};

/* The next stretch: empty at the end of the texts and when another thread failed. */
static aur_status next_stretch(struct counting *counting, int thread, struct aur_text *stretch)
{
	const struct aur_bpe_settings *settings = counting->settings;
	aur_status status = AUR_OK;
	*stretch = (struct aur_text){0};
	pthread_mutex_lock(&counting->lock);
	if (!counting->ended)
		status = counting->source->next(counting->source->context, thread, stretch);
	counting->ended |= status != AUR_OK || stretch->size == 0;
	counting->bytes += (int64_t)stretch->size;
	if (settings->progress && stretch->size > 0)
		settings->progress(settings->progress_context, AUR_BPE_COUNTING, counting->bytes, 0);
	pthread_mutex_unlock(&counting->lock);
	return status;
}

static aur_status count_pieces(struct counter *counter, struct aur_text text)
{
	struct aur_text piece;
	for (size_t at = 0; at < text.size;) {
		AUR_TRY(aur_pretokenizer_next(counter->pretokenizer, text, &at, &piece));
		AUR_TRY(aur_words_tally(&counter->counts, piece, 1));
	}
	return AUR_OK;
}

static aur_status count_in_thread(void *context, int thread)
{
	struct counting *counting = context;
	struct counter *counter = &counting->counters[thread];
	struct aur_text stretch;
	aur_status status = aur_pretokenizer_create(counting->pattern, &counter->pretokenizer);
	while (status == AUR_OK) {
		AUR_TRY_CLEANUP(next_stretch(counting, thread, &stretch));
		if (stretch.size == 0)
			return AUR_OK;
		status = count_pieces(counter, stretch);
	}
cleanup:
	pthread_mutex_lock(&counting->lock);
	counting->ended = 1;
	pthread_mutex_unlock(&counting->lock);
	return status;
}

/* Adds the counts of all threads into `counts`, freeing each on the way. */
static aur_status join(struct counting *counting, int threads, struct aur_words *counts)
{
	*counts = counting->counters[0].counts;
	counting->counters[0].counts = (struct aur_words){0};
	for (int thread = 1; thread < threads; thread++) {
		struct aur_words *others = &counting->counters[thread].counts;
		for (int64_t i = 0; i < others->n; i++)
			AUR_TRY(aur_words_tally(counts, others->words[i].text, others->words[i].count));
		aur_words_clear(others);
	}
	return AUR_OK;
}

aur_status aur_bpe_count(
	const struct aur_bpe_settings *settings, const struct aur_bpe_source *source, struct aur_words *counts)
{
	const int threads = settings->threads > 0 ? settings->threads : aur_threads_now();
	struct counting counting = {.settings = settings, .source = source, .lock = PTHREAD_MUTEX_INITIALIZER};
	struct aur_crew *crew = NULL;
	aur_status status;
	counting.counters = calloc((size_t)threads, sizeof *counting.counters);
	if (!counting.counters)
		return aur_fail(AUR_MEMORY, "no memory to count with %d threads", threads);
	AUR_TRY_CLEANUP(aur_pattern_create(settings->pattern, &counting.pattern));
	AUR_TRY_CLEANUP(aur_crew_create(threads, 1, &crew));
	AUR_TRY_CLEANUP(aur_crew_run(crew, count_in_thread, &counting));
	AUR_TRY_CLEANUP(join(&counting, threads, counts));
cleanup:
	aur_crew_destroy(&crew);
	for (int thread = 0; thread < threads; thread++) {
		aur_words_clear(&counting.counters[thread].counts);
		aur_pretokenizer_destroy(&counting.counters[thread].pretokenizer);
	}
	free(counting.counters);
	aur_pattern_destroy(&counting.pattern);
	return status;
}
