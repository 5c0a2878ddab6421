extern "C" {
#include "backend/backend.h"
#include "core/log.h"
#include "cuda/choices.h"
#include "cuda/cuda.h"
}

#include "device_test.h"
#include "runtime/cublaslt.h"

#include <math.h>
#include <string>
#include <vector>

/* How a product is computed when cuBLASLt refuses what it suggested, when algorithms are measured, and when the device
 * fails meanwhile. */

/* As cuda/product.cuh has them. */
enum form { LIBRARY = 0, OWN = 4 };

struct problem {
	int64_t rows, inputs, outputs;
	enum aur_dtype type;
	int bias_at; /* its place behind a multiple of 256 bytes, in elements; -1: none */
};

static const struct problem narrow = {5, 24, 16, AUR_F32, -1};
static const struct problem with_bias = {100, 24, 16, AUR_BF16, 0};

static struct aur_backend *open_backend(int measure)
{
	struct aur_backend *backend = nullptr;
	struct aur_backend_limits limits = {};
	limits.batch = limits.heads = 1;
	limits.positions = 256;
	limits.width = limits.mlp_width = 24;
	limits.vocabulary = 2;
	limits.training = 1;
	if (aur_backend_open("cuda", &backend) != 0 || backend->ops->reserve(backend, &limits, nullptr) != 0)
		fail_msg("%s", aur_error_message());
	if (measure)
		aur_cuda_choices_measure(backend, 1);
	return backend;
}

static float value_of(int64_t i)
{
	return static_cast<float>((i * 7 + 3) % 23 - 11) / 8.0f;
}

/* Numbers that both types hold. */
static void *filled(int64_t n, enum aur_dtype type, int64_t seed)
{
	void *memory = device_memory(static_cast<size_t>(n) * sizeof(float));
	for (int64_t i = 0; i < n; i++)
		if (type == AUR_BF16)
			static_cast<__nv_bfloat16 *>(memory)[i] = __float2bfloat16(value_of(i + seed));
		else
			static_cast<float *>(memory)[i] = value_of(i + seed);
	return memory;
}

static float read_as(const void *memory, enum aur_dtype type, int64_t i)
{
	return type == AUR_BF16 ? __bfloat162float(static_cast<const __nv_bfloat16 *>(memory)[i])
							: static_cast<const float *>(memory)[i];
}

static struct aur_linear_forward operation_of(const struct problem *p)
{
	struct aur_linear_forward op = {};
	op.x = aur_view2_of(filled(p->rows * p->inputs, p->type, 1), p->type, p->rows, p->inputs);
	op.w = aur_view2_of(filled(p->outputs * p->inputs, p->type, 2), p->type, p->outputs, p->inputs);
	op.y = aur_view2_of(
		device_memory(static_cast<size_t>(p->rows * p->outputs) * sizeof(float)), p->type, p->rows, p->outputs);
	if (p->bias_at >= 0) {
		char *bias = static_cast<char *>(filled(p->outputs + p->bias_at, p->type, 5));
		op.bias = aur_view1_of(bias + p->bias_at * static_cast<int>(aur_dtype_bytes(p->type)), p->type, p->outputs);
	}
	return op;
}

/* A bf16 is off by half of its last bit; sums of 24 such products are exact in fp32. */
static void check_result(const struct problem *p, const struct aur_linear_forward *op)
{
	for (int64_t i = 0; i < p->rows * p->outputs; i++) {
		const int64_t row = i / p->outputs, column = i % p->outputs;
		double sum = p->bias_at >= 0 ? static_cast<double>(read_as(op->bias.data, p->type, column)) : 0;
		for (int64_t l = 0; l < p->inputs; l++)
			sum += static_cast<double>(read_as(op->x.data, p->type, row * p->inputs + l)) *
				   static_cast<double>(read_as(op->w.data, p->type, column * p->inputs + l));
		const double got = static_cast<double>(read_as(op->y.data, p->type, i));
		const double tolerance = p->type == AUR_BF16 && sum != 0 ? ldexp(1, ilogb(sum) - 8) : 0;
		if (!(fabs(got - sum) <= tolerance))
			fail_msg("y[%d,%d] is %g, not %g", static_cast<int>(row), static_cast<int>(column), got, sum);
	}
}

static std::string choices_of(struct aur_backend *backend)
{
	char *text = nullptr;
	assert_int_equal(aur_cuda_choices_write(backend, &text), 0);
	const std::string copy = text;
	free(text);
	return copy;
}

struct choice {
	enum form form;
	int algorithm; /* -1 in forms without one */
};

/* Of the product of this shape and of C's type, which the text must hold. */
static struct choice choice_of(const std::string &text, const struct problem *p)
{
	const std::string key =
		"\n" + std::to_string(p->rows) + " " + std::to_string(p->outputs) + " " + std::to_string(p->inputs) + " ";
	char *next = nullptr;
	long numbers[16] = {};
	for (size_t at = text.find(key); !next || numbers[9] != static_cast<long>(p->type); at = text.find(key, at + 1)) {
		if (at == std::string::npos)
			fail_msg("`%s` is not in `%s`", key.c_str(), text.c_str());
		next = const_cast<char *>(text.c_str()) + at;
		for (long &number : numbers)
			number = strtol(next, &next, 10);
	}
	struct choice choice = {static_cast<enum form>(strtol(next, &next, 10)), -1};
	uint64_t words[8];
	for (uint64_t &word : words)
		word = strtoull(next, &next, 16);
	struct lt_algorithm algorithm;
	memcpy(&algorithm, words, sizeof algorithm);
	if (algorithm.mark)
		choice.algorithm = algorithm.id;
	return choice;
}

/* Computes the product under AURELIUS_EMULATOR_REFUSE=refuse, checks it, and says how it was computed. */
static struct choice run(const struct problem *p, const char *refuse, int measure)
{
	struct aur_backend *backend = open_backend(measure);
	const struct aur_linear_forward op = operation_of(p);
	setenv("AURELIUS_EMULATOR_REFUSE", refuse, 1);
	if (backend->ops->linear_forward(backend, &op) != 0 || backend->ops->synchronise(backend) != 0)
		fail_msg("%s", aur_error_message());
	unsetenv("AURELIUS_EMULATOR_REFUSE");
	check_result(p, &op);
	const struct choice choice = choice_of(choices_of(backend), p);
	aur_backend_close(&backend);
	return choice;
}

static void assert_choice(struct choice got, enum form form, int algorithm)
{
	if (got.form != form || got.algorithm != algorithm)
		fail_msg("form %d, algorithm %d, not %d, %d", got.form, got.algorithm, form, algorithm);
}

/* It would be taken for a shape that the library does not serve, and computed by other means. */
static void a_device_that_fails_is_no_refusal(void **state)
{
	(void)state;
	/* Counted in this process: the first product of all, then the second. */
	const char *const failures[] = {"matmul:1", "matmul:2"};
	for (int measure = 0; measure < 2; measure++) {
		struct aur_backend *backend = open_backend(measure);
		const struct aur_linear_forward op = operation_of(&narrow);
		setenv("AURELIUS_EMULATOR_FAIL", failures[measure], 1);
		assert_string_equal(aur_status_name(backend->ops->linear_forward(backend, &op)), "AUR_DEVICE");
		unsetenv("AURELIUS_EMULATOR_FAIL");
		aur_backend_close(&backend);
		assert_int_equal(cudaDeviceReset(), cudaSuccess);
	}
}

/* The emulated library's second is the fastest. */
static void the_first_is_taken_where_none_is_measured(void **state)
{
	(void)state;
	assert_choice(run(&narrow, "", 0), LIBRARY, 0);
	assert_choice(run(&narrow, "", 1), LIBRARY, 1);
	assert_choice(run(&with_bias, "", 0), LIBRARY, 0);
	assert_choice(run(&with_bias, "", 1), LIBRARY, 1);
}

/* The library refuses it at its check, or only when it is run. */
static void what_is_refused_is_passed_over(void **state)
{
	(void)state;
	assert_choice(run(&narrow, "check:1", 0), LIBRARY, 1);
	assert_choice(run(&narrow, "matmul:3", 0), LIBRARY, 2);
	assert_choice(run(&narrow, "matmul:2", 1), LIBRARY, 2);
}

static void where_all_are_refused_the_own_kernel_serves(void **state)
{
	(void)state;
	for (const char *refuse : {"check:7", "matmul:7"}) {
		assert_choice(run(&narrow, refuse, 0), OWN, -1);
		assert_choice(run(&with_bias, refuse, 0), OWN, -1);
	}
	assert_choice(run(&narrow, "matmul:7", 1), OWN, -1);
	assert_choice(run(&with_bias, "matmul:7", 1), OWN, -1);
}

/* The emulated library refuses to run with one that is not aligned to 16 bytes: such a one is copied. */
static void a_bias_at_any_address_is_added(void **state)
{
	(void)state;
	for (const enum aur_dtype type : {AUR_BF16, AUR_F32})
		for (const int at : {1, 2, 3, 4, 8}) {
			struct problem p = with_bias;
			p.type = type;
			p.bias_at = at;
			assert_choice(run(&p, "", 0), LIBRARY, 0);
		}
}

/* Two logits for each of five rows, with the bias so many floats behind a multiple of 256 bytes. */
static double loss_of_head(int bias_at, enum form *form)
{
	enum { ROWS = 5, WIDTH = 24, VOCABULARY = 2 };
	static const int32_t targets[ROWS] = {0, 1, 1, 0, 1};
	struct aur_backend *backend = open_backend(0);
	struct aur_head_loss op = {};
	op.x = aur_view2(static_cast<float *>(filled(ROWS * WIDTH, AUR_F32, 1)), ROWS, WIDTH);
	op.w = aur_view2(static_cast<float *>(filled(VOCABULARY * WIDTH, AUR_F32, 2)), VOCABULARY, WIDTH);
	op.bias = aur_view1(static_cast<float *>(filled(VOCABULARY + bias_at, AUR_F32, 5 - bias_at)) + bias_at, VOCABULARY);
	op.targets = aur_view_tokens(static_cast<int32_t *>(device_memory(sizeof targets)), 1, ROWS);
	memcpy(op.targets.data, targets, sizeof targets);
	op.loss = aur_view1_of(device_memory(sizeof(double)), AUR_F64, 1);
	if (backend->ops->head_loss(backend, &op) != 0 || backend->ops->synchronise(backend) != 0)
		fail_msg("%s", aur_error_message());
	const struct problem p = {ROWS, WIDTH, VOCABULARY, AUR_F32, bias_at};
	*form = choice_of(choices_of(backend), &p).form;
	aur_backend_close(&backend);
	return *static_cast<double *>(op.loss.data);
}

/* Its scratch memory holds the logits, so that its bias is read where it lies. */
static void the_head_takes_a_bias_at_any_address(void **state)
{
	(void)state;
	enum form form;
	const double aligned = loss_of_head(0, &form);
	assert_int_equal(form, LIBRARY);
	for (const int at : {1, 2, 3}) {
		assert_true(loss_of_head(at, &form) == aligned);
		assert_int_equal(form, OWN);
	}
}

/* Measured, it runs many times, and adds once. */
static void a_product_that_accumulates_adds_once(void **state)
{
	(void)state;
	enum { ROWS = 8, INPUTS = 5, OUTPUTS = 3 };
	for (int measure = 0; measure < 2; measure++) {
		struct aur_backend *backend = open_backend(measure);
		float *x = static_cast<float *>(filled(ROWS * INPUTS, AUR_F32, 1));
		float *w = static_cast<float *>(filled(OUTPUTS * INPUTS, AUR_F32, 2));
		float *d_y = static_cast<float *>(filled(ROWS * OUTPUTS, AUR_F32, 3)), *d_w = device_floats(OUTPUTS * INPUTS);
		struct aur_linear_backward op = {};
		op.x = aur_view2(x, ROWS, INPUTS);
		op.w = aur_view2(w, OUTPUTS, INPUTS);
		op.d_y = aur_view2(d_y, ROWS, OUTPUTS);
		op.d_w = aur_view2(d_w, OUTPUTS, INPUTS);
		if (backend->ops->linear_backward(backend, &op) != 0)
			fail_msg("%s", aur_error_message());
		for (int i = 0; i < OUTPUTS * INPUTS; i++) {
			float sum = static_cast<float>(i);
			for (int l = 0; l < ROWS; l++)
				sum += d_y[l * OUTPUTS + i / INPUTS] * x[l * INPUTS + i % INPUTS];
			assert_true(fabsf(d_w[i] - sum) < 1e-4f);
		}
		aur_backend_close(&backend);
	}
}

static std::string warning;

/* A checkpoint's choices must not keep a run from going on. */
static void choices_that_are_refused_are_made_anew(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend(1);
	const struct aur_linear_forward op = operation_of(&narrow);
	assert_int_equal(backend->ops->linear_forward(backend, &op), 0);
	const std::string text = choices_of(backend);
	aur_backend_close(&backend);
	backend = open_backend(0);
	warning = "";
	aur_log_set_sink([](enum aur_log_level, const char *line) { warning = line; });
	setenv("AURELIUS_EMULATOR_REFUSE", "check:2", 1);
	assert_int_equal(aur_cuda_choices_read(backend, text.c_str()), 0);
	aur_log_set_sink(nullptr);
	assert_non_null(strstr(warning.c_str(), "this GPU refuses what was chosen for 5 x 16 x 24"));
	assert_int_equal(backend->ops->linear_forward(backend, &op), 0);
	unsetenv("AURELIUS_EMULATOR_REFUSE");
	check_result(&narrow, &op);
	assert_choice(choice_of(choices_of(backend), &narrow), LIBRARY, 0);
	aur_backend_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_device_that_fails_is_no_refusal, device_forget),
		cmocka_unit_test_teardown(the_first_is_taken_where_none_is_measured, device_forget),
		cmocka_unit_test_teardown(what_is_refused_is_passed_over, device_forget),
		cmocka_unit_test_teardown(where_all_are_refused_the_own_kernel_serves, device_forget),
		cmocka_unit_test_teardown(a_bias_at_any_address_is_added, device_forget),
		cmocka_unit_test_teardown(the_head_takes_a_bias_at_any_address, device_forget),
		cmocka_unit_test_teardown(a_product_that_accumulates_adds_once, device_forget),
		cmocka_unit_test_teardown(choices_that_are_refused_are_made_anew, device_forget),
	};
	aur_backend_register(&aur_cuda_factory);
	return cmocka_run_group_tests_name("emulator: choices", tests, nullptr, nullptr);
}
