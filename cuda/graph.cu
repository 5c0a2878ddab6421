#include "internal.cuh"

extern "C" {
#include "core/log.h"
}

#include <stdlib.h>
#include <string.h>

/* Operations recorded on the compute stream and launched as one CUDA graph (struct aur_backend_graphs): a device of a
 * thousand short kernels a micro-step then waits for none of their launches. Kernels keep the arguments of the
 * recording; all that changes between steps is in memory. Libraries record like kernels do: cuBLASLt's and cuDNN's
 * workspaces are ours and stay where they are. */

/* What a call that cannot be recorded leaves behind is taken away, and nothing is recorded any more. */
static void give_up(struct aur_cuda *cuda, cudaError_t error)
{
	(void)cudaGetLastError();
	cuda->base.graphs = NULL;
	aur_info("CUDA graphs are not used: %s (%s)", cudaGetErrorString(error), cudaGetErrorName(error));
}

/* Calls of other threads, such as NCCL's, do not end the recording. */
static aur_status begin_recording(struct aur_backend *backend)
{
	return aur_cuda_check(
		cudaStreamBeginCapture(aur_cuda_of(backend)->stream, cudaStreamCaptureModeThreadLocal), "CUDA graph");
}

static aur_status end_recording(struct aur_backend *backend, int keep, void **graph)
{
	struct aur_cuda *cuda = aur_cuda_of(backend);
	cudaGraph_t recorded = NULL;
	cudaGraphExec_t ready = NULL;
	cudaError_t error = cudaStreamEndCapture(cuda->stream, &recorded);
	if (error == cudaSuccess && keep)
		error = cudaGraphInstantiate(&ready, recorded, 0);
	if (recorded)
		(void)cudaGraphDestroy(recorded);
	*graph = error == cudaSuccess ? ready : NULL;
	/* An operation that failed while it was recorded would do so again. */
	if (error != cudaSuccess || !keep)
		give_up(cuda, error != cudaSuccess ? error : cudaErrorStreamCaptureInvalidated);
	return AUR_OK;
}

static aur_status run_graph(struct aur_backend *backend, void *graph)
{
	return aur_cuda_check(
		cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), aur_cuda_of(backend)->stream), "CUDA graph");
}

static void discard_graph(struct aur_backend *, void *graph)
{
	if (graph)
		(void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
	(void)cudaGetLastError();
}

static constexpr struct aur_backend_graphs table_of_graphs()
{
	struct aur_backend_graphs table = {};
	table.begin = begin_recording;
	table.end = end_recording;
	table.run = run_graph;
	table.discard = discard_graph;
	return table;
}

static constexpr struct aur_backend_graphs graphs = table_of_graphs();

const struct aur_backend_graphs *aur_cuda_graphs(void)
{
	const char *asked = getenv("AURELIUS_GRAPHS");
	return asked && strcmp(asked, "off") == 0 ? NULL : &graphs;
}
