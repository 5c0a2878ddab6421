#include "train/ceiling.h"

#include "core/clock.h"

#include <math.h>
#include <stdlib.h>

enum { SIDE = 768, SMALL_SIDE = 256, LARGE_SIDE = 4096, LEAST_PRODUCTS = 3, PRODUCTS_AT_ONCE = 8 };

/* A device that multiplies small matrices faster than this, eight of them in 1.3 ms, would be measured at waiting for
 * the host. What is slower is emulated. */
static const double fast_flops = 2e11;

struct aur_ceiling {
	struct aur_backend *backend; /* owned */
	void *memory;                /* owned */
	int64_t side;
	int at_once; /* products that are asked for before they are waited for */
	struct aur_linear_forward product;
};

/* matrix = values, rounded to its type where the backend's operations run. */
static aur_status put(
	struct aur_backend *backend, const float *values, int64_t count, enum aur_dtype dtype, void *matrix)
{
	const size_t bytes = sizeof *values * (size_t)count;
	void *wide = NULL;
	if (dtype == AUR_F32)
		return backend->ops->upload(backend, matrix, values, bytes);
	AUR_TRY(backend->ops->allocate(backend, bytes, &wide));
	const struct aur_cast cast = {.x = aur_view1(wide, count), .y = aur_view1_of(matrix, dtype, count)};
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
	const int64_t count = ceiling->side * ceiling->side;
	float *values = malloc(sizeof *values * (size_t)count);
	if (!values)
		return aur_fail(AUR_MEMORY, "a measurement: no memory for a matrix");
	uint32_t random = 1;
	for (int64_t i = 0; i < count; i++) {
		random = random * 1664525u + 1013904223u;
		values[i] = (float)(random >> 8) * 0x1p-24f - 0.499f;
	}
	const aur_status status = put(ceiling->backend, values, count, dtype, matrix);
	free(values);
	return status;
}

static aur_status multiply(struct aur_ceiling *ceiling)
{
	for (int i = 0; i < ceiling->at_once; i++)
		AUR_TRY(ceiling->backend->ops->linear_forward(ceiling->backend, &ceiling->product));
	return ceiling->backend->ops->synchronise(ceiling->backend);
}

static aur_status open_matrices(struct aur_ceiling *ceiling, enum aur_dtype dtype, int64_t side, int at_once)
{
	struct aur_backend *backend = ceiling->backend;
	const struct aur_backend_limits limits = {.batch = 1,
		.positions = side,
		.width = side,
		.heads = 1,
		.mlp_width = side,
		.vocabulary = side,
		.parameters = side,
		.activations = dtype};
	const size_t bytes = aur_dtype_bytes(dtype) * (size_t)(side * side);
	ceiling->side = side;
	ceiling->at_once = at_once;
	AUR_TRY(backend->ops->reserve(backend, &limits, NULL));
	AUR_TRY(backend->ops->allocate(backend, 3 * bytes, &ceiling->memory));
	char *x = ceiling->memory, *w = x + bytes, *y = w + bytes;
	ceiling->product = (struct aur_linear_forward){.x = aur_view2_of(x, dtype, side, side),
		.w = aur_view2_of(w, dtype, side, side),
		.y = aur_view2_of(y, dtype, side, side)};
	AUR_TRY(fill(ceiling, dtype, x));
	AUR_TRY(fill(ceiling, dtype, w));
	/* The first products touch the result and the library's buffers, and wake threads and clocks. */
	AUR_TRY(multiply(ceiling));
	return multiply(ceiling);
}

/* Matrices that keep a GPU busy take a processor minutes, and what either needs shows in a moment. */
static aur_status choose_size(struct aur_ceiling *ceiling, enum aur_dtype dtype)
{
	struct aur_backend *backend = ceiling->backend;
	double flops_per_s = 0;
	if (backend->host_memory)
		return open_matrices(ceiling, dtype, SIDE, 1);
	AUR_TRY(open_matrices(ceiling, dtype, SMALL_SIDE, PRODUCTS_AT_ONCE));
	AUR_TRY(aur_ceiling_run(ceiling, 0, &flops_per_s));
	if (flops_per_s < fast_flops)
		return AUR_OK;
	backend->ops->release(backend, ceiling->memory);
	ceiling->memory = NULL;
	return open_matrices(ceiling, dtype, LARGE_SIDE, PRODUCTS_AT_ONCE);
}

aur_status aur_ceiling_open(const struct aur_backend *like, enum aur_dtype dtype, struct aur_ceiling **ceiling)
{
	*ceiling = calloc(1, sizeof **ceiling);
	if (!*ceiling)
		return aur_fail(AUR_MEMORY, "a measurement: no memory");
	aur_status status = aur_backend_open(like->name, &(*ceiling)->backend);
	if (status == AUR_OK) {
		(*ceiling)->backend->tf32 = like->tf32;
		status = choose_size(*ceiling, dtype);
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
	const double side = (double)ceiling->side, start = aur_clock_s();
	const double flops = 2.0 * side * side * side * ceiling->at_once;
	/* An emulated device is not worth the time, and is asked as often on every machine. */
	const int brief = ceiling->side == SMALL_SIDE;
	double before = start;
	for (int i = 0; i < LEAST_PRODUCTS || (!brief && before - start < seconds); i++) {
		AUR_TRY(multiply(ceiling));
		const double after = aur_clock_s();
		*flops_per_s = fmax(*flops_per_s, flops / fmax(after - before, 1e-9));
		before = after;
	}
	return AUR_OK;
}
