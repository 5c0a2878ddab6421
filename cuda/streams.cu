#include "internal.cuh"
#include "memory.cuh"

#include <new>

/* Streams and pinned memory for those who move data beside the operations (struct aur_backend_streams). */

struct cuda_stream {
	struct aur_stream base; /* first, so that the handle is this struct */
	cudaStream_t stream;
	cudaEvent_t done; /* recorded anew at each order; what waits for it has taken its state by then */
};

static struct cuda_stream *stream_of(struct aur_stream *stream)
{
	return reinterpret_cast<struct cuda_stream *>(stream);
}

static cudaStream_t native_of(struct aur_backend *backend, struct aur_stream *stream)
{
	return stream ? stream_of(stream)->stream : aur_cuda_of(backend)->stream;
}

static void close_stream(struct aur_backend *, struct aur_stream *stream)
{
	struct cuda_stream *gone = stream_of(stream);
	if (!gone)
		return;
	if (gone->done)
		(void)cudaEventDestroy(gone->done);
	if (gone->stream)
		(void)cudaStreamDestroy(gone->stream);
	(void)cudaGetLastError(); /* or the next launch would find it */
	delete gone;
}

static aur_status open_stream(struct aur_backend *backend, struct aur_stream **stream)
{
	*stream = NULL;
	struct cuda_stream *made = new (std::nothrow) cuda_stream();
	if (!made)
		return aur_fail(AUR_MEMORY, "cuda: no memory for a stream");
	/* The highest priority: what a rank sends is waited for by all the others. */
	int lowest = 0, highest = 0;
	(void)cudaDeviceGetStreamPriorityRange(&lowest, &highest);
	aur_status status = aur_cuda_check(
		cudaStreamCreateWithPriority(&made->stream, cudaStreamNonBlocking, highest), "cudaStreamCreateWithPriority");
	if (status == AUR_OK)
		status =
			aur_cuda_check(cudaEventCreateWithFlags(&made->done, cudaEventDisableTiming), "cudaEventCreateWithFlags");
	if (status != AUR_OK) {
		close_stream(backend, &made->base);
		return status;
	}
	made->base.handle = made->stream;
	*stream = &made->base;
	return AUR_OK;
}

static aur_status order_streams(struct aur_backend *backend, struct aur_stream *first, struct aur_stream *then)
{
	if (first == then)
		return AUR_OK; /* a stream is in order with itself */
	/* One of them at least is a stream of this file: its event serves both directions. */
	const cudaEvent_t event = stream_of(first ? first : then)->done;
	AUR_TRY(aur_cuda_check(cudaEventRecord(event, native_of(backend, first)), "cudaEventRecord"));
	return aur_cuda_check(cudaStreamWaitEvent(native_of(backend, then), event, 0), "cudaStreamWaitEvent");
}

static aur_status poll_stream(struct aur_backend *backend, struct aur_stream *stream, int *done)
{
	const cudaError_t error = cudaStreamQuery(native_of(backend, stream));
	*done = error != cudaErrorNotReady;
	if (*done)
		return aur_cuda_check(error, "cudaStreamQuery");
	/* No failure, yet CUDA keeps it as the last error, where the next launch would find it. */
	(void)cudaGetLastError();
	return AUR_OK;
}

static aur_status allocate_host(struct aur_backend *, size_t bytes, void **memory)
{
	return aur_cuda_check(cudaMallocHost(memory, bytes), "pinned host memory");
}

static void release_host(struct aur_backend *, void *memory)
{
	(void)cudaFreeHost(memory);
	(void)cudaGetLastError();
}

static aur_status copy_on_stream(
	struct aur_backend *backend, struct aur_stream *stream, void *to, const void *from, size_t bytes)
{
	return aur_cuda_check(
		cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, native_of(backend, stream)), "cudaMemcpyAsync");
}

static struct aur_backend_streams table_of_streams()
{
	struct aur_backend_streams table = {};
	table.open = open_stream;
	table.close = close_stream;
	table.order = order_streams;
	table.poll = poll_stream;
	table.allocate_host = allocate_host;
	table.release_host = release_host;
	table.copy = copy_on_stream;
	table.note_fault = aur_cuda_note_fault;
	table.judge_fault = aur_cuda_judge_fault;
	return table;
}

const struct aur_backend_streams aur_cuda_streams = table_of_streams();
