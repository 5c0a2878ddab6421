#include "results.h"

#include "core/clock.h"

#include <stdlib.h>
#include <time.h>

int aur_results_come_later(const struct aur_trainer *trainer)
{
	return trainer->backend->streams && !trainer->backend->host_memory;
}

static size_t bytes_of_losses(const struct aur_trainer *trainer)
{
	return (size_t)trainer->config->train.batch_size * sizeof(double);
}

static aur_status take_host_memory(const struct aur_trainer *trainer, size_t bytes, void **memory)
{
	if (aur_results_come_later(trainer))
		return trainer->backend->streams->allocate_host(trainer->backend, bytes, memory);
	*memory = malloc(bytes);
	return *memory ? AUR_OK : aur_fail(AUR_MEMORY, "trainer: no memory for the losses of a batch");
}

static aur_status open_room(struct aur_trainer *trainer, struct aur_step_room *room)
{
	struct aur_backend *backend = trainer->backend;
	void *memory = NULL;
	AUR_TRY(take_host_memory(trainer, bytes_of_losses(trainer) + sizeof *room->state + sizeof *room->fault, &memory));
	room->losses = memory;
	room->state = (struct aur_step_state *)(void *)((char *)memory + bytes_of_losses(trainer));
	room->fault = (int32_t *)(void *)(room->state + 1);
	*room->fault = 0;
	if (!aur_results_come_later(trainer))
		return AUR_OK;
	AUR_TRY(backend->streams->open(backend, &room->computed));
	return backend->streams->open(backend, &room->stream);
}

aur_status aur_results_open(struct aur_trainer *trainer)
{
	for (int i = 0; i < AUR_STEP_ROOMS; i++)
		AUR_TRY(open_room(trainer, &trainer->rooms[i]));
	return AUR_OK;
}

void aur_results_close(struct aur_trainer *trainer)
{
	const struct aur_backend_streams *streams = trainer->backend->streams;
	for (int i = 0; i < AUR_STEP_ROOMS; i++) {
		struct aur_step_room *room = &trainer->rooms[i];
		if (room->computed)
			streams->close(trainer->backend, room->computed);
		if (room->stream)
			streams->close(trainer->backend, room->stream);
		if (room->losses && aur_results_come_later(trainer))
			streams->release_host(trainer->backend, room->losses);
		else
			free(room->losses);
		*room = (struct aur_step_room){0};
	}
}

int aur_results_awaited(const struct aur_trainer *trainer)
{
	int awaited = 0;
	for (int i = 0; i < AUR_STEP_ROOMS; i++)
		awaited += trainer->rooms[i].step != 0;
	return awaited;
}

static struct aur_step_room *room_of(struct aur_trainer *trainer, int64_t step)
{
	return &trainer->rooms[step % AUR_STEP_ROOMS];
}

/* The room of the step at work, one more than trainer->step. */
static struct aur_step_room *room_at_work(struct aur_trainer *trainer)
{
	return room_of(trainer, trainer->step + 1);
}

aur_status aur_results_begin(struct aur_trainer *trainer)
{
	struct aur_step_room *room = room_at_work(trainer);
	if (room->step != 0)
		return aur_fail(AUR_INTERNAL, "step %lld: the result of step %lld was not taken", (long long)trainer->step + 1,
			(long long)room->step);
	if (!aur_results_come_later(trainer))
		return AUR_OK;
	return trainer->backend->streams->order(trainer->backend, NULL, room->computed);
}

/* Not later: ranks that have their losses in common write the next step's as soon as this step's last exchange is over.
 */
aur_status aur_results_queue_losses(struct aur_trainer *trainer)
{
	struct aur_backend *backend = trainer->backend;
	struct aur_step_room *room = room_at_work(trainer);
	if (aur_results_come_later(trainer))
		return backend->streams->copy(backend, NULL, room->losses, trainer->losses, bytes_of_losses(trainer));
	AUR_TRY(trainer->comm->ops->settle(trainer->comm));
	return backend->ops->download(backend, room->losses, trainer->losses, bytes_of_losses(trainer));
}

/* Behind the step's work on the stream of operations, so that the next step cannot overwrite what is copied; the room's
 * own stream is done when the copies are, whatever is asked for after them. */
static aur_status copy_later(struct aur_trainer *trainer, struct aur_step_room *room)
{
	struct aur_backend *backend = trainer->backend;
	const struct aur_backend_streams *streams = backend->streams;
	AUR_TRY(streams->copy(backend, NULL, room->state, trainer->state, sizeof *room->state));
	AUR_TRY(streams->note_fault(backend, room->fault));
	return streams->order(backend, NULL, room->stream);
}

static aur_status copy_now(struct aur_trainer *trainer, struct aur_step_room *room)
{
	struct aur_backend *backend = trainer->backend;
	AUR_TRY(trainer->comm->ops->settle(trainer->comm));
	return backend->ops->download(backend, room->state, trainer->state, sizeof *room->state);
}

aur_status aur_results_queue(struct aur_trainer *trainer, const struct aur_trainer_times *times)
{
	struct aur_step_room *room = room_at_work(trainer);
	AUR_TRY(aur_results_come_later(trainer) ? copy_later(trainer, room) : copy_now(trainer, room));
	room->step = trainer->step + 1;
	room->times = *times;
	return AUR_OK;
}

/* Without a spinning core: work is queued behind what is waited for, so a moment more costs nothing. */
static aur_status wait_for_stream(struct aur_trainer *trainer, const struct aur_step_room *room)
{
	const struct timespec nap = {.tv_nsec = 20000};
	struct aur_backend *backend = trainer->backend;
	struct aur_comm *comm = trainer->comm;
	int done = 0;
	if (comm->ops->await)
		return comm->ops->await(comm, room->computed, room->stream);
	for (;;) {
		AUR_TRY(backend->streams->poll(backend, room->stream, &done));
		if (done)
			return AUR_OK;
		nanosleep(&nap, NULL);
	}
}

/* Behind the newest step there is no work: all is waited for. Where nothing can be lost on its way between ranks,
 * synchronise() is there sooner than a look now and then. */
static aur_status wait_for_all(struct aur_trainer *trainer, const struct aur_step_room *room)
{
	const struct aur_comm_ops *comm = trainer->comm->ops;
	if (comm->await)
		trainer->lost = wait_for_stream(trainer, room);
	AUR_TRY(trainer->lost);
	trainer->lost = comm->settle(trainer->comm);
	AUR_TRY(trainer->lost);
	const aur_status status = trainer->backend->ops->synchronise(trainer->backend);
	if (status != AUR_INPUT)
		trainer->lost = status;
	return status;
}

/* AUR_INPUT: all came, and this rank's operations met a number that they could not use. */
static aur_status wait_for(struct aur_trainer *trainer, const struct aur_step_room *room, int all)
{
	struct aur_backend *backend = trainer->backend;
	if (!aur_results_come_later(trainer))
		return AUR_OK;
	if (all)
		return wait_for_all(trainer, room);
	trainer->lost = wait_for_stream(trainer, room);
	AUR_TRY(trainer->lost);
	return backend->streams->judge_fault(backend, *room->fault);
}

/* All ranks saw the same norm, so they count alike and leave together. */
static void count(struct aur_trainer *trainer, const struct aur_step_room *room)
{
	trainer->updates = room->state->updates;
	trainer->skipped += room->state->skip;
	if (room->state->skipped_in_a_row >= AUR_SKIPS_ALLOWED && trainer->diverged_at == 0)
		trainer->diverged_at = room->step;
}

/* Losses travel one number a sequence and are added in order, so that the sum does not know the ranks. */
static double loss_of(const struct aur_trainer *trainer, const struct aur_step_room *room)
{
	const struct aur_config *config = trainer->config;
	double sum = 0;
	for (int64_t i = 0; i < config->train.batch_size; i++)
		sum += room->losses[i];
	return sum / (double)(config->train.batch_size * config->model.block_size);
}

static void keep(struct aur_trainer *trainer, const struct aur_step_room *room)
{
	const double now = aur_clock_s();
	struct aur_step_result *result = &trainer->results.of[trainer->results.count++];
	*result = (struct aur_step_result){
		.step = room->step,
		.loss = loss_of(trainer, room),
		.grad_norm = room->state->norm,
		.learning_rate = room->state->learning_rate,
		.skipped = room->state->skip,
		.times = room->times,
	};
	result->times.step_s = now - trainer->taken_s;
	trainer->taken_s = now;
}

/* What one rank alone found wrong does not keep it from counting as the others do. */
static aur_status take(struct aur_trainer *trainer, struct aur_step_room *room, int all)
{
	const aur_status status = wait_for(trainer, room, all);
	if (trainer->lost == AUR_OK) {
		keep(trainer, room);
		count(trainer, room);
	}
	room->step = 0;
	return status;
}

aur_status aur_results_take(struct aur_trainer *trainer, int64_t before, int all)
{
	aur_status status = AUR_OK;
	for (int64_t step = trainer->step + 1 - AUR_STEP_ROOMS; step < before && trainer->lost == AUR_OK; step++) {
		struct aur_step_room *room = step > 0 ? room_of(trainer, step) : NULL;
		const aur_status taken =
			room && room->step == step ? take(trainer, room, all && step == trainer->step) : AUR_OK;
		status = status == AUR_OK || trainer->lost != AUR_OK ? taken : status;
	}
	return status;
}
