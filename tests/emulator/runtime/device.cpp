#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The device that the emulator is: one of the newest kind as far as a kernel can see.
 *   AURELIUS_EMULATOR_DEVICES=N      how many there are (default 1); 0: none
 *   AURELIUS_EMULATOR_DRIVER         too-old: the driver is older than the runtime; none: there is no driver
 *   AURELIUS_EMULATOR_CAPABILITY     70: the compute capability, 90 by default
 *   AURELIUS_EMULATOR_NAME           the model's name, "emulator" by default
 *   AURELIUS_EMULATOR_APART          devices have no access to each other's memory
 */

enum { MULTIPROCESSORS = 4, SHARED_PER_MULTIPROCESSOR = 228 << 10 };

static int number(const char *variable, int otherwise)
{
	const char *set = getenv(variable);
	return set && *set ? atoi(set) : otherwise;
}

static int driver_is(const char *state)
{
	const char *set = getenv("AURELIUS_EMULATOR_DRIVER");
	return set && strcmp(set, state) == 0;
}

static int capability(void)
{
	return number("AURELIUS_EMULATOR_CAPABILITY", 90);
}

static thread_local int chosen;

cudaError_t cudaGetDeviceCount(int *count)
{
	*count = 0;
	if (driver_is("too-old") || driver_is("none"))
		return error_set(cudaErrorInsufficientDriver);
	*count = number("AURELIUS_EMULATOR_DEVICES", 1);
	return error_set(*count > 0 ? cudaSuccess : cudaErrorNoDevice);
}

static cudaError_t check_device(int device)
{
	int count = 0;
	const cudaError_t error = cudaGetDeviceCount(&count);
	if (error != cudaSuccess)
		return error;
	return error_set(device >= 0 && device < count ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaSetDevice(int device)
{
	const cudaError_t error = check_device(device);
	if (error == cudaSuccess)
		chosen = device;
	return error;
}

cudaError_t cudaGetDevice(int *device)
{
	*device = chosen;
	return check_device(chosen);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
	size_t available = 0;
	memset(properties, 0, sizeof *properties);
	const cudaError_t error = check_device(device);
	if (error != cudaSuccess)
		return error;
	const char *name = getenv("AURELIUS_EMULATOR_NAME");
	snprintf(properties->name, sizeof properties->name, "%s", name ? name : "emulator");
	properties->major = capability() / 10;
	properties->minor = capability() % 10;
	properties->multiProcessorCount = MULTIPROCESSORS;
	properties->warpSize = AUR_WARP;
	properties->sharedMemPerBlock = SHARED_STATIC_LIMIT;
	properties->sharedMemPerBlockOptin = SHARED_LIMIT;
	properties->sharedMemPerMultiprocessor = SHARED_PER_MULTIPROCESSOR;
	properties->maxThreadsPerBlock = 1024;
	properties->maxThreadsPerMultiProcessor = 2048;
	return cudaMemGetInfo(&available, &properties->totalGlobalMem);
}

static int attribute_of(enum cudaDeviceAttr attribute, int *value)
{
	switch (attribute) {
	case cudaDevAttrComputeCapabilityMajor:
		*value = capability() / 10;
		return 1;
	case cudaDevAttrComputeCapabilityMinor:
		*value = capability() % 10;
		return 1;
	case cudaDevAttrMultiProcessorCount:
		*value = MULTIPROCESSORS;
		return 1;
	case cudaDevAttrMaxThreadsPerBlock:
		*value = 1024;
		return 1;
	case cudaDevAttrMaxSharedMemoryPerBlock:
		*value = SHARED_STATIC_LIMIT;
		return 1;
	case cudaDevAttrMaxSharedMemoryPerBlockOptin:
		*value = SHARED_LIMIT;
		return 1;
	case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
		*value = SHARED_PER_MULTIPROCESSOR;
		return 1;
	case cudaDevAttrWarpSize:
		*value = AUR_WARP;
		return 1;
	default:
		return 0;
	}
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
	const cudaError_t error = check_device(device);
	if (error != cudaSuccess)
		return error;
	return error_set(attribute_of(attribute, value) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int length, int device)
{
	const cudaError_t error = check_device(device);
	if (error == cudaSuccess && length > 0)
		snprintf(text, static_cast<size_t>(length), "0000:%02X:00.0", device);
	return error;
}

cudaError_t cudaDriverGetVersion(int *version)
{
	*version = driver_is("none") ? 0 : driver_is("too-old") ? 11040 : CUDART_VERSION;
	return error_set(cudaSuccess);
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
	*version = CUDART_VERSION;
	return error_set(cudaSuccess);
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
	*can = device != peer && !getenv("AURELIUS_EMULATOR_APART");
	const cudaError_t error = check_device(device);
	return error != cudaSuccess ? error : check_device(peer);
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags)
{
	(void)flags;
	return check_device(peer);
}

/* A device that failed works again, its memory gone; streams and events stay. */
cudaError_t cudaDeviceReset(void)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	memory_free_all();
	error_forget();
	return error_set(cudaSuccess);
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *function)
{
	(void)function;
	memset(attributes, 0, sizeof *attributes);
	attributes->maxThreadsPerBlock = 1024;
	attributes->maxDynamicSharedSizeBytes = SHARED_STATIC_LIMIT;
	return error_set(cudaSuccess);
}

/* As shared memory and threads allow; registers are not known here. */
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
	int *blocks, const void *function, int threads, size_t shared_bytes, unsigned flags)
{
	(void)function;
	(void)flags;
	if (threads <= 0 || threads > 1024 || shared_bytes > SHARED_LIMIT)
		return error_set(cudaErrorInvalidValue);
	const int by_shared = static_cast<int>(SHARED_PER_MULTIPROCESSOR / (shared_bytes + 1024));
	const int by_threads = 2048 / threads;
	*blocks = by_shared < by_threads ? by_shared : by_threads;
	return error_set(cudaSuccess);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(
	int *blocks, const void *function, int threads, size_t shared_bytes)
{
	return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, shared_bytes, 0);
}
