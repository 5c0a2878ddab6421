#include "device_test.h"

/* The calls of CUDA's runtime: what they refuse, what they count, how they fail when they are told to. */

static void copies_must_fit_their_direction(void **state)
{
	(void)state;
	float host[8] = {1, 2, 3, 4, 5, 6, 7, 8}, *device = device_floats(8);
	const size_t bytes = sizeof host;
	assert_int_equal(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), cudaSuccess);
	assert_int_equal(cudaMemcpy(host, device, bytes, cudaMemcpyDefault), cudaSuccess);
	assert_int_equal(cudaMemcpy(host, device, bytes, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpy(host, device, bytes, cudaMemcpyHostToHost), cudaErrorInvalidValue);
	assert_int_equal(cudaMemset(host, 0, bytes), cudaErrorInvalidValue);
	assert_int_equal(cudaGetLastError(), cudaErrorInvalidValue);
	assert_int_equal(cudaGetLastError(), cudaSuccess);
}

static void copies_must_lie_within_an_allocation(void **state)
{
	(void)state;
	float host[9] = {0}, *device = device_floats(8);
	assert_int_equal(cudaMemcpy(device, host, sizeof host, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	assert_int_equal(cudaMemset(device + 4, 0, 5 * sizeof *device), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpy(device + 8, host, 0, cudaMemcpyHostToDevice), cudaSuccess);
}

static void freed_memory_is_known_no_more(void **state)
{
	(void)state;
	float host = 0, *device = device_floats(1);
	assert_int_equal(cudaFree(device), cudaSuccess);
	assert_int_equal(cudaFree(device), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpy(&host, device, sizeof host, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
	assert_int_equal(cudaFree(nullptr), cudaSuccess);
}

static void memory_has_an_end(void **state)
{
	(void)state;
	void *first = nullptr, *second = nullptr;
	size_t available = 0, total = 0;
	setenv("AURELIUS_EMULATOR_MEMORY_MB", "3", 1);
	assert_int_equal(cudaMalloc(&first, 2 << 20), cudaSuccess);
	assert_int_equal(cudaMalloc(&second, 2 << 20), cudaErrorMemoryAllocation);
	assert_null(second);
	assert_int_equal(cudaMemGetInfo(&available, &total), cudaSuccess);
	assert_int_equal(total, 3 << 20);
	assert_int_equal(available, 1 << 20);
	assert_int_equal(cudaFree(first), cudaSuccess);
	assert_int_equal(cudaMalloc(&second, 2 << 20), cudaSuccess);
	unsetenv("AURELIUS_EMULATOR_MEMORY_MB");
}

static void an_asked_allocation_fails(void **state)
{
	(void)state;
	void *memory = nullptr;
	setenv("AURELIUS_EMULATOR_FAIL", "malloc:1", 1); /* of this process: this test is the first that allocates */
	assert_int_equal(cudaMalloc(&memory, 100), cudaErrorMemoryAllocation);
	assert_int_equal(cudaMalloc(&memory, 100), cudaSuccess);
	unsetenv("AURELIUS_EMULATOR_FAIL");
	cudaGetLastError();
}

AUR_KERNEL(1024) do_nothing(float *x)
{
	AUR_SHARED_DYNAMIC(float, memory);
	memory[0] = x[0];
}

AUR_KERNEL(32) declare_too_much(float *x)
{
	AUR_SHARED(float, first, 8 << 10);
	AUR_SHARED(float, second, 8 << 10);
	first[0] = second[0] = x[0];
}

static void launches_that_no_device_takes_are_refused(void **state)
{
	(void)state;
	float *x = device_floats(1);
	const int64_t wide = int64_t(1) << 33;
	assert_int_equal(AUR_LAUNCH("fits", do_nothing, 1, 1024, 4, 0, x), cudaSuccess);
	assert_int_equal(AUR_LAUNCH("threads", do_nothing, 1, 1025, 4, 0, x), cudaErrorInvalidConfiguration);
	assert_int_equal(AUR_LAUNCH("grid", do_nothing, 0, 1, 4, 0, x), cudaErrorInvalidConfiguration);
	assert_int_equal(AUR_LAUNCH("wide", do_nothing, wide, 1, 4, 0, x), cudaErrorInvalidConfiguration);
	assert_int_equal(AUR_LAUNCH("high", do_nothing, dim3(1, 65536), 1, 4, 0, x), cudaErrorInvalidConfiguration);
	assert_int_equal(AUR_LAUNCH("deep", do_nothing, 1, dim3(1, 1, 65), 4, 0, x), cudaErrorInvalidConfiguration);
}

/* More than 48 KB has to be asked for, and there are 227. */
static void dynamic_shared_memory_has_to_be_asked_for(void **state)
{
	(void)state;
	float *x = device_floats(1);
	const enum cudaFuncAttribute most = cudaFuncAttributeMaxDynamicSharedMemorySize;
	assert_int_equal(AUR_LAUNCH("small", do_nothing, 1, 1, 48 << 10, 0, x), cudaSuccess);
	assert_int_equal(AUR_LAUNCH("not asked", do_nothing, 1, 1, 64 << 10, 0, x), cudaErrorInvalidValue);
	assert_int_equal(cudaFuncSetAttribute(do_nothing, most, 64 << 10), cudaSuccess);
	assert_int_equal(AUR_LAUNCH("asked", do_nothing, 1, 1, 64 << 10, 0, x), cudaSuccess);
	assert_int_equal(AUR_LAUNCH("more", do_nothing, 1, 1, 65 << 10, 0, x), cudaErrorInvalidValue);
	assert_int_equal(cudaFuncSetAttribute(do_nothing, most, 228 << 10), cudaErrorInvalidValue);
	cudaGetLastError();
}

static void arrays_of_more_than_48_kb_are_refused(void **state)
{
	(void)state;
	const int status = AUR_LAUNCH("arrays", declare_too_much, 1, 1, 0, 0, device_floats(1));
	device_assert_failed(status, cudaErrorLaunchFailure, "are more than a block has");
}

static void streams_and_events_are_checked(void **state)
{
	(void)state;
	cudaStream_t stream = nullptr, never = reinterpret_cast<cudaStream_t>(&stream);
	cudaEvent_t first = nullptr, second = nullptr;
	float *x = device_floats(1), ms = -1;
	assert_int_equal(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
	assert_int_equal(cudaEventCreate(&first), cudaSuccess);
	assert_int_equal(cudaEventCreate(&second), cudaSuccess);
	assert_int_equal(cudaEventElapsedTime(&ms, first, second), cudaErrorInvalidResourceHandle);
	assert_int_equal(cudaEventRecord(first, stream), cudaSuccess);
	assert_int_equal(cudaMemsetAsync(x, 0, sizeof *x, stream), cudaSuccess);
	assert_int_equal(cudaStreamWaitEvent(nullptr, first, 0), cudaSuccess);
	assert_int_equal(cudaEventRecord(second, stream), cudaSuccess);
	assert_int_equal(cudaEventElapsedTime(&ms, first, second), cudaSuccess);
	assert_true(ms >= 0);
	setenv("AURELIUS_EMULATOR_BUSY", "1", 1);
	assert_int_equal(cudaStreamQuery(stream), cudaErrorNotReady);
	assert_int_equal(cudaGetLastError(), cudaErrorNotReady);
	assert_int_equal(cudaEventQuery(second), cudaSuccess);
	unsetenv("AURELIUS_EMULATOR_BUSY");
	assert_int_equal(cudaMemsetAsync(x, 0, sizeof *x, never), cudaErrorInvalidResourceHandle);
	assert_int_equal(cudaStreamDestroy(stream), cudaSuccess);
	assert_int_equal(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
	assert_int_equal(AUR_LAUNCH("gone", do_nothing, 1, 1, 4, stream, x), cudaErrorInvalidResourceHandle);
	cudaEventDestroy(first);
	cudaEventDestroy(second);
}

static void devices_are_as_many_as_are_asked_for(void **state)
{
	(void)state;
	int count = 0;
	setenv("AURELIUS_EMULATOR_DEVICES", "3", 1);
	assert_int_equal(cudaGetDeviceCount(&count), cudaSuccess);
	assert_int_equal(count, 3);
	assert_int_equal(cudaSetDevice(3), cudaErrorInvalidDevice);
	assert_int_equal(cudaSetDevice(0), cudaSuccess);
	setenv("AURELIUS_EMULATOR_DEVICES", "0", 1);
	assert_int_equal(cudaGetDeviceCount(&count), cudaErrorNoDevice);
	unsetenv("AURELIUS_EMULATOR_DEVICES");
	cudaGetLastError();
}

/* With one schedule a launch that depends on the order goes unseen: the other two are what finds it. */
AUR_KERNEL(32) last_writes(float *x)
{
	x[0] = static_cast<float>(threadIdx.x);
}

static void one_schedule_changes_from_launch_to_launch(void **state)
{
	(void)state;
	float *x = device_floats(1), seen[3];
	setenv("AURELIUS_EMULATOR_SCHEDULES", "1", 1);
	for (float &value : seen) {
		assert_int_equal(AUR_LAUNCH("last", last_writes, 1, 32, 0, 0, x), cudaSuccess);
		value = device_read(x, 0);
	}
	unsetenv("AURELIUS_EMULATOR_SCHEDULES");
	assert_true(seen[0] != seen[1] || seen[1] != seen[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_asked_allocation_fails, device_forget),
		cmocka_unit_test_teardown(copies_must_fit_their_direction, device_forget),
		cmocka_unit_test_teardown(copies_must_lie_within_an_allocation, device_forget),
		cmocka_unit_test_teardown(freed_memory_is_known_no_more, device_forget),
		cmocka_unit_test_teardown(memory_has_an_end, device_forget),
		cmocka_unit_test_teardown(launches_that_no_device_takes_are_refused, device_forget),
		cmocka_unit_test_teardown(dynamic_shared_memory_has_to_be_asked_for, device_forget),
		cmocka_unit_test_teardown(arrays_of_more_than_48_kb_are_refused, device_forget),
		cmocka_unit_test_teardown(streams_and_events_are_checked, device_forget),
		cmocka_unit_test_teardown(devices_are_as_many_as_are_asked_for, device_forget),
		cmocka_unit_test_teardown(one_schedule_changes_from_launch_to_launch, device_forget),
	};
	return cmocka_run_group_tests_name("emulator: runtime", tests, nullptr, nullptr);
}
