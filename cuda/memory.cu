#include "memory.cuh"

#include <algorithm>
#include <new>
#include <string.h>

aur_status aur_cuda_allocate(struct aur_backend *, size_t bytes, void **memory)
{
	size_t free_bytes = 0, total = 0;
	*memory = NULL;
	/* cudaMalloc's alignment is 256 bytes; it has no memory of 0 bytes to give. */
	const cudaError_t error = cudaMalloc(memory, bytes ? bytes : 1);
	if (error != cudaErrorMemoryAllocation)
		return aur_cuda_check(error, "cudaMalloc");
	(void)cudaGetLastError();
	(void)cudaMemGetInfo(&free_bytes, &total);
	return aur_fail(AUR_MEMORY,
		"cuda: no memory for %zu bytes: the GPU has %.2f GiB free of %.2f; a smaller model or micro_batch_size takes "
		"less",
		bytes, static_cast<double>(free_bytes) / (1 << 30), static_cast<double>(total) / (1 << 30));
}

void aur_cuda_release(struct aur_backend *, void *memory)
{
	(void)cudaFree(memory);
	(void)cudaGetLastError(); /* nobody is told, so the next launch may not find it */
}

aur_status aur_cuda_room(struct aur_backend *backend, int64_t *bytes)
{
	const size_t held = aur_cuda_of(backend)->scratch_bytes + AUR_CUBLAS_WORKSPACE;
	size_t available = 0, total = 0;
	AUR_TRY(aur_cuda_check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo"));
	*bytes = static_cast<int64_t>(available + held);
	return AUR_OK;
}

aur_status aur_cuda_staging_create(struct aur_cuda *cuda)
{
	struct aur_cuda_staging *staging = new (std::nothrow) aur_cuda_staging();
	if (!staging)
		return aur_fail(AUR_MEMORY, "cuda: no memory for the backend");
	cuda->staging = staging;
	void *memory = NULL;
	AUR_TRY(aur_cuda_check(
		cudaMallocHost(&memory, static_cast<size_t>(AUR_STAGING_SLOTS) * AUR_STAGING_BYTES), "cuda: pinned memory"));
	staging->slots = static_cast<char *>(memory);
	AUR_TRY(aur_cuda_check(cudaMallocHost(&memory, sizeof *staging->fault), "cuda: pinned memory"));
	staging->fault = static_cast<int32_t *>(memory);
	for (cudaEvent_t &event : staging->read)
		AUR_TRY(aur_cuda_check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags"));
	return AUR_OK;
}

void aur_cuda_staging_destroy(struct aur_cuda *cuda)
{
	struct aur_cuda_staging *staging = cuda->staging;
	if (!staging)
		return;
	for (const cudaEvent_t event : staging->read)
		if (event)
			(void)cudaEventDestroy(event);
	(void)cudaFreeHost(staging->fault);
	(void)cudaFreeHost(staging->slots);
	delete staging;
	cuda->staging = NULL;
}

static aur_status upload_slot(struct aur_cuda *cuda, char *to, const char *from, size_t bytes)
{
	struct aur_cuda_staging *staging = cuda->staging;
	const int at = staging->next;
	char *slot = staging->slots + static_cast<size_t>(at) * AUR_STAGING_BYTES;
	staging->next = (at + 1) % AUR_STAGING_SLOTS;
	AUR_TRY(aur_cuda_check(cudaEventSynchronize(staging->read[at]), "cuda: upload"));
	memcpy(slot, from, bytes);
	AUR_TRY(aur_cuda_check(cudaMemcpyAsync(to, slot, bytes, cudaMemcpyHostToDevice, cuda->stream), "cuda: upload"));
	return aur_cuda_check(cudaEventRecord(staging->read[at], cuda->stream), "cuda: upload");
}

aur_status aur_cuda_upload(struct aur_backend *backend, void *to_device, const void *from_host, size_t bytes)
{
	char *to = static_cast<char *>(to_device);
	const char *from = static_cast<const char *>(from_host);
	for (size_t done = 0; done < bytes; done += AUR_STAGING_BYTES) {
		const size_t part = std::min<size_t>(bytes - done, AUR_STAGING_BYTES);
		AUR_TRY(upload_slot(aur_cuda_of(backend), to + done, from + done, part));
	}
	return AUR_OK;
}

aur_status aur_cuda_download(struct aur_backend *backend, void *to_host, const void *from_device, size_t bytes)
{
	AUR_TRY(aur_cuda_check(
		cudaMemcpyAsync(to_host, from_device, bytes, cudaMemcpyDeviceToHost, aur_cuda_of(backend)->stream),
		"cuda: download"));
	return aur_cuda_synchronise(backend);
}

aur_status aur_cuda_copy(struct aur_backend *backend, void *to, const void *from, size_t bytes)
{
	return aur_cuda_check(
		cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, aur_cuda_of(backend)->stream), "cuda: copy");
}

aur_status aur_cuda_zero(struct aur_backend *backend, void *memory, size_t bytes)
{
	return aur_cuda_check(cudaMemsetAsync(memory, 0, bytes, aur_cuda_of(backend)->stream), "cuda: zero");
}

#define FAULT_TEXT(name, text) text,
static const char *const fault_texts[] = {AUR_FAULT_TABLE(FAULT_TEXT)};

static aur_status report_fault(struct aur_cuda *cuda, int32_t fault)
{
	AUR_TRY(aur_cuda_check(cudaMemsetAsync(cuda->fault, 0, sizeof fault, cuda->stream), "cuda: synchronise"));
	const int known = fault > AUR_FAULT_NONE && fault < AUR_FAULT_COUNT;
	return aur_fail(AUR_INPUT, "cuda: %s lies outside of the vocabulary", known ? fault_texts[fault] : "a number");
}

aur_status aur_cuda_note_fault(struct aur_backend *backend, int32_t *fault)
{
	const struct aur_cuda *cuda = aur_cuda_of(backend);
	return aur_cuda_check(
		cudaMemcpyAsync(fault, cuda->fault, sizeof *fault, cudaMemcpyDeviceToHost, cuda->stream), "cuda: fault");
}

aur_status aur_cuda_judge_fault(struct aur_backend *backend, int32_t fault)
{
	return fault == AUR_FAULT_NONE ? AUR_OK : report_fault(aur_cuda_of(backend), fault);
}

aur_status aur_cuda_synchronise(struct aur_backend *backend)
{
	struct aur_cuda *cuda = aur_cuda_of(backend);
	int32_t *fault = cuda->staging->fault;
	AUR_TRY(aur_cuda_note_fault(backend, fault));
	AUR_TRY(aur_cuda_check(cudaStreamSynchronize(cuda->stream), "cuda: synchronise"));
	return aur_cuda_judge_fault(backend, *fault);
}
