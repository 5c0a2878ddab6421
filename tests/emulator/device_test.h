#ifndef AUR_EMULATOR_DEVICE_TEST_H
#define AUR_EMULATOR_DEVICE_TEST_H

/* For the tests of the emulator: kernels are launched as the backend does it, with the words of cuda/launch.cuh. */

#include <setjmp.h> /* cmocka.h needs the first four */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

extern "C" {
#include <cmocka.h>
}
#include <stdlib.h>
#include <string.h>

#include "launch.cuh"

#include <vector>

/* A launch's status is 0 or CUDA's error. */
static inline int aur_cuda_check(cudaError_t error, const char *who)
{
	(void)who;
	return static_cast<int>(error);
}

static inline std::vector<void *> &device_allocations(void)
{
	static std::vector<void *> all;
	return all;
}

static inline void *device_memory(size_t bytes)
{
	void *memory = nullptr;
	if (cudaMalloc(&memory, bytes) != cudaSuccess)
		fail_msg("no device memory for %zu bytes", bytes);
	device_allocations().push_back(memory);
	return memory;
}

/* 0, 1, 2, ... in device memory. */
static inline float *device_floats(int n)
{
	float *memory = static_cast<float *>(device_memory(static_cast<size_t>(n) * sizeof(float)));
	for (int i = 0; i < n; i++)
		memory[i] = static_cast<float>(i);
	return memory;
}

static inline float device_read(const float *memory, int i)
{
	float value = 0;
	assert_int_equal(cudaMemcpy(&value, memory + i, sizeof value, cudaMemcpyDeviceToHost), cudaSuccess);
	return value;
}

static inline int device_forget(void **state)
{
	(void)state;
	for (void *memory : device_allocations())
		cudaFree(memory);
	device_allocations().clear();
	return 0;
}

#endif
