#include "nccl_twin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* NCCL's interface; nccl_twin.h says what is behind it. */

enum { POLLS = 3 };

static char last_error[512];
static int depth;
static struct twin_job *open_group;

ncclResult_t twin_fail(struct ncclComm *comm, ncclResult_t result, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(last_error, sizeof last_error, format, arguments);
	va_end(arguments);
	fprintf(stderr, "NCCL's twin: %s\n", last_error);
	if (comm && !comm->gone) {
		comm->state = result;
		snprintf(comm->error, sizeof comm->error, "%s", last_error);
	}
	return result;
}

int twin_fault(const struct ncclComm *comm, const char *kind, int64_t exchange)
{
	const char *fault = getenv("AURELIUS_EMULATED_NCCL_FAULT");
	int rank = 0;
	long long at = 0;
	char asked[16] = "";
	return fault && sscanf(fault, "%d:%lld:%15s", &rank, &at, asked) == 3 && rank == comm->rank && at == exchange &&
		   strcmp(kind, asked) == 0;
}

const char *ncclGetErrorString(ncclResult_t result)
{
	static const char *const texts[ncclNumResults] = {"no error", "unhandled cuda error", "unhandled system error",
		"internal error", "invalid argument", "invalid usage", "remote process exited or there was a network error",
		"NCCL operation in progress"};
	return result < ncclNumResults ? texts[result] : "unknown result code";
}

const char *ncclGetLastError(ncclComm_t comm)
{
	return comm ? comm->error : last_error;
}

ncclResult_t ncclGetVersion(int *version)
{
	const char *text = getenv("AURELIUS_EMULATED_NCCL_VERSION");
	*version = text ? atoi(text) : NCCL_VERSION_CODE;
	return ncclSuccess;
}

/* Never twice the same, so that ranks that were not given the same one differ. */
ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	memset(id, 0, sizeof *id);
	snprintf(id->internal, sizeof id->internal, "%ld.%ld.%ld", (long)getpid(), (long)now.tv_sec, now.tv_nsec);
	return ncclSuccess;
}

static ncclResult_t progress_of(struct ncclComm *comm)
{
	if (comm->blocks)
		return comm->state;
	comm->polls_left = POLLS;
	return ncclInProgress;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *handle, int nranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
	int size, own;
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	MPI_Comm_rank(MPI_COMM_WORLD, &own);
	*handle = NULL;
	if (nranks != size || rank != own)
		return twin_fail(
			NULL, ncclInvalidArgument, "rank %d of %d is rank %d of %d in MPI_COMM_WORLD", rank, nranks, own, size);
	if (config && (config->size != sizeof *config || config->magic != 0xcafebeef))
		return twin_fail(NULL, ncclInvalidArgument, "the configuration was not initialised");
	struct ncclComm *comm = calloc(1, sizeof *comm);
	*comm = (struct ncclComm){.rank = rank, .size = size, .blocks = !config || config->blocking != 0};
	*handle = comm;
	/* Over its own state: a communicator that does not block says so when it is polled. */
	const ncclResult_t result = twin_meet(comm, &id);
	return comm->blocks ? result : progress_of(comm);
}

ncclResult_t ncclCommInitRank(ncclComm_t *handle, int nranks, ncclUniqueId id, int rank)
{
	return ncclCommInitRankConfig(handle, nranks, id, rank, NULL);
}

/* Beside the launches that the emulated device traces. */
static void trace(const struct twin_job *job)
{
	const char *set = getenv("AURELIUS_EMULATOR_TRACE");
	if (set && *set == '1')
		fprintf(stderr, "emulator: rank %d: exchange of kind %d, %d calls\n", job->comm->rank, (int)job->calls[0].kind,
			job->n_calls);
}

/* Puts on its stream what waited for the polls to be over. */
static ncclResult_t launch(struct twin_job *job)
{
	struct ncclComm *comm = job->comm;
	if (job->n_calls > 0)
		trace(job);
	if (cudaLaunchHostFunc(job->stream, twin_run, job) == cudaSuccess)
		return ncclSuccess;
	free(job->calls);
	free(job);
	return twin_fail(comm, ncclUnhandledCudaError, "cudaLaunchHostFunc failed");
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state)
{
	if (comm->gone)
		return twin_fail(NULL, ncclInvalidArgument, "ncclCommGetAsyncError: the communicator is gone");
	*state = ncclInProgress;
	if (comm->hangs || (comm->polls_left > 0 && --comm->polls_left > 0))
		return ncclSuccess;
	struct twin_job *job = comm->ready;
	comm->ready = NULL;
	if (job)
		launch(job);
	*state = comm->state;
	return ncclSuccess;
}

/* NCCL forbids calls while one is in progress, and what it then does depends on luck. */
static ncclResult_t check_ready(struct ncclComm *comm, const char *call)
{
	if (!comm || comm->gone)
		return twin_fail(NULL, ncclInvalidArgument, "%s: the communicator is gone", call);
	if (comm->polls_left > 0 || comm->ready)
		return twin_fail(comm, ncclInvalidUsage, "%s: the call before is in progress", call);
	return comm->state;
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
	if (comm->gone)
		return twin_fail(NULL, ncclInvalidArgument, "ncclCommAbort: the communicator is gone");
	comm->gone = 1;
	return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
	const ncclResult_t ready = check_ready(comm, "ncclCommFinalize");
	if (ready != ncclSuccess)
		return ready;
	if (comm->holds != 0)
		return twin_fail(comm, ncclInvalidUsage, "ncclCommFinalize: %d memories are still registered", comm->holds);
	comm->finalized = 1;
	return progress_of(comm);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
	if (comm->gone || (!comm->blocks && !comm->finalized))
		return twin_fail(NULL, ncclInvalidUsage, "ncclCommDestroy: not finalized, or gone");
	comm->gone = 1;
	return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int *count)
{
	*count = comm->size;
	return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank)
{
	*rank = comm->rank;
	return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device)
{
	*device = comm->device;
	return ncclSuccess;
}

ncclResult_t ncclCommRegister(const ncclComm_t comm, void *memory, size_t bytes, void **handle)
{
	const ncclResult_t ready = check_ready(comm, "ncclCommRegister");
	*handle = bytes > 0 ? memory : NULL;
	if (ready == ncclSuccess && *handle)
		comm->holds++;
	return ready;
}

ncclResult_t ncclCommDeregister(const ncclComm_t comm, void *handle)
{
	if (handle)
		comm->holds--;
	return ncclSuccess;
}

/* Without an emulator that has streams: at once. */
__attribute__((weak)) cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data)
{
	(void)stream;
	function(data);
	return cudaSuccess;
}

/* nccl.h declares these two without the word that makes them prototypes of C. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
ncclResult_t ncclGroupStart(void)
{
	if (depth++ == 0)
		open_group = calloc(1, sizeof *open_group);
	return ncclSuccess;
}

static ncclResult_t start_job(struct twin_job *job)
{
	struct ncclComm *comm = job->comm;
	if (!comm) {
		free(job);
		return ncclSuccess;
	}
	comm->hangs = twin_fault(comm, "hang", comm->exchanges + 1);
	if (comm->blocks)
		return launch(job);
	comm->ready = job;
	return progress_of(comm);
}

ncclResult_t ncclGroupEnd(void)
{
	if (depth == 0)
		return twin_fail(NULL, ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
	if (--depth > 0)
		return ncclSuccess;
	struct twin_job *job = open_group;
	open_group = NULL;
	return start_job(job);
}

static ncclResult_t add(const char *name, ncclComm_t comm, cudaStream_t stream, const struct twin_call *call)
{
	const ncclResult_t ready = check_ready(comm, name);
	if (ready != ncclSuccess)
		return ready;
	if (call->root < 0 || call->root >= comm->size)
		return twin_fail(comm, ncclInvalidArgument, "%s: rank %d does not exist", name, call->root);
	if (depth == 0) {
		ncclGroupStart();
		const ncclResult_t result = add(name, comm, stream, call);
		const ncclResult_t ended = ncclGroupEnd();
		return result == ncclSuccess ? ended : result;
	}
	struct twin_job *job = open_group;
	if (job->comm && (job->comm != comm || job->stream != stream))
		return twin_fail(comm, ncclInvalidUsage, "%s: a group of two communicators or streams", name);
	struct twin_call *calls = realloc(job->calls, ((size_t)job->n_calls + 1) * sizeof *calls);
	if (!calls)
		return twin_fail(comm, ncclSystemError, "%s: no memory", name);
	job->calls = calls;
	job->comm = comm;
	job->stream = stream;
	job->calls[job->n_calls++] = *call;
	return ncclSuccess;
}

ncclResult_t ncclSend(
	const void *send, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream)
{
	const struct twin_call call = {.kind = TWIN_SEND, .type = type, .root = peer, .count = count, .send = send};
	return add("ncclSend", comm, stream, &call);
}

ncclResult_t ncclRecv(void *receive, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream)
{
	const struct twin_call call = {.kind = TWIN_RECV, .type = type, .root = peer, .count = count, .receive = receive};
	return add("ncclRecv", comm, stream, &call);
}

ncclResult_t ncclBroadcast(
	const void *send, void *receive, size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream)
{
	const struct twin_call call = {TWIN_BROADCAST, type, ncclSum, root, count, send, receive};
	return add("ncclBroadcast", comm, stream, &call);
}

ncclResult_t ncclReduce(const void *send, void *receive, size_t count, ncclDataType_t type, ncclRedOp_t op, int root,
	ncclComm_t comm, cudaStream_t stream)
{
	const struct twin_call call = {TWIN_REDUCE, type, op, root, count, send, receive};
	return add("ncclReduce", comm, stream, &call);
}

ncclResult_t ncclAllReduce(const void *send, void *receive, size_t count, ncclDataType_t type, ncclRedOp_t op,
	ncclComm_t comm, cudaStream_t stream)
{
	const struct twin_call call = {TWIN_ALL_REDUCE, type, op, 0, count, send, receive};
	return add("ncclAllReduce", comm, stream, &call);
}

ncclResult_t ncclAllGather(
	const void *send, void *receive, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream)
{
	const struct twin_call call = {TWIN_ALL_GATHER, type, ncclSum, 0, count, send, receive};
	return add("ncclAllGather", comm, stream, &call);
}

ncclResult_t ncclReduceScatter(const void *send, void *receive, size_t count, ncclDataType_t type, ncclRedOp_t op,
	ncclComm_t comm, cudaStream_t stream)
{
	const struct twin_call call = {TWIN_REDUCE_SCATTER, type, op, 0, count, send, receive};
	return add("ncclReduceScatter", comm, stream, &call);
}
