#include "attention_choice.cuh"
#include "memory.cuh"

extern "C" {
#include "cuda/cuda.h"
}

#ifndef AURELIUS_EMULATED
#include "libraries.h"
#endif

#include <new>
#include <stdio.h>
#include <stdlib.h>

/* Opening and closing, and the table. */

static int place_asked;

static void use_device(int place)
{
	place_asked = place;
}

static aur_status fail_without_driver(void)
{
	int driver = 0;
	(void)cudaDriverGetVersion(&driver);
	if (driver == 0)
		return aur_fail(
			AUR_DEVICE, "cuda: this machine has no NVIDIA driver; install one, or train with system.backend: cpu");
	return aur_fail(AUR_DEVICE,
		"cuda: the NVIDIA driver is for CUDA %d.%d and this program needs CUDA %d; install a newer driver, or train "
		"with system.backend: cpu",
		driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000);
}

aur_status aur_cuda_count_devices(int *count)
{
	const cudaError_t error = cudaGetDeviceCount(count);
	if (error == cudaErrorInsufficientDriver) {
		(void)cudaGetLastError();
		return fail_without_driver();
	}
	if (error != cudaErrorNoDevice && error != cudaSuccess)
		return aur_cuda_check(error, "cuda: looking for GPUs");
	if (error == cudaSuccess && *count > 0)
		return AUR_OK;
	(void)cudaGetLastError();
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");
	return aur_fail(AUR_DEVICE,
		"cuda: no NVIDIA GPU is visible%s%s; look at nvidia-smi, or train with "
		"system.backend: cpu",
		visible ? ", CUDA_VISIBLE_DEVICES=" : "", visible ? visible : "");
}

static void name_variant(struct aur_cuda *cuda)
{
	char *variant = cuda->base.variant;
#ifdef AURELIUS_EMULATED
	snprintf(variant, sizeof cuda->base.variant, "emulated");
#else
	const int version = static_cast<int>(cublasLtGetVersion());
	snprintf(variant, sizeof cuda->base.variant, "sm_%d %.60s cuBLASLt %d.%d.%d", cuda->capability, cuda->base.device,
		version / 10000, version / 100 % 100, version % 100);
#endif
}

static aur_status choose_device(struct aur_cuda *cuda)
{
	struct cudaDeviceProp properties;
	int count = 0;
	AUR_TRY(aur_cuda_count_devices(&count));
	cuda->base.devices = count;
	cuda->device = place_asked % count;
	AUR_TRY(aur_cuda_check(cudaGetDeviceProperties(&properties, cuda->device), "cudaGetDeviceProperties"));
	cuda->capability = 10 * properties.major + properties.minor;
	cuda->multiprocessors = properties.multiProcessorCount;
	cuda->shared_bytes = properties.sharedMemPerBlockOptin;
	if (cuda->capability < AUR_LEAST_CAPABILITY)
		return aur_fail(AUR_DEVICE,
			"cuda: GPU %d, %s, has compute capability %d.%d, too old for this program, which needs 8.0; choose another "
			"by CUDA_VISIBLE_DEVICES, or train with system.backend: cpu",
			cuda->device, properties.name, properties.major, properties.minor);
	snprintf(cuda->base.device, sizeof cuda->base.device, "%.*s", static_cast<int>(sizeof cuda->base.device) - 1,
		properties.name);
	AUR_TRY(aur_cuda_check(cudaSetDevice(cuda->device), "cudaSetDevice"));
	return aur_cuda_check(cudaDeviceGetPCIBusId(cuda->base.device_id, sizeof cuda->base.device_id, cuda->device),
		"cudaDeviceGetPCIBusId");
}

static aur_status take_resources(struct aur_cuda *cuda)
{
	void *memory = NULL;
	AUR_TRY(aur_cuda_check(cudaStreamCreateWithFlags(&cuda->stream, cudaStreamNonBlocking), "cuda: stream"));
	AUR_TRY(aur_cuda_staging_create(cuda));
	AUR_TRY(aur_cuda_allocate(&cuda->base, sizeof *cuda->fault, &memory));
	cuda->fault = static_cast<int32_t *>(memory);
	AUR_TRY(aur_cuda_zero(&cuda->base, cuda->fault, sizeof *cuda->fault));
	AUR_TRY(aur_cuda_allocate(&cuda->base, AUR_CUBLAS_WORKSPACE, &cuda->cublas_workspace));
	AUR_TRY(aur_cublas_check(cublasLtCreate(&cuda->cublas), "cublasLtCreate"));
	return aur_cuda_products_create(cuda);
}

static void give_back_resources(struct aur_cuda *cuda)
{
	(void)cudaStreamSynchronize(cuda->stream);
	aur_attention_forget(cuda);
	aur_cuda_products_destroy(cuda);
	if (cuda->cublas)
		(void)cublasLtDestroy(cuda->cublas);
	(void)cudaFree(cuda->cublas_workspace);
	(void)cudaFree(cuda->scratch);
	(void)cudaFree(cuda->fault);
	aur_cuda_staging_destroy(cuda);
	(void)cudaStreamDestroy(cuda->stream);
	(void)cudaGetLastError();
}

static void close_cuda(struct aur_backend *backend)
{
	struct aur_cuda *cuda = aur_cuda_of(backend);
	if (cuda->stream)
		give_back_resources(cuda);
	delete cuda;
}

static constexpr struct aur_backend_ops table_of_operations()
{
	struct aur_backend_ops table = {};
	table.allocate = aur_cuda_allocate;
	table.release = aur_cuda_release;
	table.upload = aur_cuda_upload;
	table.download = aur_cuda_download;
	table.copy = aur_cuda_copy;
	table.zero = aur_cuda_zero;
	table.synchronise = aur_cuda_synchronise;
	table.room = aur_cuda_room;
	table.reserve = aur_cuda_reserve;
	table.close = close_cuda;
	table.embedding_forward = aur_embedding_forward_cuda;
	table.embedding_backward = aur_embedding_backward_cuda;
	table.residual_norm_forward = aur_residual_norm_forward_cuda;
	table.residual_norm_backward = aur_residual_norm_backward_cuda;
	table.linear_forward = aur_linear_forward_cuda;
	table.linear_backward = aur_linear_backward_cuda;
	table.activation_forward = aur_activation_forward_cuda;
	table.activation_backward = aur_activation_backward_cuda;
	table.attention_forward = aur_attention_forward_cuda;
	table.attention_backward = aur_attention_backward_cuda;
	table.attention_cached = aur_attention_cached_cuda;
	table.head_loss = aur_head_loss_cuda;
	table.table_loss = aur_table_loss_cuda;
	table.adamw = aur_adamw_cuda;
	table.sum_of_squares = aur_sum_of_squares_cuda;
	table.clip = aur_clip_cuda;
	table.tree_add = aur_tree_add_cuda;
	table.cast = aur_cast_cuda;
	return table;
}

static constexpr struct aur_backend_ops operations = table_of_operations();

static aur_status open_device(struct aur_cuda *cuda)
{
	AUR_TRY(choose_device(cuda));
#ifndef AURELIUS_EMULATED
	AUR_TRY(aur_cublaslt_open());
#endif
	name_variant(cuda);
	return take_resources(cuda);
}

static aur_status open_cuda(struct aur_backend **backend)
{
	struct aur_cuda *cuda = new (std::nothrow) aur_cuda();
	if (!cuda)
		return aur_fail(AUR_MEMORY, "cuda: no memory for the backend (%zu bytes)", sizeof *cuda);
	cuda->base.ops = &operations;
	cuda->base.streams = &aur_cuda_streams;
	cuda->base.choices = &aur_cuda_choices;
	cuda->base.graphs = aur_cuda_graphs();
	cuda->base.marks = aur_cuda_marks();
	cuda->base.name = "cuda";
	cuda->base.fast_bf16 = 1;
	cuda->base.fast_tf32 = 1;
	cuda->base.deterministic = 1;
	cuda->base.private_data = cuda;
	const aur_status status = open_device(cuda);
	if (status != AUR_OK) {
		close_cuda(&cuda->base);
		return status;
	}
	*backend = &cuda->base;
	return AUR_OK;
}

static constexpr struct aur_backend_factory factory()
{
	struct aur_backend_factory made = {};
	made.name = "cuda";
	made.open = open_cuda;
	made.use_device = use_device;
	made.survey = aur_cuda_survey;
	return made;
}

constexpr struct aur_backend_factory aur_cuda_factory = factory();
