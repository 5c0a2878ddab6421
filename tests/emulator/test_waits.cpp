#include "device_test.h"

#include <math.h>

/* What the host sees of a device's work before it has waited for it: nothing. */

struct copied {
	cudaStream_t stream;
	float *device, *pinned;
};

static struct copied begin_copy(float value)
{
	struct copied made = {nullptr, device_floats(1), nullptr};
	void *memory = nullptr;
	assert_int_equal(cudaStreamCreateWithFlags(&made.stream, cudaStreamNonBlocking), cudaSuccess);
	assert_int_equal(cudaMallocHost(&memory, sizeof value), cudaSuccess);
	made.pinned = static_cast<float *>(memory);
	assert_int_equal(cudaMemcpy(made.device, &value, sizeof value, cudaMemcpyHostToDevice), cudaSuccess);
	return made;
}

static void copy_out(const struct copied *of)
{
	assert_int_equal(
		cudaMemcpyAsync(of->pinned, of->device, sizeof *of->pinned, cudaMemcpyDeviceToHost, of->stream), cudaSuccess);
	assert_true(isnan(*of->pinned));
}

static void end_copy(const struct copied *of)
{
	cudaStreamDestroy(of->stream);
	cudaFreeHost(of->pinned);
}

/* As on a device: that a query found the stream busy ends nothing. */
static void a_copy_to_pinned_memory_is_there_after_a_wait(void **state)
{
	(void)state;
	const struct copied of = begin_copy(3);
	copy_out(&of);
	setenv("AURELIUS_EMULATOR_BUSY", "1", 1);
	while (cudaStreamQuery(of.stream) == cudaErrorNotReady)
		assert_true(isnan(*of.pinned));
	unsetenv("AURELIUS_EMULATOR_BUSY");
	assert_true(*of.pinned == 3);
	copy_out(&of);
	assert_int_equal(cudaStreamSynchronize(of.stream), cudaSuccess);
	assert_true(*of.pinned == 3);
	end_copy(&of);
	cudaGetLastError();
}

/* What was asked for later does not change what was copied. */
static void a_copy_has_what_was_there_when_the_stream_came_to_it(void **state)
{
	(void)state;
	const struct copied of = begin_copy(3);
	copy_out(&of);
	assert_int_equal(cudaMemsetAsync(of.device, 0, sizeof *of.device, of.stream), cudaSuccess);
	assert_int_equal(cudaStreamSynchronize(of.stream), cudaSuccess);
	assert_true(*of.pinned == 3);
	end_copy(&of);
}

static void another_stream_tells_of_a_copy_where_an_event_orders_it_behind(void **state)
{
	(void)state;
	const struct copied of = begin_copy(3);
	cudaStream_t other = nullptr;
	cudaEvent_t event = nullptr;
	assert_int_equal(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), cudaSuccess);
	assert_int_equal(cudaEventCreate(&event), cudaSuccess);
	assert_int_equal(cudaEventRecord(event, of.stream), cudaSuccess);
	copy_out(&of);
	assert_int_equal(cudaStreamWaitEvent(other, event, 0), cudaSuccess);
	assert_int_equal(cudaStreamSynchronize(other), cudaSuccess);
	assert_int_equal(cudaEventSynchronize(event), cudaSuccess);
	assert_true(isnan(*of.pinned)); /* the event was recorded before the copy */
	assert_int_equal(cudaEventRecord(event, of.stream), cudaSuccess);
	assert_int_equal(cudaStreamWaitEvent(other, event, 0), cudaSuccess);
	assert_int_equal(cudaStreamQuery(other), cudaSuccess);
	assert_true(*of.pinned == 3);
	cudaEventDestroy(event);
	cudaStreamDestroy(other);
	end_copy(&of);
}

static void a_copy_to_other_memory_of_the_host_waits(void **state)
{
	(void)state;
	const struct copied of = begin_copy(3);
	float host = 0;
	copy_out(&of);
	assert_int_equal(cudaMemcpyAsync(&host, of.device, sizeof host, cudaMemcpyDeviceToHost, of.stream), cudaSuccess);
	assert_true(host == 3);
	assert_true(*of.pinned == 3);
	end_copy(&of);
}

static cudaError_t copy_in(const struct copied *of)
{
	return cudaMemcpyAsync(of->device, of->pinned, sizeof *of->device, cudaMemcpyHostToDevice, of->stream);
}

static void pinned_memory_is_free_again_after_a_wait(void **state)
{
	(void)state;
	const struct copied of = begin_copy(3);
	for (int i = 0; i < 3; i++) {
		*of.pinned = static_cast<float>(i);
		assert_int_equal(copy_in(&of), cudaSuccess);
		assert_int_equal(cudaStreamSynchronize(of.stream), cudaSuccess);
	}
	assert_true(device_read(of.device, 0) == 2);
	end_copy(&of);
}

/* The device reads it some time before the wait: it may get either. */
static void pinned_memory_written_to_while_it_is_read_is_found(void **state)
{
	(void)state;
	const struct copied of = begin_copy(3);
	*of.pinned = 1;
	assert_int_equal(copy_in(&of), cudaSuccess);
	*of.pinned = 2;
	device_assert_failed(cudaStreamSynchronize(of.stream), cudaErrorLaunchFailure, "was written to while a copy");
	end_copy(&of);
}

/* In one stream the device has read before it writes, and has written before it reads. */
static void copies_of_one_stream_may_share_pinned_memory(void **state)
{
	(void)state;
	const struct copied of = begin_copy(3);
	*of.pinned = 1;
	assert_int_equal(copy_in(&of), cudaSuccess);
	assert_int_equal(cudaMemsetAsync(of.device, 0, sizeof *of.device, of.stream), cudaSuccess);
	copy_out(&of);
	assert_int_equal(copy_in(&of), cudaSuccess);
	assert_int_equal(cudaStreamSynchronize(of.stream), cudaSuccess);
	assert_true(*of.pinned == 0);
	assert_true(device_read(of.device, 0) == 0);
	end_copy(&of);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_copy_to_pinned_memory_is_there_after_a_wait, device_forget),
		cmocka_unit_test_teardown(a_copy_has_what_was_there_when_the_stream_came_to_it, device_forget),
		cmocka_unit_test_teardown(another_stream_tells_of_a_copy_where_an_event_orders_it_behind, device_forget),
		cmocka_unit_test_teardown(a_copy_to_other_memory_of_the_host_waits, device_forget),
		cmocka_unit_test_teardown(pinned_memory_is_free_again_after_a_wait, device_forget),
		cmocka_unit_test_teardown(copies_of_one_stream_may_share_pinned_memory, device_forget),
		cmocka_unit_test_teardown(pinned_memory_written_to_while_it_is_read_is_found, device_forget),
	};
	return cmocka_run_group_tests_name("emulator: waits", tests, nullptr, nullptr);
}
