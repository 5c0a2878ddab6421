#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vector>

/* Graphs that are recorded from a stream: what it is asked is kept instead of done, and done whenever the graph is
 * launched, in its order. One stream records at a time. */

struct CUgraph_st {
	std::vector<std::function<void()>> work;
};

struct CUgraphExec_st {
	std::vector<std::function<void()>> work;
};

static cudaStream_t recording; /* NULL: none does */
static cudaError_t spoilt;     /* by a call that cannot be recorded */
static CUgraph_st recorded;

int graph_records(cudaStream_t stream, std::function<void()> work)
{
	if (!recording || stream != recording)
		return 0;
	recorded.work.push_back(std::move(work));
	return 1;
}

int graph_is_recorded(cudaStream_t stream)
{
	return recording && stream == recording;
}

cudaError_t graph_spoil(cudaStream_t stream)
{
	if (!graph_is_recorded(stream))
		return cudaSuccess;
	spoilt = cudaErrorStreamCaptureInvalidated;
	return cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	(void)mode;
	if (error_sticky() != cudaSuccess)
		return error_set(error_sticky());
	/* The default stream cannot record. */
	if (!stream || !stream_is_known(stream) || recording)
		return error_set(cudaErrorStreamCaptureUnsupported);
	recording = stream;
	spoilt = cudaSuccess;
	recorded.work.clear();
	return error_set(cudaSuccess);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	*graph = nullptr;
	if (!graph_is_recorded(stream))
		return error_set(cudaErrorStreamCaptureUnmatched);
	recording = nullptr;
	if (inject_refusal("capture", 0))
		spoilt = cudaErrorStreamCaptureInvalidated;
	if (spoilt != cudaSuccess)
		return error_set(spoilt);
	*graph = new CUgraph_st{std::move(recorded.work)};
	recorded.work.clear();
	return error_set(cudaSuccess);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *ready, cudaGraph_t graph, unsigned long long flags)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	(void)flags;
	*ready = new CUgraphExec_st{graph->work};
	return error_set(cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	if (!graph || !stream_is_known(stream) || recording)
		return error_set(cudaErrorInvalidValue);
	const char *set = getenv("AURELIUS_EMULATOR_TRACE");
	if (set && *set == '1')
		fprintf(stderr, "emulator: graph of %zu pieces of work\n", graph->work.size());
	stream_ask(stream);
	for (const std::function<void()> &work : graph->work) {
		if (error_sticky() != cudaSuccess)
			return error_set(error_sticky());
		work();
	}
	return error_set(cudaSuccess);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	delete graph;
	return error_set(cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	delete graph;
	return error_set(cudaSuccess);
}
