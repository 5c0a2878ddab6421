#include "train/precision.h"

#include "core/log.h"

#include <stdio.h>

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

void aur_precision_say(const struct aur_config *config, const struct aur_backend *backend)
{
	if (!wants_bf16(config) || aur_precision_of(config, backend) == AUR_BF16)
		return;
	if (!has_products(config))
		aur_info("system.precision: a bigram has no matrix products; fp32 is used");
	else
		aur_warn("system.precision: this processor's code path (%s) has no instructions for products of bf16 "
				 "(AVX512-BF16); fp32 is used",
			backend->variant);
}

void aur_precision_variant(
	const struct aur_config *config, const struct aur_backend *backend, char variant[AUR_VARIANT])
{
	const enum aur_dtype dtype = aur_precision_of(config, backend);
	if (dtype == AUR_F32)
		snprintf(variant, AUR_VARIANT, "%s", backend->variant);
	else
		snprintf(variant, AUR_VARIANT, "%.*s, %s", AUR_VARIANT - 8, backend->variant, aur_dtype_name(dtype));
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
