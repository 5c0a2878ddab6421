#include "device_test.h"

#include <cublasLt.h>
#include <math.h>

/* The twin of cuBLASLt against a product in double, and what it refuses. */

enum { M = 37, N = 19, K = 41, PITCH = 45, MOST = 3 * 45 * 45 };

struct problem {
	int transpose_a, transpose_b, row_major;
	cudaDataType_t type, d_type;
	int32_t epilogue, batches;
	float alpha, beta;
};

static const struct problem plain = {0, 0, 0, CUDA_R_32F, CUDA_R_32F, CUBLASLT_EPILOGUE_DEFAULT, 1, 1.0f, 0.0f};

struct operand {
	cublasLtMatrixLayout_t layout;
	void *memory;
	cudaDataType_t type;
	int row_major;
};

static double read_at(const struct operand *of, int64_t at)
{
	return of->type == CUDA_R_16BF
			   ? static_cast<double>(__bfloat162float(static_cast<const __nv_bfloat16 *>(of->memory)[at]))
			   : static_cast<double>(static_cast<const float *>(of->memory)[at]);
}

static double element(const struct operand *of, int batch, int row, int column)
{
	return read_at(of, batch * PITCH * PITCH + (of->row_major ? row * PITCH + column : column * PITCH + row));
}

static struct operand make_operand(const struct problem *problem, cudaDataType_t type, int rows, int columns, int seed)
{
	struct operand made = {nullptr, nullptr, type, problem->row_major};
	const int32_t order = CUBLASLT_ORDER_ROW;
	const int64_t stride = PITCH * PITCH;
	made.memory = device_memory(MOST * (type == CUDA_R_16BF ? 2 : 4));
	for (int i = 0; i < MOST; i++) {
		const float value = static_cast<float>((i * 7 + seed) % 23 - 11) / 8.0f;
		if (type == CUDA_R_16BF)
			static_cast<__nv_bfloat16 *>(made.memory)[i] = __float2bfloat16(value);
		else
			static_cast<float *>(made.memory)[i] = value;
	}
	cublasLtMatrixLayoutCreate(&made.layout, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), PITCH);
	if (problem->row_major)
		cublasLtMatrixLayoutSetAttribute(made.layout, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order);
	cublasLtMatrixLayoutSetAttribute(
		made.layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &problem->batches, sizeof problem->batches);
	cublasLtMatrixLayoutSetAttribute(made.layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride);
	return made;
}

static double finish(int32_t epilogue, double x)
{
	if (epilogue & CUBLASLT_EPILOGUE_RELU)
		return x > 0 ? x : 0;
	if (epilogue & CUBLASLT_EPILOGUE_GELU)
		return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
	return x;
}

static void describe(const struct problem *problem, const void *bias, cublasLtMatmulDesc_t *description)
{
	const int32_t ta = problem->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
	const int32_t tb = problem->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
	cublasLtMatmulDescCreate(description, CUBLAS_COMPUTE_32F, CUDA_R_32F);
	cublasLtMatmulDescSetAttribute(*description, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta);
	cublasLtMatmulDescSetAttribute(*description, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb);
	cublasLtMatmulDescSetAttribute(
		*description, CUBLASLT_MATMUL_DESC_EPILOGUE, &problem->epilogue, sizeof problem->epilogue);
	cublasLtMatmulDescSetAttribute(*description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
}

/* D of the first algorithm, of all of which the bits are equal. */
static void check_product(const struct problem *problem)
{
	const int ta = problem->transpose_a, tb = problem->transpose_b;
	const struct operand a = make_operand(problem, problem->type, ta ? K : M, ta ? M : K, 1);
	const struct operand b = make_operand(problem, problem->type, tb ? N : K, tb ? K : N, 2);
	const struct operand c = make_operand(problem, problem->d_type, M, N, 3);
	const struct operand d = make_operand(problem, problem->d_type, M, N, 4);
	const struct operand bias = make_operand(problem, problem->d_type, M, N, 5);
	void *workspace = device_memory(1 << 20);
	const uint64_t workspace_bytes = 1 << 20;
	cublasLtHandle_t handle;
	cublasLtMatmulDesc_t description;
	cublasLtMatmulPreference_t preference;
	cublasLtMatmulHeuristicResult_t results[8];
	int found = 0;
	cublasLtCreate(&handle);
	describe(problem, bias.memory, &description);
	cublasLtMatmulPreferenceCreate(&preference);
	cublasLtMatmulPreferenceSetAttribute(
		preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes, sizeof workspace_bytes);
	assert_int_equal(cublasLtMatmulAlgoGetHeuristic(
						 handle, description, a.layout, b.layout, c.layout, d.layout, preference, 8, results, &found),
		CUBLAS_STATUS_SUCCESS);
	assert_true(found > 1);
	for (int which = found - 1; which >= 0; which--) {
		assert_int_equal(results[which].state, CUBLAS_STATUS_SUCCESS);
		assert_int_equal(cublasLtMatmul(handle, description, &problem->alpha, a.memory, a.layout, b.memory, b.layout,
							 &problem->beta, c.memory, c.layout, d.memory, d.layout, &results[which].algo, workspace,
							 results[which].workspaceSize, nullptr),
			CUBLAS_STATUS_SUCCESS);
	}
	/* fp32 sums of at most 41 products of numbers below 2 are off by 41 * 164 * 2^-24; bf16 rounds to 2^-9. */
	const double absolute = 41 * 164 * 0x1p-24, relative = problem->d_type == CUDA_R_16BF ? 0x1p-8 : 0x1p-20;
	for (int batch = 0; batch < problem->batches; batch++)
		for (int i = 0; i < M; i++)
			for (int j = 0; j < N; j++) {
				double x = 0;
				for (int l = 0; l < K; l++)
					x += (ta ? element(&a, batch, l, i) : element(&a, batch, i, l)) *
						 (tb ? element(&b, batch, j, l) : element(&b, batch, l, j));
				x = static_cast<double>(problem->alpha) * x;
				if (problem->beta != 0.0f)
					x += static_cast<double>(problem->beta) * element(&c, batch, i, j);
				if (problem->epilogue & CUBLASLT_EPILOGUE_BIAS)
					x += read_at(&bias, i);
				x = finish(problem->epilogue, x);
				if (fabs(x - element(&d, batch, i, j)) > absolute + relative * fabs(x))
					fail_msg("D[%d,%d] is %g, not %g", i, j, element(&d, batch, i, j), x);
			}
	cublasLtMatmulPreferenceDestroy(preference);
	cublasLtMatmulDescDestroy(description);
	for (const struct operand *of : {&a, &b, &c, &d, &bias})
		cublasLtMatrixLayoutDestroy(of->layout);
	cublasLtDestroy(handle);
}

static void products_of_all_kinds_are_right(void **state)
{
	for (int kinds = 0; kinds < 8; kinds++) {
		struct problem problem = plain;
		problem.transpose_a = kinds & 1;
		problem.transpose_b = kinds >> 1 & 1;
		problem.row_major = kinds >> 2;
		check_product(&problem);
		device_forget(state);
		problem.type = CUDA_R_16BF;
		check_product(&problem);
		device_forget(state);
		problem.d_type = CUDA_R_16BF;
		check_product(&problem);
		device_forget(state);
	}
}

static void alpha_and_beta_scale(void **state)
{
	(void)state;
	struct problem problem = plain;
	problem.alpha = 0.5f;
	problem.beta = -2.0f;
	check_product(&problem);
	problem.type = CUDA_R_16BF;
	problem.transpose_a = 1;
	check_product(&problem);
}

static void batches_follow_each_other(void **state)
{
	(void)state;
	struct problem problem = plain;
	problem.batches = 3;
	problem.beta = 1.0f;
	check_product(&problem);
}

static void epilogues_are_applied(void **state)
{
	static const int32_t epilogues[] = {CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_RELU_BIAS,
		CUBLASLT_EPILOGUE_GELU, CUBLASLT_EPILOGUE_GELU_BIAS};
	for (const int32_t epilogue : epilogues) {
		struct problem problem = plain;
		problem.epilogue = epilogue;
		check_product(&problem);
		problem.type = problem.d_type = CUDA_R_16BF;
		check_product(&problem);
		device_forget(state);
	}
}

/* What the heuristic answers to a problem with one thing changed by `change`, which gets the layouts of A and of C. */
using change_of = void (*)(cublasLtMatmulDesc_t, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t c);

static cublasStatus_t ask(const struct problem *problem, change_of change)
{
	const struct operand a = make_operand(problem, problem->type, M, K, 1),
						 b = make_operand(problem, problem->type, K, N, 2);
	const struct operand c = make_operand(problem, problem->d_type, M, N, 3),
						 d = make_operand(problem, problem->d_type, M, N, 3);
	cublasLtHandle_t handle;
	cublasLtMatmulDesc_t description;
	cublasLtMatmulPreference_t preference;
	cublasLtMatmulHeuristicResult_t result;
	int found = 0;
	cublasLtCreate(&handle);
	describe(problem, d.memory, &description);
	cublasLtMatmulPreferenceCreate(&preference);
	if (change)
		change(description, a.layout, c.layout);
	const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
		handle, description, a.layout, b.layout, c.layout, d.layout, preference, 1, &result, &found);
	assert_int_equal(found, status == CUBLAS_STATUS_SUCCESS);
	cublasLtMatmulPreferenceDestroy(preference);
	cublasLtMatmulDescDestroy(description);
	for (const struct operand *of : {&a, &b, &c, &d})
		cublasLtMatrixLayoutDestroy(of->layout);
	cublasLtDestroy(handle);
	return status;
}

static void what_cublaslt_does_not_state_is_refused(void **state)
{
	(void)state;
	struct problem problem = plain;
	assert_int_equal(ask(&problem, nullptr), CUBLAS_STATUS_SUCCESS);
	problem.d_type = CUDA_R_16BF;
	assert_int_equal(ask(&problem, nullptr), CUBLAS_STATUS_NOT_SUPPORTED);
	problem = plain;
	problem.epilogue = CUBLASLT_EPILOGUE_DGELU;
	assert_int_equal(ask(&problem, nullptr), CUBLAS_STATUS_NOT_SUPPORTED);
	problem = plain;
	assert_int_equal(ask(&problem,
						 [](cublasLtMatmulDesc_t, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t) {
							 const uint64_t rows = M + 1;
							 cublasLtMatrixLayoutSetAttribute(a, CUBLASLT_MATRIX_LAYOUT_ROWS, &rows, sizeof rows);
						 }),
		CUBLAS_STATUS_INVALID_VALUE);
}

static void set_bias_to_fp32(cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t)
{
	const int32_t type = CUDA_R_32F;
	cublasLtMatmulDescSetAttribute(description, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type);
}

/* cuBLASLt 13.1 has no kernel for it, and its heuristic answers so. */
static void a_bias_has_the_type_of_the_output(void **state)
{
	(void)state;
	struct problem problem = plain;
	problem.type = CUDA_R_16BF;
	problem.epilogue = CUBLASLT_EPILOGUE_BIAS;
	assert_int_equal(ask(&problem, set_bias_to_fp32), CUBLAS_STATUS_SUCCESS);
	problem.d_type = CUDA_R_16BF;
	assert_int_equal(ask(&problem, nullptr), CUBLAS_STATUS_SUCCESS);
	assert_int_equal(ask(&problem, set_bias_to_fp32), CUBLAS_STATUS_INVALID_VALUE);
}

/* Its documentation allows it for a C that is not D; what it then computes is wrong. */
static void one_column_of_c_for_all_is_refused(void **state)
{
	(void)state;
	assert_int_equal(ask(&plain,
						 [](cublasLtMatmulDesc_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t c) {
							 const int64_t pitch = 0;
							 cublasLtMatrixLayoutSetAttribute(c, CUBLASLT_MATRIX_LAYOUT_LD, &pitch, sizeof pitch);
						 }),
		CUBLAS_STATUS_INVALID_VALUE);
}

/* One product of the plain problem, D at `offset` floats behind the beginning of A's memory or of its own. */
static cublasStatus_t multiply(int d_in_a, int offset, const void *host_a)
{
	const struct problem *problem = &plain;
	const struct operand a = make_operand(problem, CUDA_R_32F, M, K, 1), b = make_operand(problem, CUDA_R_32F, K, N, 2);
	const struct operand d = make_operand(problem, CUDA_R_32F, M, N, 3);
	float *to = static_cast<float *>(d_in_a ? a.memory : d.memory) + offset;
	cublasLtHandle_t handle;
	cublasLtMatmulDesc_t description;
	cublasLtCreate(&handle);
	describe(problem, nullptr, &description);
	const cublasStatus_t status = cublasLtMatmul(handle, description, &problem->alpha, host_a ? host_a : a.memory,
		a.layout, b.memory, b.layout, &problem->beta, to, d.layout, to, d.layout, nullptr, nullptr, 0, nullptr);
	cublasLtMatmulDescDestroy(description);
	for (const struct operand *of : {&a, &b, &d})
		cublasLtMatrixLayoutDestroy(of->layout);
	cublasLtDestroy(handle);
	return status;
}

static void memory_that_does_not_fit_is_refused(void **state)
{
	(void)state;
	static float host[MOST];
	assert_int_equal(multiply(0, 0, nullptr), CUBLAS_STATUS_SUCCESS);
	assert_int_equal(multiply(1, 0, nullptr), CUBLAS_STATUS_INVALID_VALUE);
	assert_int_equal(multiply(0, MOST - (N - 1) * PITCH - M, nullptr), CUBLAS_STATUS_SUCCESS);
	assert_int_equal(multiply(0, MOST - (N - 1) * PITCH - M + 1, nullptr), CUBLAS_STATUS_INVALID_VALUE);
	assert_int_equal(multiply(0, 0, host), CUBLAS_STATUS_INVALID_VALUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(products_of_all_kinds_are_right, device_forget),
		cmocka_unit_test_teardown(alpha_and_beta_scale, device_forget),
		cmocka_unit_test_teardown(batches_follow_each_other, device_forget),
		cmocka_unit_test_teardown(epilogues_are_applied, device_forget),
		cmocka_unit_test_teardown(what_cublaslt_does_not_state_is_refused, device_forget),
		cmocka_unit_test_teardown(a_bias_has_the_type_of_the_output, device_forget),
		cmocka_unit_test_teardown(one_column_of_c_for_all_is_refused, device_forget),
		cmocka_unit_test_teardown(memory_that_does_not_fit_is_refused, device_forget),
	};
	return cmocka_run_group_tests_name("emulator: cublaslt", tests, nullptr, nullptr);
}
