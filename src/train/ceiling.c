#include "train/ceiling.h"

#include "core/clock.h"

#include <math.h>
#include <stdlib.h>

enum { SIDE = 768, LEAST_PRODUCTS = 3 };

struct aur_ceiling {
	struct aur_backend *backend; /* owned */
	void *memory;                /* owned */
	struct aur_linear_forward product;
};

/* matrix = values, rounded to its type where the backend's operations run. */
static aur_status put(struct aur_backend *backend, const float *values, enum aur_dtype dtype, void *matrix)
{
	const size_t bytes = sizeof *values * SIDE * SIDE;
	void *wide = NULL;
	if (dtype == AUR_F32)
		return backend->ops->upload(backend, matrix, values, bytes);
	AUR_TRY(backend->ops->allocate(backend, bytes, &wide));
	const struct aur_cast cast = {.x = aur_view1(wide, SIDE * SIDE), .y = aur_view1_of(matrix, dtype, SIDE * SIDE)};
	aur_status status = backend->ops->upload(backend, wide, values, bytes);
	if (status == AUR_OK)
		status = backend->ops->cast(backend, &cast);
	if (status == AUR_OK)
		status = backend->ops->synchronise(backend);
	backend->ops->release(backend, wide);
	return status;
}

/* Both signs and nowhere zero: products of zeros use less current, and some processors then run faster. */
static aur_status fill(struct aur_ceiling *ceiling, enum aur_dtype dtype, void *matrix)
{
	float *values = malloc(sizeof *values * SIDE * SIDE);
	if (!values)
		return aur_fail(AUR_MEMORY, "a measurement: no memory for a matrix");
	uint32_t random = 1;
	for (int i = 0; i < SIDE * SIDE; i++) {
		random = random * 1664525u + 1013904223u;
		values[i] = (float)(random >> 8) * 0x1p-24f - 0.499f;
	}
	const aur_status status = put(ceiling->backend, values, dtype, matrix);
	free(values);
	return status;
}

static aur_status multiply(struct aur_ceiling *ceiling)
{
	AUR_TRY(ceiling->backend->ops->linear_forward(ceiling->backend, &ceiling->product));
	return ceiling->backend->ops->synchronise(ceiling->backend);
}

static aur_status open_matrices(struct aur_ceiling *ceiling, enum aur_dtype dtype)
{
	struct aur_backend *backend = ceiling->backend;
	const struct aur_backend_limits limits = {.batch = 1,
		.positions = SIDE,
		.width = SIDE,
		.heads = 1,
		.mlp_width = SIDE,
		.vocabulary = SIDE,
		.parameters = SIDE,
		.activations = dtype};
	const size_t bytes = aur_dtype_bytes(dtype) * SIDE * SIDE;
	AUR_TRY(backend->ops->reserve(backend, &limits, NULL));
	AUR_TRY(backend->ops->allocate(backend, 3 * bytes, &ceiling->memory));
	char *x = ceiling->memory, *w = x + bytes, *y = w + bytes;
	ceiling->product = (struct aur_linear_forward){.x = aur_view2_of(x, dtype, SIDE, SIDE),
		.w = aur_view2_of(w, dtype, SIDE, SIDE),
		.y = aur_view2_of(y, dtype, SIDE, SIDE)};
	AUR_TRY(fill(ceiling, dtype, x));
	AUR_TRY(fill(ceiling, dtype, w));
	/* The first products touch the result and the library's buffers, and wake threads and clocks. */
	AUR_TRY(multiply(ceiling));
	return multiply(ceiling);
}

aur_status aur_ceiling_open(const struct aur_backend *like, enum aur_dtype dtype, struct aur_ceiling **ceiling)
{
	*ceiling = calloc(1, sizeof **ceiling);
	if (!*ceiling)
		return aur_fail(AUR_MEMORY, "a measurement: no memory");
	aur_status status = aur_backend_open(like->name, &(*ceiling)->backend);
	if (status == AUR_OK) {
		(*ceiling)->backend->tf32 = like->tf32;
		status = open_matrices(*ceiling, dtype);
	}
	if (status != AUR_OK)
		aur_ceiling_close(ceiling);
	return status;
}

void aur_ceiling_close(struct aur_ceiling **ceiling)
{
	if (!ceiling || !*ceiling)
		return;
	if ((*ceiling)->memory)
		(*ceiling)->backend->ops->release((*ceiling)->backend, (*ceiling)->memory);
	aur_backend_close(&(*ceiling)->backend);
	free(*ceiling);
	*ceiling = NULL;
}

aur_status aur_ceiling_run(struct aur_ceiling *ceiling, double seconds, double *flops_per_s)
{
	const double flops = 2.0 * SIDE * SIDE * SIDE, start = aur_clock_s();
	double before = start;
	for (int i = 0; i < LEAST_PRODUCTS || before - start < seconds; i++) {
		AUR_TRY(multiply(ceiling));
		const double after = aur_clock_s();
		*flops_per_s = fmax(*flops_per_s, flops / fmax(after - before, 1e-9));
		before = after;
	}
	return AUR_OK;
}
