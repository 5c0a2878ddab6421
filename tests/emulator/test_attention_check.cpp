#include "attention_check.cuh"

#include "attention.cuh"

extern "C" {
#include "cuda/cuda.h"
}

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {
#include <cmocka.h>
}

/* What becomes of a library's attention that is compared with the own kernels: here the own kernels themselves, and the
 * same with one thing wrong. */

enum fault {
	NOTHING,
	LARGER_SCALE,
	LSE_OF_ZERO,
	LAST_ROW_MISSING,
	LAST_GRADIENT_MISSING,
	V_FOR_K,
	A_BIT_ON_A_RERUN,
	REFUSES,
	FAILS
};

static const struct aur_backend_limits limits = {3, 37, 48, 3, 64, 50, 4096, AUR_BF16, 1, 0, 0};

struct candidate {
	aur_cuda *cuda;
	enum fault fault;
	int runs;
};

static void clear_end(aur_cuda *cuda, const aur_tensor &tensor, int64_t elements)
{
	char *end = static_cast<char *>(tensor.data) + 2 * aur_tensor_count(&tensor);
	assert_int_equal(
		cudaMemsetAsync(end - 2 * elements, 0, 2 * static_cast<size_t>(elements), cuda->stream), cudaSuccess);
}

static aur_status forward(void *self, const aur_attention_forward *op, int *served)
{
	struct candidate *candidate = static_cast<struct candidate *>(self);
	aur_attention_forward changed = *op;
	*served = candidate->fault != REFUSES;
	if (candidate->fault == REFUSES)
		return AUR_OK;
	if (candidate->fault == FAILS)
		return aur_fail(AUR_DEVICE, "an engine is missing");
	if (candidate->fault == LARGER_SCALE)
		changed.scale *= 1.3f;
	AUR_TRY(aur_attention_forward_tiled(candidate->cuda, &changed));
	if (candidate->fault == LAST_ROW_MISSING)
		clear_end(candidate->cuda, op->out, limits.width);
	const size_t lse_bytes = static_cast<size_t>(aur_tensor_count(&op->lse)) * sizeof(float);
	if (candidate->fault == LSE_OF_ZERO)
		return aur_cuda_check(cudaMemsetAsync(op->lse.data, 0, lse_bytes, candidate->cuda->stream), "test");
	return AUR_OK;
}

static aur_status backward(void *self, const aur_attention_backward *op, int *served)
{
	struct candidate *candidate = static_cast<struct candidate *>(self);
	__nv_bfloat16 *d_qkv = static_cast<__nv_bfloat16 *>(op->d_qkv.data);
	*served = 1;
	AUR_TRY(aur_attention_backward_tiled(candidate->cuda, op));
	if (candidate->fault == LAST_GRADIENT_MISSING)
		clear_end(candidate->cuda, op->d_qkv, 3 * limits.width);
	if (candidate->fault == V_FOR_K)
		for (int64_t row = 0; row < op->batch * op->positions; row++)
			AUR_TRY(aur_cuda_check(
				cudaMemcpyAsync(d_qkv + (3 * row + 1) * limits.width, d_qkv + (3 * row + 2) * limits.width,
					2 * static_cast<size_t>(limits.width), cudaMemcpyDeviceToDevice, candidate->cuda->stream),
				"test"));
	if (candidate->fault == A_BIT_ON_A_RERUN && candidate->runs++ > 0)
		clear_end(candidate->cuda, op->d_qkv, 1);
	return AUR_OK;
}

static void assert_says(enum fault fault, int deterministic, const char *expected)
{
	struct aur_backend *backend = nullptr;
	char why[96];
	if (aur_backend_open("cuda", &backend) != AUR_OK || backend->ops->reserve(backend, &limits, nullptr) != AUR_OK)
		fail_msg("%s", aur_error_message());
	backend->deterministic = deterministic;
	struct candidate wrong = {aur_cuda_of(backend), fault, 0};
	const aur_attention_candidate candidate = {&wrong, forward, backward};
	const aur_status status = aur_attention_check(wrong.cuda, candidate, limits, why, sizeof why);
	if (status != AUR_OK)
		fail_msg("%s", aur_error_message());
	if (expected[0] ? strncmp(why, expected, strlen(expected)) != 0 : why[0] != '\0')
		fail_msg("`%s` is not `%s`", why, expected);
	aur_backend_close(&backend);
}

static void what_gives_the_same_is_used(void **state)
{
	(void)state;
	assert_says(NOTHING, 1, "");
}

static void what_gives_another_result_is_named(void **state)
{
	(void)state;
	assert_says(LARGER_SCALE, 1, "gives another output, by 0.");
	assert_says(LAST_ROW_MISSING, 1, "gives another output, by 0.");
	assert_says(LSE_OF_ZERO, 1, "gives another log-sum-exp, by ");
	assert_says(LAST_GRADIENT_MISSING, 1, "gives another gradient of Q, by 0.");
	assert_says(V_FOR_K, 1, "gives another gradient of K, by ");
}

/* Allowed where the run does not ask for equal bits. */
static void other_bits_on_a_rerun_are_found(void **state)
{
	(void)state;
	assert_says(A_BIT_ON_A_RERUN, 1, "gives another gradient of V on a rerun");
	assert_says(A_BIT_ON_A_RERUN, 0, "");
}

static void what_refuses_or_fails_is_left(void **state)
{
	(void)state;
	assert_says(REFUSES, 1, "does not serve this shape");
	assert_says(FAILS, 1, "failed: an engine is missing");
}

/* Room for some sequences of 64: they are compared. Without room for one it is not used. */
static void little_memory_is_enough_for_a_part(void **state)
{
	(void)state;
	struct aur_backend *backend = nullptr;
	struct aur_backend_limits large = limits;
	char why[96];
	large.positions = 100;
	large.batch = 64;
	assert_int_equal(aur_backend_open("cuda", &backend), AUR_OK);
	assert_int_equal(backend->ops->reserve(backend, &large, nullptr), AUR_OK);
	size_t free_bytes = 0, total = 0;
	assert_int_equal(cudaMemGetInfo(&free_bytes, &total), cudaSuccess);
	struct candidate right = {aur_cuda_of(backend), NOTHING, 0};
	const aur_attention_candidate candidate = {&right, forward, backward};
	const int used_mb = static_cast<int>((total - free_bytes) >> 20) + 1;
	char limit[32];
	snprintf(limit, sizeof limit, "%d", used_mb + 1);
	setenv("AURELIUS_EMULATOR_MEMORY_MB", limit, 1);
	assert_int_equal(aur_attention_check(right.cuda, candidate, large, why, sizeof why), AUR_OK);
	assert_string_equal(why, "");
	snprintf(limit, sizeof limit, "%d", used_mb);
	setenv("AURELIUS_EMULATOR_MEMORY_MB", limit, 1);
	large.positions = 4000;
	assert_int_equal(aur_attention_check(right.cuda, candidate, large, why, sizeof why), AUR_OK);
	assert_string_equal(why, "could not be compared: there is no memory for it");
	unsetenv("AURELIUS_EMULATOR_MEMORY_MB");
	aur_backend_close(&backend);
}

static const char *chosen_for(struct aur_backend_limits asked)
{
	static char text[sizeof(aur_backend::attention)];
	struct aur_backend *backend = nullptr;
	assert_int_equal(aur_backend_open("cuda", &backend), AUR_OK);
	assert_string_equal(backend->attention, "");
	assert_int_equal(backend->ops->reserve(backend, &asked, nullptr), AUR_OK);
	snprintf(text, sizeof text, "%s", backend->attention);
	aur_backend_close(&backend);
	return text;
}

static void why_the_own_kernels_are_used_is_said(void **state)
{
	(void)state;
	struct aur_backend_limits asked = limits;
	assert_string_equal(chosen_for(asked), "own kernels: no cuDNN: this program was built without it");
	asked.width = 36;
	assert_string_equal(chosen_for(asked), "own kernels: cuDNN's are for heads of 8 to 128 in steps of 8");
	asked = limits;
	asked.attention_dropout = 1;
	assert_string_equal(chosen_for(asked), "own kernels: cuDNN's have no dropout");
	asked.activations = AUR_F32;
	assert_string_equal(chosen_for(asked), "own kernels: cuDNN's are for bf16");
	setenv("AURELIUS_ATTENTION", "own", 1);
	assert_string_equal(chosen_for(asked), "own kernels: AURELIUS_ATTENTION=own");
	unsetenv("AURELIUS_ATTENTION");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_gives_the_same_is_used),
		cmocka_unit_test(what_gives_another_result_is_named),
		cmocka_unit_test(other_bits_on_a_rerun_are_found),
		cmocka_unit_test(what_refuses_or_fails_is_left),
		cmocka_unit_test(little_memory_is_enough_for_a_part),
		cmocka_unit_test(why_the_own_kernels_are_used_is_said),
	};
	aur_backend_register(&aur_cuda_factory);
	return cmocka_run_group_tests_name("emulator: comparing attention", tests, nullptr, nullptr);
}
