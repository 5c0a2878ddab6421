#include "library.h"

#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

/* fp32 by dnnl_sgemm, bf16 by the matmul primitive, on plain row-major matrices. The C API of descriptors differs
 * between versions 2 and 3. */

struct plan {
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	dnnl_primitive_t primitive;
	dnnl_memory_t memories[3]; /* a, b, c */
};

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t matrix_desc;

static dnnl_status_t describe(
	matrix_desc *desc, dnnl_dim_t rows, dnnl_dim_t columns, dnnl_data_type_t type, int transposed)
{
	const dnnl_dims_t sizes = {rows, columns};
	const dnnl_dims_t strides = {transposed ? 1 : columns, transposed ? rows : 1};
	return dnnl_memory_desc_create_with_strides(desc, 2, sizes, type, strides);
}

static dnnl_status_t remember(dnnl_memory_t *memory, const matrix_desc *desc, dnnl_engine_t engine, void *data)
{
	return dnnl_memory_create(memory, *desc, engine, data);
}

static dnnl_status_t describe_matmul(dnnl_primitive_desc_t *matmul, const matrix_desc matrices[3], dnnl_engine_t engine)
{
	return dnnl_matmul_primitive_desc_create(matmul, engine, matrices[0], matrices[1], NULL, matrices[2], NULL);
}

static void forget(matrix_desc *desc)
{
	if (*desc)
		dnnl_memory_desc_destroy(*desc);
}

#else

typedef dnnl_memory_desc_t matrix_desc;

static dnnl_status_t describe(
	matrix_desc *desc, dnnl_dim_t rows, dnnl_dim_t columns, dnnl_data_type_t type, int transposed)
{
	const dnnl_dims_t sizes = {rows, columns};
	const dnnl_dims_t strides = {transposed ? 1 : columns, transposed ? rows : 1};
	return dnnl_memory_desc_init_by_strides(desc, 2, sizes, type, strides);
}

static dnnl_status_t remember(dnnl_memory_t *memory, const matrix_desc *desc, dnnl_engine_t engine, void *data)
{
	return dnnl_memory_create(memory, desc, engine, data);
}

static dnnl_status_t describe_matmul(dnnl_primitive_desc_t *matmul, const matrix_desc matrices[3], dnnl_engine_t engine)
{
	dnnl_matmul_desc_t desc;
	const dnnl_status_t status = dnnl_matmul_desc_init(&desc, &matrices[0], &matrices[1], NULL, &matrices[2]);
	if (status != dnnl_success)
		return status;
	return dnnl_primitive_desc_create(matmul, &desc, NULL, engine, NULL);
}

static void forget(matrix_desc *desc)
{
	(void)desc;
}

#endif

static aur_status check(dnnl_status_t status, const char *what)
{
	if (status == dnnl_success)
		return AUR_OK;
	return aur_fail(AUR_DEVICE, "oneDNN: %s failed with code %d", what, (int)status);
}

static void version(char *text, size_t bytes)
{
	const dnnl_version_t *known = dnnl_version();
	snprintf(text, bytes, "oneDNN %d.%d.%d isa-%x", known->major, known->minor, known->patch,
		(unsigned)dnnl_get_effective_cpu_isa());
}

static int supports(enum aur_dtype dtype)
{
	return dtype == AUR_F32 || dtype == AUR_BF16;
}

static dnnl_data_type_t type_of(enum aur_dtype dtype)
{
	return dtype == AUR_BF16 ? dnnl_bf16 : dnnl_f32;
}

static aur_status describe_all(const struct bench_multiplier *multiplier, matrix_desc matrices[3])
{
	const struct bench_product *p = &multiplier->product;
	const dnnl_data_type_t type = type_of(multiplier->dtype);
	AUR_TRY(check(describe(&matrices[0], p->m, p->k, type, p->transpose_a), "describing a matrix"));
	AUR_TRY(check(describe(&matrices[1], p->k, p->n, type, p->transpose_b), "describing a matrix"));
	return check(describe(&matrices[2], p->m, p->n, type_of(bench_result_dtype(multiplier)), 0), "describing a matrix");
}

static aur_status create_primitive(struct plan *plan, const matrix_desc matrices[3])
{
	dnnl_primitive_desc_t matmul;
	AUR_TRY(check(describe_matmul(&matmul, matrices, plan->engine), "describing a product"));
	const aur_status status = check(dnnl_primitive_create(&plan->primitive, matmul), "creating a product");
	dnnl_primitive_desc_destroy(matmul);
	return status;
}

static aur_status create_memories(
	const struct bench_multiplier *multiplier, struct plan *plan, const matrix_desc matrices[3])
{
	/* The library's memories take pointers that may be written; of a and b it writes nothing. */
	void *const data[] = {(void *)(uintptr_t)multiplier->a, (void *)(uintptr_t)multiplier->b, multiplier->c};
	for (int i = 0; i < 3; i++)
		AUR_TRY(check(remember(&plan->memories[i], &matrices[i], plan->engine, data[i]), "taking a matrix"));
	return AUR_OK;
}

static aur_status fill_plan(const struct bench_multiplier *multiplier, struct plan *plan)
{
	matrix_desc matrices[3] = {0};
	aur_status status;
	AUR_TRY_CLEANUP(check(dnnl_engine_create(&plan->engine, dnnl_cpu, 0), "opening the processor"));
	AUR_TRY_CLEANUP(check(dnnl_stream_create(&plan->stream, plan->engine, dnnl_stream_default_flags), "a stream"));
	AUR_TRY_CLEANUP(describe_all(multiplier, matrices));
	AUR_TRY_CLEANUP(create_primitive(plan, matrices));
	AUR_TRY_CLEANUP(create_memories(multiplier, plan, matrices));
cleanup:
	for (int i = 0; i < 3; i++)
		forget(&matrices[i]);
	return status;
}

static void destroy(struct bench_multiplier *multiplier)
{
	struct plan *plan = multiplier->plan;
	if (!plan)
		return;
	for (int i = 0; i < 3; i++)
		if (plan->memories[i])
			dnnl_memory_destroy(plan->memories[i]);
	if (plan->primitive)
		dnnl_primitive_destroy(plan->primitive);
	if (plan->stream)
		dnnl_stream_destroy(plan->stream);
	if (plan->engine)
		dnnl_engine_destroy(plan->engine);
	free(plan);
	multiplier->plan = NULL;
}

static aur_status prepare(struct bench_multiplier *multiplier)
{
	multiplier->plan = NULL;
	if (multiplier->dtype == AUR_F32)
		return AUR_OK;
	struct plan *plan = calloc(1, sizeof *plan);
	if (!plan)
		return aur_fail(AUR_MEMORY, "oneDNN: no memory for a plan");
	multiplier->plan = plan;
	const aur_status status = fill_plan(multiplier, plan);
	if (status != AUR_OK)
		destroy(multiplier);
	return status;
}

static aur_status multiply_f32(const struct bench_multiplier *multiplier)
{
	const struct bench_product *p = &multiplier->product;
	return check(
		dnnl_sgemm(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k, 1.0f, multiplier->a,
			p->transpose_a ? p->m : p->k, multiplier->b, p->transpose_b ? p->k : p->n, 0.0f, multiplier->c, p->n),
		"a product");
}

static aur_status multiply(const struct bench_multiplier *multiplier)
{
	const struct plan *plan = multiplier->plan;
	if (!plan)
		return multiply_f32(multiplier);
	const dnnl_exec_arg_t arguments[] = {
		{DNNL_ARG_SRC, plan->memories[0]}, {DNNL_ARG_WEIGHTS, plan->memories[1]}, {DNNL_ARG_DST, plan->memories[2]}};
	AUR_TRY(check(dnnl_primitive_execute(plan->primitive, plan->stream, 3, arguments), "a product"));
	return check(dnnl_stream_wait(plan->stream), "waiting for a product");
}

static int threads_before;

static void begin(int threads)
{
	threads_before = omp_get_max_threads();
	omp_set_num_threads(threads);
}

static void end(void)
{
	omp_set_num_threads(threads_before);
}

const struct bench_library bench_onednn = {
	.name = "oneDNN",
	.version = version,
	.supports = supports,
	.prepare = prepare,
	.multiply = multiply,
	.destroy = destroy,
	.begin = begin,
	.end = end,
};
