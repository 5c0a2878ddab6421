#include "emulator/warp.h"
#include "fiber.h"
#include "internal.h"

#include <algorithm>
#include <numeric>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <string>
#include <vector>

/* The threads of one block. One warp runs as far as it can before the next has its turn, and so does each lane, in the
 * order of the schedule: what is not held back by a barrier runs as far apart as it may on a device. A turn passes from
 * fiber to fiber directly; a thread that ends without waiting leaves its fiber to the next one. */

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

enum state { THREAD_NEW, THREAD_READY, THREAD_AT_BARRIER, THREAD_AT_MEETING, THREAD_RETURNED };

struct meeting {
	const char *name;
	unsigned mask;
	aur_emulator_settle settle;
	void *mine;
};

struct thread {
	enum state state;
	int warp, lane;
	uint3 index;
	struct fiber *fiber;
	struct aur_emulator_place place; /* where it waits */
	struct meeting meeting;
};

struct warp {
	struct thread *lanes[AUR_WARP]; /* NULL beyond the block's size */
	uint8_t lane_at[AUR_WARP];      /* the schedule: which lane has which turn */
	uint8_t turn_of[AUR_WARP];
	unsigned ready;             /* by turn */
	unsigned returned, meeting; /* by lane */
};

static struct {
	const struct aur_emulator_launch *launch;
	enum schedule schedule;
	std::vector<struct thread> threads;
	std::vector<struct warp> warps;
	std::vector<int> warp_at; /* turn to warp */
	std::vector<int> turn_of_warp;
	uint32_t ready; /* by turn of the warp */
	int live, at_barrier;
	enum aur_emulator_barrier_kind barrier_kind;
	struct aur_emulator_place barrier_place;
	int barrier_count, barrier_result;
	struct thread *current;
	struct fiber *main;
	std::vector<struct fiber *> idle, all;
	cudaError_t error;
} block;

int grid_is_running(void)
{
	return block.current != nullptr;
}

void grid_describe(char *text, size_t bytes)
{
	const struct thread *thread = block.current;
	if (!block.launch)
		return;
	int n = snprintf(text, bytes, "kernel %s, schedule %s, block (%u,%u,%u)", block.launch->name,
		schedule_name(block.schedule), blockIdx.x, blockIdx.y, blockIdx.z);
	if (thread && n > 0 && static_cast<size_t>(n) < bytes)
		snprintf(text + n, bytes - static_cast<size_t>(n), ", thread (%u,%u,%u)", thread->index.x, thread->index.y,
			thread->index.z);
}

void grid_forget(void)
{
	block.launch = nullptr;
}

void grid_abandon(cudaError_t error)
{
	struct fiber *self = block.current->fiber;
	block.error = error;
	block.current = nullptr;
	for (;;)
		fiber_switch(self, block.main);
}

void aur_emulator_fail(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	message_set_list(format, list);
	va_end(list);
	grid_abandon(cudaErrorLaunchFailure);
}

int aur_emulator_lane(void)
{
	return block.current->lane;
}

size_t grid_thread(void)
{
	return static_cast<size_t>(block.current - block.threads.data());
}

unsigned aur_emulator_live_lanes(void)
{
	return ~block.warps[static_cast<size_t>(block.current->warp)].returned;
}

static void make_ready(struct thread *thread)
{
	struct warp *warp = &block.warps[static_cast<size_t>(thread->warp)];
	if (thread->state != THREAD_NEW)
		thread->state = THREAD_READY;
	warp->ready |= 1u << warp->turn_of[thread->lane];
	block.ready |= 1u << block.turn_of_warp[static_cast<size_t>(thread->warp)];
}

static void order_lanes(struct warp *warp)
{
	for (int i = 0; i < AUR_WARP; i++)
		warp->lane_at[i] = static_cast<uint8_t>(block.schedule == SCHEDULE_DESCENDING ? AUR_WARP - 1 - i : i);
	if (block.schedule == SCHEDULE_SHUFFLED)
		for (uint32_t i = AUR_WARP - 1; i > 0; i--)
			std::swap(warp->lane_at[i], warp->lane_at[grid_random() % (i + 1)]);
	for (int i = 0; i < AUR_WARP; i++)
		warp->turn_of[warp->lane_at[i]] = static_cast<uint8_t>(i);
}

/* Only while no thread is ready, since that is kept by turn. */
static void order_all(void)
{
	const int n = static_cast<int>(block.warps.size());
	for (int i = 0; i < n; i++)
		block.warp_at[static_cast<size_t>(i)] = block.schedule == SCHEDULE_DESCENDING ? n - 1 - i : i;
	if (block.schedule == SCHEDULE_SHUFFLED)
		for (uint32_t i = static_cast<uint32_t>(n) - 1; i > 0; i--)
			std::swap(block.warp_at[i], block.warp_at[grid_random() % (i + 1)]);
	for (int i = 0; i < n; i++)
		block.turn_of_warp[static_cast<size_t>(block.warp_at[static_cast<size_t>(i)])] = i;
	for (struct warp &warp : block.warps)
		order_lanes(&warp);
}

static struct thread *take_turn(void)
{
	if (!block.ready)
		return nullptr;
	const int turn = __builtin_ctz(block.ready);
	struct warp *warp = &block.warps[static_cast<size_t>(block.warp_at[static_cast<size_t>(turn)])];
	const int lane = warp->lane_at[__builtin_ctz(warp->ready)];
	warp->ready &= warp->ready - 1;
	if (!warp->ready)
		block.ready &= ~(1u << turn);
	return warp->lanes[lane];
}

/* The thread that will be next has its stack on the way while this one computes: hundreds of stacks do not stay in the
 * processor's first cache, and a switch is little more than the wait for it. */
static void fetch_next(void)
{
	if (!block.ready)
		return;
	const struct warp *warp =
		&block.warps[static_cast<size_t>(block.warp_at[static_cast<size_t>(__builtin_ctz(block.ready))])];
	const struct thread *next = warp->lanes[warp->lane_at[__builtin_ctz(warp->ready)]];
	if (next->fiber)
		fiber_fetch(next->fiber);
}

static void run_threads(void);

/* As many as the block has threads, which may all wait at once. */
static int make_fibers(size_t n)
{
	while (block.all.size() < n) {
		struct fiber *made = fiber_create(run_threads);
		if (!made) {
			message_set("no memory for the stacks of %zu threads", n);
			return 0;
		}
		block.all.push_back(made);
		block.idle.push_back(made);
	}
	return 1;
}

static struct fiber *fiber_of(struct thread *thread)
{
	if (!thread->fiber) {
		thread->fiber = block.idle.back();
		block.idle.pop_back();
	}
	return thread->fiber;
}

/* Lets the next thread have its turn, the own one again perhaps. `self` is the fiber that runs now. */
static void pass_turn(struct fiber *self)
{
	struct thread *next = take_turn();
	struct fiber *to = next ? fiber_of(next) : block.main;
	block.current = next;
	if (next) {
		threadIdx = next->index;
		next->state = THREAD_READY;
		fetch_next();
	}
	if (to != self)
		fiber_switch(self, to);
}

static void open_barrier(void)
{
	block.barrier_result = block.barrier_count;
	block.at_barrier = 0;
	block.barrier_count = 0;
	order_all();
	for (struct thread &thread : block.threads)
		if (thread.state == THREAD_AT_BARRIER)
			make_ready(&thread);
}

static int same_place(struct aur_emulator_place a, struct aur_emulator_place b)
{
	return a.line == b.line && (a.file == b.file || strcmp(a.file, b.file) == 0);
}

int aur_emulator_barrier(enum aur_emulator_barrier_kind kind, int predicate, struct aur_emulator_place place)
{
	struct thread *self = block.current;
	if (block.at_barrier == 0) {
		block.barrier_kind = kind;
		block.barrier_place = place;
	} else if (kind != block.barrier_kind || !same_place(place, block.barrier_place)) {
		aur_emulator_fail("it waits at the barrier of %s:%d while others of its block wait at that of %s:%d",
			place.file, place.line, block.barrier_place.file, block.barrier_place.line);
	}
	self->state = THREAD_AT_BARRIER;
	self->place = place;
	block.barrier_count += predicate != 0;
	if (++block.at_barrier == block.live)
		open_barrier();
	pass_turn(self->fiber);
	return block.barrier_result;
}

static int same_meeting(const struct meeting *a, const struct meeting *b)
{
	return a->mask == b->mask && a->settle == b->settle && (a->name == b->name || strcmp(a->name, b->name) == 0);
}

/* Settles the meeting in which this thread waits when all lanes of its mask are there. */
static void settle_if_complete(struct warp *warp, const struct meeting *meeting)
{
	const unsigned needed = meeting->mask & ~warp->returned;
	if ((warp->meeting & needed) != needed)
		return;
	void *mine[AUR_WARP];
	for (int i = 0; i < AUR_WARP; i++) {
		mine[i] = nullptr;
		if (!(needed >> i & 1u))
			continue;
		const struct meeting *other = &warp->lanes[i]->meeting;
		if (!same_meeting(other, meeting))
			return;
		mine[i] = other->mine;
	}
	meeting->settle(mine);
	warp->meeting &= ~needed;
	for (int i = 0; i < AUR_WARP; i++)
		if (needed >> i & 1u)
			make_ready(warp->lanes[i]);
}

void aur_emulator_meet(
	const char *name, unsigned mask, aur_emulator_settle settle, void *mine, struct aur_emulator_place place)
{
	struct thread *self = block.current;
	struct warp *warp = &block.warps[static_cast<size_t>(self->warp)];
	if (!(mask >> self->lane & 1u))
		aur_emulator_fail(
			"%s at %s:%d: its mask %08x leaves out the own lane %d", name, place.file, place.line, mask, self->lane);
	self->state = THREAD_AT_MEETING;
	self->place = place;
	self->meeting = {name, mask, settle, mine};
	warp->meeting |= 1u << self->lane;
	settle_if_complete(warp, &self->meeting);
	pass_turn(self->fiber);
}

/* Those who wait for a thread that has returned wait no longer, as on a device since Volta. */
static void leave_block(struct thread *self)
{
	struct warp *warp = &block.warps[static_cast<size_t>(self->warp)];
	self->state = THREAD_RETURNED;
	warp->returned |= 1u << self->lane;
	block.live--;
	for (unsigned waiting = warp->meeting; waiting; waiting &= waiting - 1)
		settle_if_complete(warp, &warp->lanes[__builtin_ctz(waiting)]->meeting);
	if (block.live > 0 && block.at_barrier == block.live)
		open_barrier();
}

/* What every fiber does: the thread whose turn it is, and then the next that has no fiber yet. */
static void run_threads(void)
{
	for (;;) {
		struct thread *self = block.current;
		struct fiber *fiber = self->fiber;
		block.launch->run(block.launch->arguments);
		leave_block(self);
		self->fiber = nullptr;
		block.idle.push_back(fiber);
		pass_turn(fiber);
	}
}

static void prepare_threads(void)
{
	const dim3 size = block.launch->block;
	const size_t n = static_cast<size_t>(size.x) * size.y * size.z;
	const size_t warps = (n + AUR_WARP - 1) / AUR_WARP;
	block.threads.assign(n, {});
	block.warps.assign(warps, {});
	block.warp_at.resize(warps);
	block.turn_of_warp.resize(warps);
	order_all();
	for (struct warp &warp : block.warps)
		warp.returned = ~0u;
	for (size_t i = 0; i < n; i++) {
		struct thread *thread = &block.threads[i];
		const unsigned at = static_cast<unsigned>(i);
		thread->warp = static_cast<int>(i / AUR_WARP);
		thread->lane = static_cast<int>(i % AUR_WARP);
		thread->index = {at % size.x, at / size.x % size.y, at / size.x / size.y};
		block.warps[i / AUR_WARP].lanes[thread->lane] = thread;
		block.warps[i / AUR_WARP].returned &= ~(1u << thread->lane);
		make_ready(thread);
	}
	block.live = static_cast<int>(n);
	block.at_barrier = block.barrier_count = 0;
}

/* "8 threads at __shfl_xor_sync of a.cu:12 (first: thread (0,0,0))", for each place where some wait. */
static std::string list_waiting(void)
{
	std::string text;
	for (size_t i = 0; i < block.threads.size(); i++) {
		const struct thread *first = &block.threads[i];
		const bool counted = std::any_of(
			block.threads.begin(), block.threads.begin() + static_cast<long>(i), [first](const struct thread &other) {
				return other.state == first->state && same_place(other.place, first->place);
			});
		if (counted || first->state == THREAD_RETURNED || !first->place.file)
			continue;
		const long waiting =
			std::count_if(block.threads.begin(), block.threads.end(), [first](const struct thread &other) {
				return other.state == first->state && same_place(other.place, first->place);
			});
		char part[512];
		snprintf(part, sizeof part, "%s%ld of %zu threads wait at the %s of %s:%d, the first is (%u,%u,%u)",
			text.empty() ? "" : "; ", waiting, block.threads.size(),
			first->state == THREAD_AT_BARRIER ? "barrier" : first->meeting.name, first->place.file, first->place.line,
			first->index.x, first->index.y, first->index.z);
		text += part;
	}
	return text;
}

static void reset_fibers(void)
{
	for (struct fiber *fiber : block.all)
		fiber_reset(fiber);
	block.idle = block.all;
	block.ready = 0;
	block.current = nullptr;
}

cudaError_t block_run(const struct aur_emulator_launch *launch, enum schedule schedule)
{
	block.launch = launch;
	block.schedule = schedule;
	block.error = cudaSuccess;
	block.ready = 0;
	block.main = fiber_main();
	if (!make_fibers(static_cast<size_t>(launch->block.x) * launch->block.y * launch->block.z))
		return cudaErrorLaunchFailure;
	prepare_threads();
	copies_begin(block.threads.size());
	shared_begin(launch->shared_bytes);
	pass_turn(block.main);
	if (block.error == cudaSuccess && block.live > 0) {
		message_set("threads wait for ever: %s", list_waiting().c_str());
		block.error = cudaErrorLaunchFailure;
	}
	if (block.error != cudaSuccess)
		reset_fibers();
	else if (!shared_check())
		block.error = cudaErrorLaunchFailure;
	return block.error;
}

void aur_emulator_settle_sync(void *const lanes[AUR_WARP])
{
	(void)lanes;
}

void aur_emulator_settle_shuffle(void *const lanes[AUR_WARP])
{
	for (int i = 0; i < AUR_WARP; i++) {
		struct aur_emulator_shuffle *mine = static_cast<struct aur_emulator_shuffle *>(lanes[i]);
		if (!mine)
			continue;
		const struct aur_emulator_shuffle *from =
			static_cast<const struct aur_emulator_shuffle *>(lanes[mine->source & (AUR_WARP - 1)]);
		if (!from)
			aur_emulator_fail("a shuffle lets lane %d read lane %d, which takes no part in it", i, mine->source);
		mine->result = from->value;
	}
}

void aur_emulator_settle_ballot(void *const lanes[AUR_WARP])
{
	uint64_t votes = 0;
	for (int i = 0; i < AUR_WARP; i++)
		if (lanes[i] && static_cast<const struct aur_emulator_vote *>(lanes[i])->value)
			votes |= uint64_t(1) << i;
	for (int i = 0; i < AUR_WARP; i++)
		if (lanes[i])
			static_cast<struct aur_emulator_vote *>(lanes[i])->result = votes;
}

void aur_emulator_settle_match(void *const lanes[AUR_WARP])
{
	for (int i = 0; i < AUR_WARP; i++) {
		struct aur_emulator_vote *mine = static_cast<struct aur_emulator_vote *>(lanes[i]);
		for (int j = 0; mine && j < AUR_WARP; j++) {
			const struct aur_emulator_vote *other = static_cast<const struct aur_emulator_vote *>(lanes[j]);
			if (other && other->value == mine->value)
				mine->result |= uint64_t(1) << j;
		}
	}
}
