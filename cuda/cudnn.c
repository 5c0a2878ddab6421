#include "forward.h"
#include "libraries.h"

#include <cudnn_graph.h>
#include <stdio.h>

/* cuDNN's graphs, opened when they are first asked for (libraries.h). */

#define NAME_OF(major) NAME_OF_(major)
#define NAME_OF_(major) "libcudnn.so." #major
static const char library_name[] = NAME_OF(CUDNN_MAJOR);

static void *library;

int aur_cudnn_open(char *why, size_t bytes)
{
	if (!library)
		library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
	if (!library && why)
		snprintf(why, bytes, "%s", dlerror());
	return library != NULL;
}

#define FORWARD(name, parameters, arguments)                                                                           \
	AUR_FORWARD(library, cudnnStatus_t, name, parameters, arguments, CUDNN_STATUS_NOT_INITIALIZED)

AUR_FORWARD(library, size_t, cudnnGetVersion, (void), (), 0)
AUR_FORWARD(library, const char *, cudnnGetErrorString, (cudnnStatus_t status), (status), "cuDNN is not open")
FORWARD(cudnnCreate, (cudnnHandle_t * handle), (handle))
FORWARD(cudnnDestroy, (cudnnHandle_t handle), (handle))
FORWARD(cudnnSetStream, (cudnnHandle_t handle, cudaStream_t stream), (handle, stream))
FORWARD(cudnnBackendCreateDescriptor, (cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *descriptor),
	(type, descriptor))
FORWARD(cudnnBackendDestroyDescriptor, (cudnnBackendDescriptor_t descriptor), (descriptor))
FORWARD(cudnnBackendFinalize, (cudnnBackendDescriptor_t descriptor), (descriptor))
FORWARD(cudnnBackendSetAttribute,
	(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
		int64_t count, const void *values),
	(descriptor, name, type, count, values))
FORWARD(cudnnBackendGetAttribute,
	(cudnnBackendDescriptor_t const descriptor, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
		int64_t asked, int64_t *count, void *values),
	(descriptor, name, type, asked, count, values))
FORWARD(cudnnBackendExecute,
	(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t variant_pack),
	(handle, plan, variant_pack))
