#include "internal.h"

#include <map>
#include <numeric>
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

int grid_run(const struct aur_emulator_launch *launch, enum schedule schedule)
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
		if (!block_run(launch, schedule))
			return 0;
	}
	return 1;
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
	if (launch->shared_bytes > limit && launch->shared_bytes > SHARED_STATIC_LIMIT)
		return cudaErrorInvalidValue;
	return cudaSuccess;
}

void aur_emulator_run(const struct aur_emulator_launch *launch)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	if (error_sticky() != cudaSuccess) {
		error_set(error_sticky());
		return;
	}
	const cudaError_t refused = check_launch(launch);
	if (refused != cudaSuccess) {
		error_set(refused);
		return;
	}
	if (!grid_run(launch, SCHEDULE_ASCENDING))
		error_set_sticky(cudaErrorLaunchFailure);
}
