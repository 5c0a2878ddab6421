#include "internal.h"

#include <algorithm>
#include <map>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vector>

/* A launch: what CUDA refuses is refused, then the grid runs. */

static uint32_t random_state = 1;

uint32_t grid_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

const char *schedule_name(enum schedule schedule)
{
	static const char *const names[SCHEDULES] = {"ascending", "descending", "shuffled"};
	return names[schedule];
}

static std::vector<uint64_t> order_blocks(uint64_t blocks, enum schedule schedule)
{
	std::vector<uint64_t> order(blocks);
	for (uint64_t i = 0; i < blocks; i++)
		order[i] = schedule == SCHEDULE_DESCENDING ? blocks - 1 - i : i;
	if (schedule == SCHEDULE_SHUFFLED)
		for (uint64_t i = blocks - 1; i > 0; i--)
			std::swap(order[i], order[grid_random() % (i + 1)]);
	return order;
}

cudaError_t grid_run(const struct aur_emulator_launch *launch, enum schedule schedule)
{
	extern uint3 blockIdx;
	extern dim3 blockDim, gridDim;
	const dim3 grid = launch->grid;
	random_state = 0x9e3779b9u;
	blockDim = launch->block;
	gridDim = grid;
	for (const uint64_t i : order_blocks(uint64_t(grid.x) * grid.y * grid.z, schedule)) {
		blockIdx = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
			static_cast<unsigned>(i / grid.x / grid.y)};
		const cudaError_t error = block_run(launch, schedule);
		if (error != cudaSuccess)
			return error;
	}
	return cudaSuccess;
}

/* Dynamic shared memory that a kernel asked for, beyond what every kernel may have. */
static std::map<const void *, size_t> &dynamic_limits(void)
{
	static std::map<const void *, size_t> limits;
	return limits;
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attribute, int value)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
		return error_set(cudaSuccess);
	if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > SHARED_LIMIT)
		return error_set(cudaErrorInvalidValue);
	dynamic_limits()[function] = static_cast<size_t>(value);
	return error_set(cudaSuccess);
}

static cudaError_t check_launch(const struct aur_emulator_launch *launch)
{
	enum { MOST_THREADS = 1024, MOST_DEEP = 64, MOST_HIGH = 65535, MOST_WIDE = 2147483647 };
	const dim3 grid = launch->grid, size = launch->block;
	const uint64_t threads = uint64_t(size.x) * size.y * size.z;
	if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > MOST_WIDE || grid.y > MOST_HIGH || grid.z > MOST_HIGH)
		return cudaErrorInvalidConfiguration;
	if (threads == 0 || threads > MOST_THREADS || size.z > MOST_DEEP)
		return cudaErrorInvalidConfiguration;
	const auto asked = dynamic_limits().find(launch->function);
	const size_t limit = asked == dynamic_limits().end() ? size_t(SHARED_STATIC_LIMIT) : asked->second;
	if (launch->shared_bytes > std::max<size_t>(limit, SHARED_STATIC_LIMIT))
		return cudaErrorInvalidValue;
	return stream_is_known(launch->stream) ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

/* AURELIUS_EMULATOR_SCHEDULES: 3, or 1, which then changes from launch to launch. */
static int count_schedules(void)
{
	const char *set = getenv("AURELIUS_EMULATOR_SCHEDULES");
	return set && strcmp(set, "1") == 0 ? 1 : SCHEDULES;
}

static cudaError_t run_all_schedules(const struct aur_emulator_launch *launch)
{
	for (int i = 0; i < SCHEDULES; i++) {
		const enum schedule schedule = static_cast<enum schedule>(i);
		if (i > 0)
			tracking_restore();
		const cudaError_t error = grid_run(launch, schedule);
		if (error != cudaSuccess)
			return error;
		if (i == 0)
			tracking_keep_first();
		else if (!tracking_agrees(schedule))
			return cudaErrorLaunchFailure;
	}
	return cudaSuccess;
}

static cudaError_t run_schedules(const struct aur_emulator_launch *launch)
{
	static int turn;
	tracking_catch_faults();
	cudaError_t error;
	if (count_schedules() == 1) {
		error = grid_run(launch, static_cast<enum schedule>(turn++ % SCHEDULES));
	} else {
		tracking_begin(launch);
		error = run_all_schedules(launch);
		tracking_end();
		tracking_forget();
	}
	tracking_release_faults();
	if (error == cudaSuccess && !memory_check_guards())
		error = cudaErrorLaunchFailure;
	grid_forget();
	return error;
}

static void trace(const struct aur_emulator_launch *launch)
{
	static int count;
	const char *set = getenv("AURELIUS_EMULATOR_TRACE");
	const dim3 grid = launch->grid, size = launch->block;
	count++;
	if (set && *set == '1')
		fprintf(stderr, "emulator: launch %d: %s, grid (%u,%u,%u), block (%u,%u,%u), %zu bytes of shared memory\n",
			count, launch->name, grid.x, grid.y, grid.z, size.x, size.y, size.z, launch->shared_bytes);
}

/* The first number of the first argument, of 8 bytes. */
static void spoil(const struct aur_emulator_launch *launch)
{
	const double nan = NAN;
	if (launch->first && inject_spoilt(launch->name))
		(void)memory_copy(const_cast<void *>(launch->first), &nan, sizeof nan, cudaMemcpyHostToDevice);
}

static void run_grid(const struct aur_emulator_launch *launch)
{
	trace(launch);
	spoil(launch);
	stream_spend(0.01);
	const cudaError_t error = inject_failure("kernel") ? cudaErrorIllegalAddress : run_schedules(launch);
	if (error != cudaSuccess)
		error_set_sticky(error);
}

/* The arguments are copied: a launch that is recorded outlives its call. */
static int is_recorded(const struct aur_emulator_launch *launch)
{
	const char *first = static_cast<const char *>(launch->arguments);
	const std::vector<char> arguments(first, first + launch->arguments_bytes);
	const struct aur_emulator_launch kept = *launch;
	return graph_records(launch->stream, [kept, arguments] {
		struct aur_emulator_launch again = kept;
		again.arguments = arguments.data();
		run_grid(&again);
	});
}

void aur_emulator_run(const struct aur_emulator_launch *launch)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const cudaError_t refused = check_launch(launch);
	if (error_sticky() != cudaSuccess || refused != cudaSuccess) {
		error_set(refused);
		return;
	}
	if (graph_is_recorded(launch->stream) && is_recorded(launch))
		return;
	stream_ask(launch->stream);
	run_grid(launch);
}
