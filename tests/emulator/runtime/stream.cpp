#include "internal.h"

#include <set>
#include <stdlib.h>

/* Streams and events: everything is done by the time its call returns, in the order of the calls. */

struct CUstream_st {
	unsigned flags;
};

struct CUevent_st {
	double recorded; /* by the device's clock */
	int is_recorded;
	unsigned flags;
};

static double clock_ms;

void stream_spend(double ms)
{
	clock_ms += ms;
}

static std::set<cudaStream_t> &streams(void)
{
	static std::set<cudaStream_t> all;
	return all;
}

static std::set<cudaEvent_t> &events(void)
{
	static std::set<cudaEvent_t> all;
	return all;
}

int stream_is_known(cudaStream_t stream)
{
	return stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread ||
		   streams().count(stream) > 0;
}

static cudaError_t check_stream(cudaStream_t stream)
{
	return error_set(stream_is_known(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	*stream = nullptr;
	if (error_sticky() != cudaSuccess)
		return error_set(error_sticky());
	*stream = new CUstream_st{flags};
	streams().insert(*stream);
	return error_set(cudaSuccess);
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
	return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority)
{
	(void)priority;
	return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
	*least = 0;
	*greatest = -5;
	return error_set(cudaSuccess);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	if (streams().erase(stream) == 0)
		return error_set(cudaErrorInvalidResourceHandle);
	delete stream;
	return error_set(cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const cudaError_t spoilt = graph_spoil(stream);
	return spoilt == cudaSuccess ? check_stream(stream) : error_set(spoilt);
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const cudaError_t error = check_stream(stream);
	return error == cudaSuccess && inject_busy() ? error_set(cudaErrorNotReady) : error;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	*status = graph_is_recorded(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
	return check_stream(stream);
}

cudaError_t cudaDeviceSynchronize(void)
{
	return error_set(cudaSuccess);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	*event = nullptr;
	if (error_sticky() != cudaSuccess)
		return error_set(error_sticky());
	*event = new CUevent_st{0, 0, flags};
	events().insert(*event);
	return error_set(cudaSuccess);
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
	return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	if (events().erase(event) == 0)
		return error_set(cudaErrorInvalidResourceHandle);
	delete event;
	return error_set(cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	if (events().count(event) == 0)
		return error_set(cudaErrorInvalidResourceHandle);
	event->recorded = clock_ms;
	event->is_recorded = 1;
	return check_stream(stream);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	return error_set(events().count(event) ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const cudaError_t error = cudaEventSynchronize(event);
	return error == cudaSuccess && inject_busy() ? error_set(cudaErrorNotReady) : error;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	if (events().count(start) == 0 || events().count(end) == 0 || !start->is_recorded || !end->is_recorded ||
		((start->flags | end->flags) & cudaEventDisableTiming))
		return error_set(cudaErrorInvalidResourceHandle);
	*ms = static_cast<float>(end->recorded - start->recorded);
	return error_set(cudaSuccess);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	(void)flags;
	if (events().count(event) == 0)
		return error_set(cudaErrorInvalidResourceHandle);
	return check_stream(stream);
}

/* Without the lock: the function may wait for other threads and processes. */
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data)
{
	const cudaError_t error = cudaStreamSynchronize(stream);
	if (error == cudaSuccess)
		function(data);
	return error;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const cudaError_t error = check_stream(stream);
	if (error != cudaSuccess || graph_records(stream, [=] { (void)cudaMemcpy(to, from, bytes, kind); }))
		return error;
	return cudaMemcpy(to, from, bytes, kind);
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const cudaError_t error = check_stream(stream);
	if (error != cudaSuccess || graph_records(stream, [=] { (void)cudaMemset(memory, value, bytes); }))
		return error;
	return cudaMemset(memory, value, bytes);
}
