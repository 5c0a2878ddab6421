#include "internal.h"

#include <string.h>

static thread_local cudaError_t last = cudaSuccess;
static cudaError_t sticky = cudaSuccess;

std::recursive_mutex &emulator_lock(void)
{
	static std::recursive_mutex lock;
	return lock;
}

cudaError_t error_sticky(void)
{
	return sticky;
}

cudaError_t error_set(cudaError_t error)
{
	if (sticky != cudaSuccess)
		error = sticky;
	/* Not ready is no failure, yet a device keeps it too. */
	if (error != cudaSuccess)
		last = error;
	return error;
}

cudaError_t error_set_sticky(cudaError_t error)
{
	if (sticky == cudaSuccess)
		sticky = error;
	return error_set(sticky);
}

void error_forget(void)
{
	sticky = last = cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
	const cudaError_t error = sticky != cudaSuccess ? sticky : last;
	last = cudaSuccess;
	return error;
}

cudaError_t cudaPeekAtLastError(void)
{
	return sticky != cudaSuccess ? sticky : last;
}

/* X(error, CUDA's text): those that the emulator gives or the backend tells apart. */
#define ERRORS(X)                                                                                                      \
	X(cudaSuccess, "no error")                                                                                         \
	X(cudaErrorInvalidValue, "invalid argument")                                                                       \
	X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")                           \
	X(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture")                    \
	X(cudaErrorStreamCaptureUnmatched, "capture was not initiated in this stream")                                     \
	X(cudaErrorMemoryAllocation, "out of memory")                                                                      \
	X(cudaErrorInitializationError, "initialization error")                                                            \
	X(cudaErrorInvalidConfiguration, "invalid configuration argument")                                                 \
	X(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy")                                            \
	X(cudaErrorInsufficientDriver, "CUDA driver version is insufficient for CUDA runtime version")                     \
	X(cudaErrorNoDevice, "no CUDA-capable device is detected")                                                         \
	X(cudaErrorInvalidDevice, "invalid device ordinal")                                                                \
	X(cudaErrorInvalidResourceHandle, "invalid resource handle")                                                       \
	X(cudaErrorNotReady, "device not ready")                                                                           \
	X(cudaErrorIllegalAddress, "an illegal memory access was encountered")                                             \
	X(cudaErrorLaunchFailure, "unspecified launch failure")                                                            \
	X(cudaErrorPeerAccessUnsupported, "peer access is not supported between these two devices")                        \
	X(cudaErrorNotSupported, "operation not supported")                                                                \
	X(cudaErrorUnknown, "unknown error")

const char *cudaGetErrorString(cudaError_t error)
{
	switch (error) {
#define TEXT(name, text)                                                                                               \
	case name:                                                                                                         \
		return text;
		ERRORS(TEXT)
#undef TEXT
	default:
		return "unrecognized error code";
	}
}

const char *cudaGetErrorName(cudaError_t error)
{
	switch (error) {
#define NAME(name, text)                                                                                               \
	case name:                                                                                                         \
		return #name;
		ERRORS(NAME)
#undef NAME
	default:
		return "unrecognized error code";
	}
}
