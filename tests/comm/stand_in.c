#include "stand_in.h"

#include "cpu/cpu.h"

#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 4096 };

/* A host function, or a copy where there is none. */
struct item {
	cudaHostFn_t function;
	void *data;
	const void *from;
	size_t bytes;
};

/* All streams are one queue: there is only one at a time. */
static struct item queue[LONGEST];
static int first, waiting;
static int chosen;

int stand_in_ordered_after, stand_in_ordered_before;

int stand_in_waiting(void)
{
	return waiting;
}

static aur_status push(struct item item)
{
	if (waiting == LONGEST)
		return aur_fail(AUR_INTERNAL, "stand-in: the stream is full");
	queue[(first + waiting++) % LONGEST] = item;
	return AUR_OK;
}

static void run_next(void)
{
	const struct item item = queue[first];
	first = (first + 1) % LONGEST;
	waiting--;
	if (item.function)
		item.function(item.data);
	else
		memcpy(item.data, item.from, item.bytes);
}

void stand_in_run(void)
{
	while (waiting > 0)
		run_next();
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data)
{
	(void)stream;
	return push((struct item){.function = function, .data = data}) == AUR_OK ? cudaSuccess : cudaErrorUnknown;
}

cudaError_t cudaGetDevice(int *device)
{
	*device = chosen;
	return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int length, int device)
{
	snprintf(text, (size_t)length, "0000:%02x:00.0", (unsigned)device);
	return cudaSuccess;
}

static aur_status open_stream(struct aur_backend *backend, struct aur_stream **stream)
{
	(void)backend;
	*stream = calloc(1, sizeof **stream);
	return *stream ? AUR_OK : aur_fail(AUR_MEMORY, "stand-in: no memory");
}

static void close_stream(struct aur_backend *backend, struct aur_stream *stream)
{
	(void)backend;
	free(stream);
}

/* The backend's next operation is done at once, so what it comes after has to be done by now. */
static aur_status order(struct aur_backend *backend, struct aur_stream *before, struct aur_stream *then)
{
	(void)backend;
	stand_in_ordered_after += before == NULL && then != NULL;
	stand_in_ordered_before += before != NULL && then == NULL;
	if (before)
		stand_in_run();
	return AUR_OK;
}

static aur_status poll_stream(struct aur_backend *backend, struct aur_stream *stream, int *done)
{
	(void)backend;
	if (stream && waiting > 0)
		run_next();
	*done = waiting == 0;
	return AUR_OK;
}

static aur_status allocate_host(struct aur_backend *backend, size_t bytes, void **memory)
{
	return backend->ops->allocate(backend, bytes, memory);
}

static void release_host(struct aur_backend *backend, void *memory)
{
	backend->ops->release(backend, memory);
}

static aur_status copy(struct aur_backend *backend, struct aur_stream *stream, void *to, const void *from, size_t bytes)
{
	(void)backend;
	/* Among the backend's operations, which are done at once. */
	if (!stream) {
		memcpy(to, from, bytes);
		return AUR_OK;
	}
	return push((struct item){.data = to, .from = from, .bytes = bytes});
}

static aur_status note_fault(struct aur_backend *backend, int32_t *fault)
{
	(void)backend;
	*fault = 0;
	return AUR_OK;
}

static aur_status judge_fault(struct aur_backend *backend, int32_t fault)
{
	(void)backend;
	return fault == 0 ? AUR_OK : aur_fail(AUR_INPUT, "stand-in: fault %d", (int)fault);
}

static const struct aur_backend_streams streams = {
	.open = open_stream,
	.close = close_stream,
	.order = order,
	.poll = poll_stream,
	.allocate_host = allocate_host,
	.release_host = release_host,
	.copy = copy,
	.note_fault = note_fault,
	.judge_fault = judge_fault,
};

aur_status stand_in_open(int device, const char *model, struct aur_backend **backend)
{
	aur_backend_register(&aur_cpu_factory);
	AUR_TRY(aur_backend_open("cpu", backend));
	chosen = device;
	(*backend)->host_memory = 0;
	(*backend)->streams = &streams;
	snprintf((*backend)->device, sizeof(*backend)->device, "%s", model);
	cudaDeviceGetPCIBusId((*backend)->device_id, sizeof(*backend)->device_id, device);
	return AUR_OK;
}
