#include "internal.h"
#include "waits.h"

#include <set>
#include <stdlib.h>

/* Streams and events: everything is done by the time its call returns, in the order of the calls; but what the host
 * sees of it is waits.cpp's. */

struct CUstream_st {
	unsigned flags;
	int number;
	struct progress at; /* what is done when all is that it was asked for */
};

struct CUevent_st {
	double recorded; /* by the device's clock */
	int is_recorded;
	unsigned flags;
	struct progress at;
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

static int is_default(cudaStream_t stream)
{
	return stream == nullptr || stream == cudaStreamLegacy || stream == cudaStreamPerThread;
}

int stream_is_known(cudaStream_t stream)
{
	return is_default(stream) || streams().count(stream) > 0;
}

static CUstream_st *state_of(cudaStream_t stream)
{
	static CUstream_st of_default = {0, 0, {}};
	return is_default(stream) ? &of_default : stream;
}

void stream_ask(cudaStream_t stream)
{
	waits_ask(&state_of(stream)->at, state_of(stream)->number);
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
	static int number;
	*stream = new CUstream_st{flags, ++number, {}};
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
	if (spoilt != cudaSuccess)
		return error_set(spoilt);
	if (stream_is_known(stream))
		waits_end(state_of(stream)->at, "cudaStreamSynchronize");
	return check_stream(stream);
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const cudaError_t error = check_stream(stream);
	if (error != cudaSuccess)
		return error;
	if (inject_busy())
		return error_set(cudaErrorNotReady);
	waits_end(state_of(stream)->at, "cudaStreamQuery");
	return error_set(cudaSuccess);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	*status = graph_is_recorded(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
	return check_stream(stream);
}

cudaError_t cudaDeviceSynchronize(void)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	waits_end_all("cudaDeviceSynchronize");
	return error_set(cudaSuccess);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	*event = nullptr;
	if (error_sticky() != cudaSuccess)
		return error_set(error_sticky());
	*event = new CUevent_st{0, 0, flags, {}};
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
	if (stream_is_known(stream))
		event->at = state_of(stream)->at;
	return check_stream(stream);
}

static cudaError_t wait_for_event(cudaEvent_t event, const char *call)
{
	if (events().count(event) == 0)
		return error_set(cudaErrorInvalidResourceHandle);
	waits_end(event->at, call);
	return error_set(cudaSuccess);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	return wait_for_event(event, "cudaEventSynchronize");
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	if (events().count(event) && inject_busy())
		return error_set(cudaErrorNotReady);
	return wait_for_event(event, "cudaEventQuery");
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
	if (stream_is_known(stream))
		progress_join(&state_of(stream)->at, event->at);
	return check_stream(stream);
}

static cudaError_t ask_for_function(cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const cudaError_t spoilt = graph_spoil(stream), error = spoilt == cudaSuccess ? check_stream(stream) : spoilt;
	if (error != cudaSuccess)
		return error_set(error);
	stream_ask(stream);
	waits_reach(state_of(stream)->at);
	return error_set(cudaSuccess);
}

/* Without the lock: the function may wait for other threads and processes. */
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data)
{
	const cudaError_t error = ask_for_function(stream);
	if (error == cudaSuccess)
		function(data);
	return error;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	cudaError_t error = check_stream(stream);
	if (error != cudaSuccess || graph_records(stream, [=] { (void)memory_copy(to, from, bytes, kind); }))
		return error;
	stream_ask(stream);
	waits_before_copy(to, from, bytes, state_of(stream)->at);
	error = memory_copy(to, from, bytes, kind);
	if (error == cudaSuccess)
		waits_copy(to, from, bytes, state_of(stream)->at);
	return error_set(error);
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const cudaError_t error = check_stream(stream);
	if (error != cudaSuccess || graph_records(stream, [=] { (void)cudaMemset(memory, value, bytes); }))
		return error;
	stream_ask(stream);
	return cudaMemset(memory, value, bytes);
}
