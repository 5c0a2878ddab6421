#include "train/loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* A ring of depth + 1 batches: one is in the caller's hands, the others are full or being filled. When all are full the
 * thread goes on to look at windows that come after them: a group's chunks would else all be inflated for its first
 * batches, and those be late. */
struct aur_loader {
	struct aur_loader_options options;
	int32_t *memory; /* owned; behind the batches a window that is looked at */
	int64_t slots;
	int64_t filled, taken; /* batches so far */
	int64_t ahead, reach;  /* sequences of this rank that were looked at so far; and at most so many beyond `filled` */
	aur_status status;     /* of the thread; its message beside it */
	char message[AUR_MESSAGE];
	int stop, started;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

static int64_t slot_tokens(const struct aur_loader *loader)
{
	return loader->options.count * loader->options.order->positions;
}

static int32_t *slot_of(const struct aur_loader *loader, int64_t batch)
{
	return loader->memory + batch % loader->slots * 2 * slot_tokens(loader);
}

static aur_status read_sequence(
	const struct aur_loader_options *options, int64_t batch, int64_t i, int32_t *tokens, int32_t *targets)
{
	const int64_t sample = options->start_sample + batch * options->batch_size + options->first + i;
	const struct aur_place place = aur_order_place(options->order, sample);
	return aur_dataset_read(
		options->dataset, AUR_TRAIN, place.file, place.begin, options->order->positions, tokens, targets);
}

static aur_status fill(struct aur_loader *loader, int64_t batch)
{
	const struct aur_loader_options *options = &loader->options;
	const int64_t positions = options->order->positions;
	int32_t *tokens = slot_of(loader, batch), *targets = tokens + slot_tokens(loader);
	for (int64_t i = 0; i < options->count; i++)
		AUR_TRY(read_sequence(options, batch, i, tokens + i * positions, targets + i * positions));
	return AUR_OK;
}

/* Reads the next window ahead for what the reader keeps of it. A fault is told when the window's turn comes. */
static void look_ahead(struct aur_loader *loader)
{
	const struct aur_loader_options *options = &loader->options;
	int32_t *tokens = loader->memory + loader->slots * 2 * slot_tokens(loader);
	if (read_sequence(options, loader->ahead / options->count, loader->ahead % options->count, tokens,
			tokens + options->order->positions) != AUR_OK)
		aur_error_clear();
}

/* Under the lock, which is let go meanwhile. Returns 0 when there is nothing to look at. */
static int looked_ahead(struct aur_loader *loader)
{
	const int64_t filled = loader->filled * loader->options.count;
	if (loader->ahead < filled)
		loader->ahead = filled;
	if (loader->ahead >= filled + loader->reach)
		return 0;
	pthread_mutex_unlock(&loader->lock);
	look_ahead(loader);
	pthread_mutex_lock(&loader->lock);
	loader->ahead++;
	return 1;
}

/* Waits until a slot is free. Returns 0 when told to stop. */
static int wait_for_room(struct aur_loader *loader)
{
	pthread_mutex_lock(&loader->lock);
	while (!loader->stop && loader->filled - loader->taken >= loader->options.depth)
		if (!looked_ahead(loader))
			pthread_cond_wait(&loader->changed, &loader->lock);
	const int go_on = !loader->stop;
	pthread_mutex_unlock(&loader->lock);
	return go_on;
}

static void *run(void *context)
{
	struct aur_loader *loader = context;
	while (wait_for_room(loader)) {
		const aur_status status = fill(loader, loader->filled);
		pthread_mutex_lock(&loader->lock);
		if (status == AUR_OK) {
			loader->filled++;
		} else {
			loader->status = status;
			snprintf(loader->message, sizeof loader->message, "%s", aur_error_message());
			loader->stop = 1;
		}
		pthread_cond_broadcast(&loader->changed);
		pthread_mutex_unlock(&loader->lock);
	}
	return NULL;
}

/* Signals are for the thread that runs the steps. */
static int start_thread(struct aur_loader *loader)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	const int code = pthread_create(&loader->thread, NULL, run, loader);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	loader->started = code == 0;
	return code;
}

/* Half of a group of chunks, of which the reader keeps two (order.h): from wherever samples are asked for to there they
 * are enough, and the time of half a group is long against inflating one. Windows of files that are not compressed are
 * read in a moment. A source that has but a share of the samples gets on more slowly than is reckoned with. */
static int64_t reach_of(const struct aur_loader_options *options)
{
	const struct aur_sample_order *order = options->order;
	int64_t least = 0;
	for (int64_t i = 0; i < aur_dataset_sources(order->dataset); i++) {
		const int64_t half = order->sources[i].run * AUR_ORDER_GROUP_RUNS / 2;
		if (half > 0 && (least == 0 || half < least))
			least = half;
	}
	const int64_t mine = least * options->count / options->batch_size;
	return least > 0 && mine == 0 ? 1 : mine;
}

aur_status aur_loader_create(const struct aur_loader_options *options, struct aur_loader **loader)
{
	*loader = calloc(1, sizeof **loader);
	if (!*loader)
		return aur_fail(AUR_MEMORY, "loader: no memory");
	struct aur_loader *made = *loader;
	made->options = *options;
	if (made->options.depth < 1)
		made->options.depth = 1;
	made->slots = made->options.depth + 1;
	made->reach = reach_of(options);
	pthread_mutex_init(&made->lock, NULL);
	pthread_cond_init(&made->changed, NULL);
	const size_t windows = (size_t)(made->slots * options->count) + 1;
	const size_t bytes = windows * 2 * (size_t)options->order->positions * sizeof *made->memory;
	made->memory = malloc(bytes);
	aur_status status = AUR_OK;
	if (!made->memory)
		status = aur_fail(AUR_MEMORY, "loader: no memory for %zu bytes of batches; lower data.prefetch", bytes);
	else if (start_thread(made) != 0)
		status = aur_fail(AUR_MEMORY, "loader: the system refuses another thread");
	if (status != AUR_OK)
		aur_loader_destroy(loader);
	return status;
}

aur_status aur_loader_next(struct aur_loader *loader, const int32_t **tokens, const int32_t **targets)
{
	pthread_mutex_lock(&loader->lock);
	while (loader->filled == loader->taken && !loader->stop)
		pthread_cond_wait(&loader->changed, &loader->lock);
	const int ready = loader->filled > loader->taken;
	const int64_t batch = loader->taken;
	if (ready) {
		loader->taken++;
		pthread_cond_broadcast(&loader->changed);
	}
	pthread_mutex_unlock(&loader->lock);
	if (!ready)
		return aur_fail(loader->status, "%s", loader->message);
	*tokens = slot_of(loader, batch);
	*targets = *tokens + slot_tokens(loader);
	return AUR_OK;
}

int64_t aur_loader_ahead(struct aur_loader *loader)
{
	pthread_mutex_lock(&loader->lock);
	const int64_t filled = loader->filled * loader->options.count;
	const int64_t ahead = loader->ahead > filled ? loader->ahead - filled : 0;
	pthread_mutex_unlock(&loader->lock);
	return ahead;
}

void aur_loader_destroy(struct aur_loader **loader)
{
	if (!loader || !*loader)
		return;
	if ((*loader)->started) {
		pthread_mutex_lock(&(*loader)->lock);
		(*loader)->stop = 1;
		pthread_cond_broadcast(&(*loader)->changed);
		pthread_mutex_unlock(&(*loader)->lock);
		pthread_join((*loader)->thread, NULL);
	}
	pthread_mutex_destroy(&(*loader)->lock);
	pthread_cond_destroy(&(*loader)->changed);
	free((*loader)->memory);
	free(*loader);
	*loader = NULL;
}
