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

/* A launch's status is 0 or CUDA's error. */
static inline int aur_cuda_check(cudaError_t error, const char *who)
{
	(void)who;
	return static_cast<int>(error);
}

static inline void *device_memory(size_t bytes)
{
	void *memory = nullptr;
	if (cudaMalloc(&memory, bytes) != cudaSuccess)
		fail_msg("no device memory for %zu bytes", bytes);
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

/* Between tests: a failed device works again. */
static inline int device_forget(void **state)
{
	(void)state;
	return cudaDeviceReset() != cudaSuccess;
}

/* A launch that failed, with this in the emulator's text. */
static inline void device_assert_failed(int status, cudaError_t error, const char *text)
{
	assert_int_equal(status, error);
	if (!strstr(aur_emulator_message(), text))
		fail_msg("`%s` does not say `%s`", aur_emulator_message(), text);
}

#endif
