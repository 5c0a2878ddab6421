#include "device_test.h"

#include "mma.cuh"

#include <math.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each kernel here breaks a rule, and the emulator must say so. */

AUR_KERNEL(64) reverse_without_barrier(const float *from, float *to)
{
	AUR_SHARED(float, tile, 64);
	tile[threadIdx.x] = from[threadIdx.x];
	to[threadIdx.x] = tile[63 - threadIdx.x];
}

static void a_missing_barrier_is_found(void **state)
{
	(void)state;
	float *from = device_floats(64), *to = device_floats(64);
	const int status = AUR_LAUNCH("reverse", reverse_without_barrier, 1, 64, 0, 0, from, to);
	device_assert_failed(status, cudaErrorLaunchFailure, "depends on the order of threads");
}

AUR_KERNEL(32) rotate_without_warp_barrier(float *x)
{
	AUR_SHARED(float, tile, 32);
	tile[threadIdx.x] = x[threadIdx.x];
	x[threadIdx.x] = tile[(threadIdx.x + 1) % 32];
}

/* Lanes of a warp may run apart since Volta. */
static void a_missing_barrier_within_a_warp_is_found(void **state)
{
	(void)state;
	const int status = AUR_LAUNCH("rotate", rotate_without_warp_barrier, 1, 32, 0, 0, device_floats(32));
	device_assert_failed(status, cudaErrorLaunchFailure, "depends on the order of threads");
}

AUR_KERNEL(32) take_places(const float *x, float *places, int *count)
{
	places[atomicAdd(count, 1)] = x[blockIdx.x * 32 + threadIdx.x];
}

static void places_given_by_an_atomic_are_found(void **state)
{
	(void)state;
	float *x = device_floats(128), *places = device_floats(128);
	int *count = static_cast<int *>(device_memory(sizeof *count));
	*count = 0;
	const int status = AUR_LAUNCH("places", take_places, 4, 32, 0, 0, x, places, count);
	device_assert_failed(status, cudaErrorLaunchFailure, "depends on the order of threads");
}

AUR_KERNEL(64) wait_at_two_barriers(float *x)
{
	if (threadIdx.x < 40)
		__syncthreads();
	else
		__syncthreads();
	x[threadIdx.x] = 0;
}

static void barriers_in_two_branches_are_found(void **state)
{
	(void)state;
	const int status = AUR_LAUNCH("branches", wait_at_two_barriers, 1, 64, 0, 0, device_floats(64));
	device_assert_failed(status, cudaErrorLaunchFailure, "while others of its block wait at that of");
}

AUR_KERNEL(64) wait_apart(float *x)
{
	if (threadIdx.x % 32 < 16)
		__syncthreads();
	else
		x[threadIdx.x] = __shfl_sync(0xffffffffu, x[threadIdx.x], 0);
}

static void threads_that_wait_for_ever_are_found(void **state)
{
	(void)state;
	const int status = AUR_LAUNCH("apart", wait_apart, 1, 64, 0, 0, device_floats(64));
	device_assert_failed(status, cudaErrorLaunchFailure, "32 of 64 threads wait at the barrier of");
	assert_non_null(strstr(aur_emulator_message(), "32 of 64 threads wait at the __shfl_sync of"));
}

AUR_KERNEL(32) read_a_lane_that_returned(float *x)
{
	if (threadIdx.x == 5)
		return;
	x[threadIdx.x] = __shfl_sync(0xffffffffu, x[threadIdx.x], 5);
}

static void a_shuffle_from_a_lane_that_returned_is_found(void **state)
{
	(void)state;
	const int status = AUR_LAUNCH("returned", read_a_lane_that_returned, 1, 32, 0, 0, device_floats(32));
	device_assert_failed(status, cudaErrorLaunchFailure, "read lane 5, which takes no part in it");
}

AUR_KERNEL(32) leave_out_the_own_lane(float *x)
{
	x[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, x[threadIdx.x], 1);
}

static void a_mask_without_the_own_lane_is_found(void **state)
{
	(void)state;
	const int status = AUR_LAUNCH("mask", leave_out_the_own_lane, 1, 32, 0, 0, device_floats(32));
	device_assert_failed(status, cudaErrorLaunchFailure, "its mask 0000ffff leaves out the own lane 16");
}

AUR_KERNEL(32) copy_unwritten(float *shared, const float *from, float *device)
{
	AUR_SHARED(float, tile, 32);
	if (threadIdx.x == 0)
		tile[0] = 0.0f;
	__syncthreads();
	shared[threadIdx.x] = tile[threadIdx.x];
	device[threadIdx.x] = from[threadIdx.x];
}

static void what_was_never_written_is_nan(void **state)
{
	(void)state;
	float *shared = device_floats(32), *device = device_floats(32);
	const float *from = static_cast<const float *>(device_memory(32 * sizeof *from));
	assert_int_equal(AUR_LAUNCH("unwritten", copy_unwritten, 2, 32, 0, 0, shared, from, device), 0);
	assert_true(device_read(shared, 0) == 0.0f);
	assert_true(isnan(device_read(shared, 1)));
	assert_true(isnan(device_read(device, 0)));
}

/* The source is written over before the wait, or the copy is read before it. Everyone reads its own. */
AUR_KERNEL(32) copy_beside(float *from, float *to, int too_early, int overwritten)
{
	AUR_SHARED(float, tile, 32);
	aur_copy_async<4>(tile + threadIdx.x, from + threadIdx.x, threadIdx.x != 3);
	if (overwritten)
		from[threadIdx.x] = 7.0f;
	if (!too_early)
		aur_copy_async_wait();
	to[threadIdx.x] = tile[threadIdx.x];
	aur_copy_async_wait();
}

static const float *copied_beside(int too_early, int overwritten)
{
	float *from = device_floats(32), *to = device_floats(32);
	assert_int_equal(AUR_LAUNCH("beside", copy_beside, 1, 32, 0, 0, from, to, too_early, overwritten), 0);
	return to;
}

static void a_copy_that_was_not_waited_for_is_nan(void **state)
{
	(void)state;
	const float *in_time = copied_beside(0, 0), *too_early = copied_beside(1, 0);
	assert_true(device_read(in_time, 5) == 5.0f && device_read(in_time, 3) == 0.0f);
	assert_true(isnan(device_read(too_early, 5)) && isnan(device_read(too_early, 3)));
}

static void a_source_that_is_written_before_the_wait_shows(void **state)
{
	(void)state;
	assert_true(device_read(copied_beside(0, 1), 5) == 7.0f);
}

AUR_KERNEL(32) write_behind_shared(int at)
{
	AUR_SHARED(float, first, 10);
	AUR_SHARED(float, second, 10);
	float *behind = first;
	behind[at] = 1.0f;
	second[0] = 1.0f;
}

AUR_KERNEL(32) write_behind_dynamic(int at)
{
	AUR_SHARED_DYNAMIC(float, memory);
	memory[at] = 1.0f;
}

AUR_KERNEL(1) write_at(float *x, long at)
{
	x[at] = 1.0f;
}

AUR_KERNEL(1) read_at(const float *x, long at, float *to)
{
	to[0] = x[at];
}

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* AddressSanitizer ends the process at the access itself: what it then says is looked for, in a child. */
static void assert_ended(int (*launch)(void), const char *text)
{
	char said[4096];
	FILE *errors = tmpfile();
	assert_non_null(errors);
	const pid_t child = fork();
	if (child == 0) {
		dup2(fileno(errors), STDERR_FILENO);
		launch();
		_exit(0);
	}
	int status = 0;
	waitpid(child, &status, 0);
	rewind(errors);
	said[fread(said, 1, sizeof said - 1, errors)] = '\0';
	fclose(errors);
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
	if (!strstr(said, "AddressSanitizer") || !strstr(said, text))
		fail_msg("`%s` does not say `AddressSanitizer` and `%s`", said, text);
}

static void assert_found(int (*launch)(void), cudaError_t error, const char *text)
{
	if (SANITIZED)
		assert_ended(launch, "WRITE of size 4");
	else
		device_assert_failed(launch(), error, text);
}

static void a_write_behind_a_shared_array_is_found(void **state)
{
	(void)state;
	assert_found([]() { return AUR_LAUNCH("shared", write_behind_shared, 1, 1, 0, 0, 10); }, cudaErrorLaunchFailure,
		"written 0 bytes behind the end of first (40 bytes)");
}

static void a_write_behind_dynamic_shared_memory_is_found(void **state)
{
	(void)state;
	assert_found([]() { return AUR_LAUNCH("dynamic", write_behind_dynamic, 1, 1, 40, 0, 11); }, cudaErrorLaunchFailure,
		"written 4 bytes behind the end of dynamic shared memory (40 bytes)");
}

static void a_write_behind_an_allocation_is_found(void **state)
{
	(void)state;
	assert_found([]() { return AUR_LAUNCH("behind", write_at, 1, 1, 0, 0, device_floats(100), 100L); },
		cudaErrorLaunchFailure, "written outside of the allocation");
}

/* A read leaves no trace; what it gets, a product with zero may hide. */
static void skip_unsanitized()
{
	if (SANITIZED)
		return;
	print_message("SKIP: without AddressSanitizer such a read is not seen\n");
	skip();
}

static void a_read_behind_an_allocation_is_found(void **state)
{
	(void)state;
	skip_unsanitized();
	assert_ended([]() { return AUR_LAUNCH("behind", read_at, 1, 1, 0, 0, device_floats(100), 100L, device_floats(1)); },
		"READ of size 4");
}

static void a_read_in_front_of_an_allocation_is_found(void **state)
{
	(void)state;
	skip_unsanitized();
	assert_ended([]() { return AUR_LAUNCH("front", read_at, 1, 1, 0, 0, device_floats(100), -1L, device_floats(1)); },
		"READ of size 4");
}

static void a_read_far_outside_is_an_illegal_address(void **state)
{
	(void)state;
	const int status = AUR_LAUNCH("far", read_at, 1, 1, 0, 0, device_floats(100), 200L, device_floats(1));
	device_assert_failed(status, cudaErrorIllegalAddress, "400 bytes behind the end of an allocation of 400 bytes");
}

static void an_access_far_outside_is_an_illegal_address(void **state)
{
	(void)state;
	const int status = AUR_LAUNCH("far", write_at, 1, 1, 0, 0, device_floats(100), 200L);
	device_assert_failed(status, cudaErrorIllegalAddress, "400 bytes behind the end of an allocation of 400 bytes");
}

static void a_wild_pointer_is_an_illegal_address(void **state)
{
	(void)state;
	const int status = AUR_LAUNCH("wild", write_at, 1, 1, 0, 0, reinterpret_cast<float *>(uintptr_t(256)), 0L);
	device_assert_failed(status, cudaErrorIllegalAddress, "which is not memory of the device");
}

AUR_KERNEL(1) use_up_the_stack(float *x, int depth)
{
	volatile float local[4096];
	local[depth % 4096] = x[0];
	if (depth < 1000)
		use_up_the_stack(x, depth + 1);
	x[0] = local[depth % 4096];
}

static void a_stack_that_overflows_is_an_illegal_address(void **state)
{
	(void)state;
	const int status = AUR_LAUNCH("stack", use_up_the_stack, 1, 1, 0, 0, device_floats(1), 0);
	device_assert_failed(status, cudaErrorIllegalAddress, "which is not memory of the device");
}

/* A device that failed stays failed: what follows must see it. */
static void after_a_failure_every_call_fails(void **state)
{
	(void)state;
	float *x = device_floats(32), value = 0;
	assert_int_equal(AUR_LAUNCH("mask", leave_out_the_own_lane, 1, 32, 0, 0, x), cudaErrorLaunchFailure);
	assert_int_equal(cudaGetLastError(), cudaErrorLaunchFailure);
	assert_int_equal(cudaMemcpy(&value, x, sizeof value, cudaMemcpyDeviceToHost), cudaErrorLaunchFailure);
	assert_int_equal(cudaStreamSynchronize(nullptr), cudaErrorLaunchFailure);
	assert_int_equal(AUR_LAUNCH("write", write_at, 1, 1, 0, 0, x, 0L), cudaErrorLaunchFailure);
}

static void an_asked_failure_comes_at_its_launch(void **state)
{
	(void)state;
	float *x = device_floats(32);
	const pid_t child = fork();
	if (child == 0) {
		int wrong = 0;
		setenv("AURELIUS_EMULATOR_FAIL", "kernel:2", 1);
		/* Launches are counted from the start of the process: this test is the first. */
		for (int i = 0; i < 2; i++)
			wrong += AUR_LAUNCH("write", write_at, 1, 1, 0, 0, x, 0L) != 0;
		_exit(wrong);
	}
	int status = 0;
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_asked_failure_comes_at_its_launch, device_forget), /* first: it counts launches */
		cmocka_unit_test_teardown(a_missing_barrier_is_found, device_forget),
		cmocka_unit_test_teardown(a_missing_barrier_within_a_warp_is_found, device_forget),
		cmocka_unit_test_teardown(places_given_by_an_atomic_are_found, device_forget),
		cmocka_unit_test_teardown(barriers_in_two_branches_are_found, device_forget),
		cmocka_unit_test_teardown(threads_that_wait_for_ever_are_found, device_forget),
		cmocka_unit_test_teardown(a_shuffle_from_a_lane_that_returned_is_found, device_forget),
		cmocka_unit_test_teardown(a_mask_without_the_own_lane_is_found, device_forget),
		cmocka_unit_test_teardown(what_was_never_written_is_nan, device_forget),
		cmocka_unit_test_teardown(a_copy_that_was_not_waited_for_is_nan, device_forget),
		cmocka_unit_test_teardown(a_source_that_is_written_before_the_wait_shows, device_forget),
		cmocka_unit_test_teardown(a_write_behind_a_shared_array_is_found, device_forget),
		cmocka_unit_test_teardown(a_write_behind_dynamic_shared_memory_is_found, device_forget),
		cmocka_unit_test_teardown(a_write_behind_an_allocation_is_found, device_forget),
		cmocka_unit_test_teardown(a_read_behind_an_allocation_is_found, device_forget),
		cmocka_unit_test_teardown(a_read_in_front_of_an_allocation_is_found, device_forget),
		cmocka_unit_test_teardown(a_read_far_outside_is_an_illegal_address, device_forget),
		cmocka_unit_test_teardown(an_access_far_outside_is_an_illegal_address, device_forget),
		cmocka_unit_test_teardown(a_wild_pointer_is_an_illegal_address, device_forget),
		cmocka_unit_test_teardown(a_stack_that_overflows_is_an_illegal_address, device_forget),
		cmocka_unit_test_teardown(after_a_failure_every_call_fails, device_forget),
	};
	return cmocka_run_group_tests_name("emulator: detectors", tests, nullptr, nullptr);
}
