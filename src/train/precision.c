#include "train/precision.h"

#include "core/log.h"

#include <stdio.h>
#include <string.h>

static int wants_tf32(const struct aur_config *config)
{
	return config->system.precision == AUR_PRECISION_TF32;
}

const char *aur_precision_backend(const struct aur_config *config)
{
	static const char *const names[] = {
		[AUR_BACKEND_AUTO] = "auto", [AUR_BACKEND_CPU] = "cpu", [AUR_BACKEND_CUDA] = "cuda"};
	return names[config->system.backend];
}

static int wants_bf16(const struct aur_config *config)
{
	return config->system.precision == AUR_PRECISION_BF16;
}

/* A bigram looks up rows of a table: it has no products that bf16 would speed up. */
static int has_products(const struct aur_config *config)
{
	return config->model.kind != AUR_MODEL_BIGRAM;
}

enum aur_dtype aur_precision_of(const struct aur_config *config, const struct aur_backend *backend)
{
	return wants_bf16(config) && has_products(config) && backend->fast_bf16 ? AUR_BF16 : AUR_F32;
}

void aur_precision_tell(const struct aur_config *config, struct aur_backend *backend)
{
	backend->tf32 = wants_tf32(config) && has_products(config) && backend->fast_tf32;
	backend->deterministic = config->train.reduction == AUR_REDUCTION_EXACT;
}

const char *aur_precision_name(const struct aur_config *config, const struct aur_backend *backend)
{
	return backend->tf32 ? "tf32" : aur_dtype_name(aur_precision_of(config, backend));
}

void aur_precision_say(const struct aur_config *config, const struct aur_backend *backend)
{
	const int lacks_bf16 = wants_bf16(config) && aur_precision_of(config, backend) != AUR_BF16;
	const int lacks_tf32 = wants_tf32(config) && !backend->tf32;
	if (!lacks_bf16 && !lacks_tf32)
		return;
	if (!has_products(config))
		aur_info("system.precision: a bigram has no matrix products; fp32 is used");
	else if (lacks_tf32)
		aur_warn(
			"system.precision: tf32 is a type of NVIDIA GPUs, which the backend %s does not compute on; fp32 is used",
			backend->name);
	else
		aur_warn("system.precision: this processor's code path (%s) has no instructions for products of bf16 "
				 "(AVX512-BF16); fp32 is used",
			backend->variant);
}

/* The library that computes attention; NULL where the backend does so itself. */
static const char *library_attention(const struct aur_backend *backend)
{
	const int own = backend->attention[0] == '\0' || strncmp(backend->attention, "own", strlen("own")) == 0;
	return own ? NULL : backend->attention;
}

void aur_precision_variant(
	const struct aur_config *config, const struct aur_backend *backend, char variant[AUR_VARIANT])
{
	const char *precision = aur_precision_name(config, backend), *library = library_attention(backend);
	char tail[AUR_VARIANT / 2] = "";
	int used = 0;
	if (strcmp(precision, aur_dtype_name(AUR_F32)) != 0)
		used = snprintf(tail, sizeof tail, ", %s", precision);
	if (library)
		snprintf(tail + used, sizeof tail - (size_t)used, ", %s", library);
	snprintf(variant, AUR_VARIANT, "%.*s%s", AUR_VARIANT - 1 - (int)strlen(tail), backend->variant, tail);
}

aur_status aur_precision_round(
	struct aur_backend *backend, enum aur_dtype dtype, const float *weights, void *compute_weights, int64_t count)
{
	if (dtype == AUR_F32)
		return AUR_OK;
	const struct aur_cast cast = {
		.x = aur_view1((float *)weights, count), .y = aur_view1_of(compute_weights, dtype, count)};
	return backend->ops->cast(backend, &cast);
}
