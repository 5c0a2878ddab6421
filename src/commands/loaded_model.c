#include "loaded_model.h"

#include <stdlib.h>

/* By way of host memory where the backend has its own. */
static aur_status load_through_host(struct aur_loaded_model *loaded, size_t bytes)
{
	float *host = malloc(bytes);
	if (!host)
		return aur_fail(AUR_MEMORY, "%s: no memory for its weights, %zu bytes", loaded->file.path, bytes);
	aur_status status = aur_model_file_weights(&loaded->file, host);
	if (status == AUR_OK)
		status = loaded->backend->ops->upload(loaded->backend, loaded->weights, host, bytes);
	if (status == AUR_OK)
		status = loaded->backend->ops->synchronise(loaded->backend);
	free(host);
	return status;
}

static aur_status load_weights(struct aur_loaded_model *loaded)
{
	struct aur_backend *backend = loaded->backend;
	const size_t bytes = (size_t)aur_model_parameters(loaded->file.model)->count * sizeof(float);
	void *memory = NULL;
	AUR_TRY(backend->ops->allocate(backend, bytes, &memory));
	loaded->weights = memory;
	if (backend->host_memory)
		return aur_model_file_weights(&loaded->file, loaded->weights);
	return load_through_host(loaded, bytes);
}

aur_status aur_loaded_model_open(const char *path, int best, struct aur_loaded_model *loaded)
{
	AUR_TRY(aur_model_file_open(path, best, &loaded->file));
	AUR_TRY(aur_backend_open("auto", &loaded->backend));
	return load_weights(loaded);
}

void aur_loaded_model_close(struct aur_loaded_model *loaded)
{
	if (loaded->weights)
		loaded->backend->ops->release(loaded->backend, loaded->weights);
	loaded->weights = NULL;
	aur_backend_close(&loaded->backend);
	aur_model_file_close(&loaded->file);
}

aur_status aur_check_one_rank(const struct aur_command_context *context, const char *command)
{
	if (context->size <= 1)
		return AUR_OK;
	return aur_fail(AUR_USAGE, "%s runs on one rank: start it without mpirun", command);
}
