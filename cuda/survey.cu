#include "attention_cudnn.cuh"

#ifndef AURELIUS_EMULATED
#include "libraries.h"
#endif

#include <stdio.h>
#include <string.h>

/* What a machine has of GPUs and of NVIDIA's libraries, for people. Nothing here fails: what is wrong is a text. */

static const int cuda_major = CUDART_VERSION / 1000;

static struct aur_survey_library *add_library(struct aur_survey *survey, const char *name)
{
	struct aur_survey_library *library = &survey->libraries[survey->n_libraries++];
	library->name = name;
	return library;
}

static void survey_cublaslt(struct aur_survey_library *library)
{
#ifdef AURELIUS_EMULATED
	snprintf(library->version, sizeof library->version, "emulated");
#else
	if (aur_cublaslt_open() == AUR_OK) {
		const int version = static_cast<int>(cublasLtGetVersion());
		snprintf(
			library->version, sizeof library->version, "%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
		return;
	}
	snprintf(library->missing, sizeof library->missing,
		"%.200s (nothing is computed on a GPU without it; NVIDIA's package libcublas-%d-%d has it)",
		aur_error_message(), cuda_major, CUDART_VERSION % 1000 / 10);
	aur_error_clear();
#endif
}

static void survey_cudnn(struct aur_survey_library *library)
{
	char why[160] = "this program was built without it";
	int found = 0;
#if defined(AUR_WITH_CUDNN) && !defined(AURELIUS_EMULATED)
	found = aur_cudnn_open(why, sizeof why);
#endif
	if (found)
		aur_cudnn_attention_name(library->version, sizeof library->version);
	else
		snprintf(library->missing, sizeof library->missing,
			"%s (attention is computed by own kernels, which are slower; NVIDIA's package libcudnn9-cuda-%d has it)",
			why, cuda_major);
}

/* Its free memory is known to a device in use alone. */
static void survey_memory(int number, struct aur_survey_device *device)
{
	size_t available = 0, total = 0;
	if (cudaSetDevice(number) == cudaSuccess && cudaMemGetInfo(&available, &total) == cudaSuccess) {
		device->memory_bytes = static_cast<int64_t>(total);
		device->free_bytes = static_cast<int64_t>(available);
		return;
	}
	const cudaError_t error = cudaGetLastError();
	snprintf(device->unusable, sizeof device->unusable, "it cannot be used: %s", cudaGetErrorString(error));
}

static void survey_device(int number, struct aur_survey_device *device)
{
	struct cudaDeviceProp properties;
	if (cudaGetDeviceProperties(&properties, number) != cudaSuccess) {
		(void)cudaGetLastError();
		snprintf(device->unusable, sizeof device->unusable, "it does not answer");
		return;
	}
	snprintf(device->name, sizeof device->name, "%.*s", static_cast<int>(sizeof device->name) - 1, properties.name);
	(void)cudaDeviceGetPCIBusId(device->id, sizeof device->id, number);
	device->capability = 10 * properties.major + properties.minor;
	if (device->capability < AUR_LEAST_CAPABILITY)
		snprintf(device->unusable, sizeof device->unusable, "compute capability %d.%d, 8.0 or newer is needed",
			properties.major, properties.minor);
	else
		survey_memory(number, device);
}

/* What cannot be computed on is of no matter. */
static int reaches(const struct aur_survey *survey, int device, int peer)
{
	int can = 0;
	if (survey->devices[device].unusable[0] || survey->devices[peer].unusable[0])
		return 1;
	if (cudaDeviceCanAccessPeer(&can, device, peer) == cudaSuccess)
		return can;
	(void)cudaGetLastError();
	return 0;
}

static void survey_access(struct aur_survey *survey)
{
	for (int i = 0; i < survey->n_devices && i < AUR_SURVEY_DEVICES; i++)
		for (int j = 0; j < i; j++)
			if (!reaches(survey, i, j) || !reaches(survey, j, i)) {
				snprintf(survey->apart, sizeof survey->apart, "%d and %d", j, i);
				return;
			}
}

static void survey_driver(struct aur_survey *survey)
{
	int driver = 0;
	snprintf(survey->runtime, sizeof survey->runtime, "CUDA %d.%d", cuda_major, CUDART_VERSION % 1000 / 10);
	if (cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0)
		snprintf(survey->driver, sizeof survey->driver, "CUDA %d.%d", driver / 1000, driver % 1000 / 10);
	(void)cudaGetLastError();
}

void aur_cuda_survey(struct aur_survey *survey)
{
	survey_driver(survey);
	survey_cublaslt(add_library(survey, "cuBLASLt"));
	survey_cudnn(add_library(survey, "cuDNN"));
	if (aur_cuda_count_devices(&survey->n_devices) != AUR_OK) {
		survey->n_devices = 0;
		snprintf(
			survey->why, sizeof survey->why, "%.*s", static_cast<int>(sizeof survey->why) - 1, aur_error_message());
		aur_error_clear();
		return;
	}
	for (int i = 0; i < survey->n_devices && i < AUR_SURVEY_DEVICES; i++)
		survey_device(i, &survey->devices[i]);
	survey_access(survey);
	(void)cudaSetDevice(0);
}
