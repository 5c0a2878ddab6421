#include "nccl_calls.h"

#include "core/log.h"

#include <dlfcn.h>

/* NCCL is opened when a run has GPUs to connect: the program starts where it is not installed, and there stages
 * gradients through the host. Functions of the library's own names pass each call on; tests link others in their place.
 */

#define NAME_OF(major) NAME_OF_(major)
#define NAME_OF_(major) "libnccl.so." #major
static const char library_name[] = NAME_OF(NCCL_MAJOR);

/* Said once: every rank asks several times. */
static void *open_library(void)
{
	static void *library;
	static int tried;
	if (!tried)
		library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
	if (!tried && !library)
		aur_warn("NCCL is not used: %s (install it, or set LD_LIBRARY_PATH)", dlerror());
	tried = 1;
	return library;
}

static void *find(const char *name)
{
	void *library = open_library();
	return library ? dlsym(library, name) : NULL;
}

/* What a call returns that the library does not have. */
#define PASS_ON(type, name, parameters, arguments, missing)                                                            \
	type name parameters                                                                                               \
	{                                                                                                                  \
		static type(*call) parameters;                                                                                 \
		if (!call)                                                                                                     \
			*(void **)&call = find(#name);                                                                             \
		return call ? call arguments : (missing);                                                                      \
	}
#define CALL(name, parameters, arguments) PASS_ON(ncclResult_t, name, parameters, arguments, ncclSystemError)

PASS_ON(const char *, ncclGetErrorString, (ncclResult_t result), (result), "the library lacks this function")
PASS_ON(const char *, ncclGetLastError, (ncclComm_t comm), (comm), "")
CALL(ncclGetVersion, (int *version), (version))
CALL(ncclGetUniqueId, (ncclUniqueId * id), (id))
CALL(ncclCommInitRankConfig, (ncclComm_t * comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t *config),
	(comm, ranks, id, rank, config))
CALL(ncclCommGetAsyncError, (ncclComm_t comm, ncclResult_t *result), (comm, result))
CALL(ncclCommFinalize, (ncclComm_t comm), (comm))
CALL(ncclCommDestroy, (ncclComm_t comm), (comm))
CALL(ncclCommAbort, (ncclComm_t comm), (comm))
CALL(
	ncclCommRegister, (const ncclComm_t comm, void *memory, size_t bytes, void **handle), (comm, memory, bytes, handle))
CALL(ncclCommDeregister, (const ncclComm_t comm, void *handle), (comm, handle))
CALL(ncclSend, (const void *send, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream),
	(send, count, type, peer, comm, stream))
CALL(ncclRecv, (void *receive, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream),
	(receive, count, type, peer, comm, stream))
CALL(ncclBroadcast,
	(const void *send, void *receive, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
		cudaStream_t stream),
	(send, receive, count, type, root, comm, stream))
CALL(ncclReduce,
	(const void *send, void *receive, size_t count, ncclDataType_t type, ncclRedOp_t op, int root, ncclComm_t comm,
		cudaStream_t stream),
	(send, receive, count, type, op, root, comm, stream))
CALL(ncclReduceScatter,
	(const void *send, void *receive, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
		cudaStream_t stream),
	(send, receive, count, type, op, comm, stream))
CALL(ncclAllGather,
	(const void *send, void *receive, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream),
	(send, receive, count, type, comm, stream))

/* nccl.h declares these two without the word that makes them prototypes of C. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
CALL(ncclGroupStart, (void), ())
CALL(ncclGroupEnd, (void), ())
