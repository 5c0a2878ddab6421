#include "oracle.h"

#include "core/rng.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	POOL = 4096,
	THREADS_TRIED = 3,
	GUARD = 64, /* floats on either side: 256 bytes, so that alignment is kept */
	SKIPPED = 77,
};

static void *host_pool[POOL];
static int host_used;
static void *device_pool[POOL];
static int device_used;

static const char *backend_name(void)
{
	const char *name = getenv("AURELIUS_TEST_BACKEND");
	return name ? name : "cpu";
}

static int is_emulated;

int ops_on_cpu(void)
{
	return strcmp(backend_name(), "cpu") == 0;
}

int ops_emulated(void)
{
	const char *told = getenv("AURELIUS_EMULATED_TEST");
	return is_emulated || (told && strcmp(told, "1") == 0);
}

double ops_biased_tolerance(int64_t inputs, int64_t outputs, double tolerance)
{
	const int odd = inputs % 8 != 0 || outputs % 8 != 0;
	return odd && !ops_on_cpu() && !ops_emulated() ? 4.0 / 512.0 : tolerance;
}

int64_t ops_sized(int64_t n, int64_t most)
{
	return ops_emulated() && n > most ? most + n % 64 : n;
}

static void release_host(void)
{
	while (host_used > 0)
		free(host_pool[--host_used]);
}

struct aur_backend *ops_open(const struct aur_backend_limits *limits)
{
	struct aur_backend *backend = NULL;
	device_used = 0;
	ops_register_backends();
	if (aur_backend_open(backend_name(), &backend) != AUR_OK)
		fail_msg("%s", aur_error_message());
	size_t bytes = 0;
	if (limits && backend->ops->reserve(backend, limits, &bytes) != AUR_OK)
		fail_msg("%s", aur_error_message());
	return backend;
}

void ops_close(struct aur_backend **backend)
{
	while (device_used > 0)
		(*backend)->ops->release(*backend, device_pool[--device_used]);
	aur_backend_close(backend);
}

void *ops_memory(size_t bytes)
{
	void *memory = calloc(1, bytes ? bytes : 1);
	if (!memory || host_used == POOL)
		fail_msg("no host memory for %zu bytes", bytes);
	host_pool[host_used++] = memory;
	return memory;
}

float *ops_random(int64_t n, uint32_t seed, float scale)
{
	float *x = ops_memory((size_t)n * sizeof *x);
	for (int64_t i = 0; i < n; i++) {
		double normal[2];
		aur_normal2(aur_philox(seed, (uint32_t)i, 1000, 0), normal);
		x[i] = (float)normal[0] * scale;
	}
	return x;
}

int32_t *ops_random_tokens(int64_t n, uint32_t seed, int64_t vocabulary)
{
	int32_t *tokens = ops_memory((size_t)n * sizeof *tokens);
	for (int64_t i = 0; i < n; i++)
		tokens[i] = (int32_t)(aur_philox(seed, (uint32_t)i, 1001, 0).v[0] % (uint64_t)vocabulary);
	return tokens;
}

double *ops_doubles(const float *x, int64_t n)
{
	double *y = ops_memory((size_t)n * sizeof *y);
	for (int64_t i = 0; i < n; i++)
		y[i] = (double)x[i];
	return y;
}

static void *allocate(struct aur_backend *backend, size_t bytes)
{
	void *memory = NULL;
	if (device_used == POOL || backend->ops->allocate(backend, bytes ? bytes : 1, &memory) != AUR_OK)
		fail_msg("no memory of the backend for %zu bytes: %s", bytes, aur_error_message());
	device_pool[device_used++] = memory;
	return memory;
}

void *ops_put_bytes(struct aur_backend *backend, const void *host, size_t bytes)
{
	void *memory = allocate(backend, bytes);
	if (!host) {
		void *poison = ops_memory(bytes);
		memset(poison, 0xff, bytes); /* all ones is a NaN in every floating type */
		host = poison;
	}
	assert_int_equal(backend->ops->upload(backend, memory, host, bytes), AUR_OK);
	assert_int_equal(backend->ops->synchronise(backend), AUR_OK);
	return memory;
}

float *ops_put(struct aur_backend *backend, const float *host, int64_t n)
{
	return ops_put_bytes(backend, host, (size_t)n * sizeof *host);
}

int32_t *ops_put_tokens(struct aur_backend *backend, const int32_t *host, int64_t n)
{
	return ops_put_bytes(backend, host, (size_t)n * sizeof *host);
}

static float guard_at(int64_t i)
{
	return 3.0f + (float)i;
}

struct ops_guarded ops_put_guarded(struct aur_backend *backend, const float *host, int64_t n)
{
	const int64_t all = n + 2 * GUARD;
	float *around = ops_memory((size_t)all * sizeof *around);
	for (int64_t i = 0; i < all; i++)
		around[i] = guard_at(i);
	memcpy(around + GUARD, host, (size_t)n * sizeof *host);
	return (struct ops_guarded){.data = ops_put(backend, around, all) + GUARD, .n = n};
}

void ops_assert_guards(const char *what, struct aur_backend *backend, const struct ops_guarded *guarded)
{
	const int64_t all = guarded->n + 2 * GUARD;
	const float *now = ops_get(backend, guarded->data - GUARD, all);
	for (int64_t i = 0; i < all; i++)
		if ((i < GUARD || i >= GUARD + guarded->n) && now[i] != guard_at(i))
			fail_msg("%s: element %lld of %lld was written", what, (long long)(i - GUARD), (long long)guarded->n);
}

float *ops_put_zeros(struct aur_backend *backend, int64_t n)
{
	float *memory = allocate(backend, (size_t)n * sizeof *memory);
	assert_int_equal(backend->ops->zero(backend, memory, (size_t)n * sizeof *memory), AUR_OK);
	return memory;
}

void ops_get_bytes(struct aur_backend *backend, void *host, const void *device, size_t bytes)
{
	assert_int_equal(backend->ops->download(backend, host, device, bytes), AUR_OK);
	assert_int_equal(backend->ops->synchronise(backend), AUR_OK);
}

float *ops_get(struct aur_backend *backend, const float *device, int64_t n)
{
	float *host = ops_memory((size_t)n * sizeof *host);
	ops_get_bytes(backend, host, device, (size_t)n * sizeof *host);
	return host;
}

double *ops_get_doubles(struct aur_backend *backend, const double *device, int64_t n)
{
	double *host = ops_memory((size_t)n * sizeof *host);
	ops_get_bytes(backend, host, device, (size_t)n * sizeof *host);
	return host;
}

void *ops_put_as(struct aur_backend *backend, enum aur_dtype type, const float *host, int64_t n)
{
	if (type == AUR_F32 || !host)
		return ops_put_bytes(backend, host, (size_t)n * aur_dtype_bytes(type));
	uint16_t *narrow = ops_memory((size_t)n * sizeof *narrow);
	for (int64_t i = 0; i < n; i++)
		narrow[i] = aur_bf16_from_f32(host[i]);
	return ops_put_bytes(backend, narrow, (size_t)n * sizeof *narrow);
}

float *ops_get_as(struct aur_backend *backend, enum aur_dtype type, const void *device, int64_t n)
{
	if (type == AUR_F32)
		return ops_get(backend, device, n);
	uint16_t *narrow = ops_memory((size_t)n * sizeof *narrow);
	float *wide = ops_memory((size_t)n * sizeof *wide);
	ops_get_bytes(backend, narrow, device, (size_t)n * sizeof *narrow);
	for (int64_t i = 0; i < n; i++)
		wide[i] = aur_f32_from_bf16(narrow[i]);
	return wide;
}

float *ops_round(enum aur_dtype type, float *x, int64_t n)
{
	for (int64_t i = 0; type == AUR_BF16 && i < n; i++)
		x[i] = aur_f32_from_bf16(aur_bf16_from_f32(x[i]));
	return x;
}

struct aur_tensor ops_view_f64(double *data, int64_t n)
{
	return (struct aur_tensor){.data = data, .dtype = AUR_F64, .dims = 1, .shape = {n}, .stride = {1}};
}

static int close_enough(double got, double want, double rms, double tolerance)
{
	if (!isfinite(want) || !isfinite(got))
		return isnan(want) ? isnan(got) : got == want;
	return fabs(got - want) <= tolerance * (fabs(want) + rms);
}

static double root_mean_square(const double *x, int64_t n)
{
	double sum = 0.0;
	int64_t finite = 0;
	for (int64_t i = 0; i < n; i++)
		if (isfinite(x[i])) {
			sum += x[i] * x[i];
			finite++;
		}
	return finite ? sqrt(sum / (double)finite) : 0.0;
}

void ops_assert_close_f64(const char *what, const double *got, const double *want, int64_t n, double tolerance)
{
	const double rms = root_mean_square(want, n);
	for (int64_t i = 0; i < n; i++)
		if (!close_enough(got[i], want[i], rms, tolerance))
			fail_msg("%s[%lld]: got %.9g, want %.9g (rms %.3g, tolerance %.3g)", what, (long long)i, got[i], want[i],
				rms, tolerance);
}

void ops_assert_close(const char *what, const float *got, const double *want, int64_t n, double tolerance)
{
	const double rms = root_mean_square(want, n);
	for (int64_t i = 0; i < n; i++)
		if (!close_enough((double)got[i], want[i], rms, tolerance))
			fail_msg("%s[%lld]: got %.9g, want %.9g (rms %.3g, tolerance %.3g)", what, (long long)i, (double)got[i],
				want[i], rms, tolerance);
}

static double rounded(double x)
{
	return (double)aur_f32_from_bf16(aur_bf16_from_f32((float)x));
}

static int close_enough_bf16(double got, double want, double rms, double tolerance)
{
	const double reach = tolerance * (fabs(want) + rms);
	if (!isfinite(want) || !isfinite(got))
		return close_enough(got, want, rms, tolerance);
	return got >= rounded(want - reach) && got <= rounded(want + reach);
}

void ops_assert_close_as(
	const char *what, enum aur_dtype type, const float *got, const double *want, int64_t n, double tolerance)
{
	const double rms = root_mean_square(want, n);
	if (type == AUR_F32)
		ops_assert_close(what, got, want, n, tolerance);
	for (int64_t i = 0; type != AUR_F32 && i < n; i++)
		if (!close_enough_bf16((double)got[i], want[i], rms, tolerance))
			fail_msg("%s[%lld] in %s: got %.9g, want %.9g (rms %.3g, tolerance %.3g before rounding)", what,
				(long long)i, aur_dtype_name(type), (double)got[i], want[i], rms, tolerance);
}

void ops_assert_same_bits(const char *what, const void *a, const void *b, size_t bytes)
{
	const unsigned char *x = a;
	const unsigned char *y = b;
	for (size_t i = 0; i < bytes; i++)
		if (x[i] != y[i])
			fail_msg("%s: bits differ at byte %zu of %zu", what, i, bytes);
}

void ops_assert_status(aur_status status, aur_status expected, const char *message)
{
	if (status != expected)
		fail_msg("got %s, want %s (%s)", aur_status_name(status), aur_status_name(expected), aur_error_message());
	if (expected != AUR_OK && strncmp(aur_error_message(), message, strlen(message)) != 0)
		fail_msg("message \"%s\" does not begin with \"%s\"", aur_error_message(), message);
}

void ops_assert_input_refused(struct aur_backend *backend, aur_status status, const char *message)
{
	if (backend->host_memory) {
		ops_assert_status(status, AUR_INPUT, message);
		return;
	}
	if (status == AUR_OK)
		status = backend->ops->synchronise(backend);
	ops_assert_status(status, AUR_INPUT, "");
	assert_true(strlen(aur_error_message()) > 0);
	ops_assert_status(backend->ops->synchronise(backend), AUR_OK, "");
}

void ops_assert_thread_independent(const char *what, ops_run run, const void *argument, size_t bytes)
{
	const int before = omp_get_max_threads(), runs = ops_on_cpu() ? THREADS_TRIED : 2;
	unsigned char *results[THREADS_TRIED];
	for (int i = 0; i < runs; i++) {
		results[i] = ops_memory(bytes);
		if (ops_on_cpu())
			omp_set_num_threads(i + 1);
		run(argument, results[i]);
	}
	omp_set_num_threads(before);
	for (int i = 1; i < runs; i++)
		ops_assert_same_bits(what, results[0], results[i], bytes);
}

void ops_gradient(ops_function function, void *argument, double *x, int64_t n, double *gradient)
{
	const double h = 1e-3;
	for (int64_t i = 0; i < n; i++) {
		const double centre = x[i];
		double f[4];
		for (int k = 0; k < 4; k++) {
			x[i] = centre + h * (double[]){-2.0, -1.0, 1.0, 2.0}[k];
			f[k] = function(x, argument);
		}
		x[i] = centre;
		gradient[i] = (f[0] - 8.0 * f[1] + 8.0 * f[2] - f[3]) / (12.0 * h);
	}
}

double ops_dropout_factor(const struct aur_dropout *dropout, uint32_t head, int64_t sequence_number, int64_t row,
	int64_t column, int64_t columns)
{
	if (dropout->p == 0.0f)
		return 1.0;
	const struct aur_step_state *state = dropout->state;
	const uint32_t element = (uint32_t)(row * ((columns + 7) / 8) + column / 8);
	const uint32_t stream = aur_rng_stream(dropout->site, dropout->layer, head);
	const struct aur_random4 random =
		aur_philox(state->seed, element, stream, state->first_sample + (uint64_t)sequence_number);
	const unsigned half = (unsigned)(column % 8);
	const uint32_t bits = random.v[half / 2] >> (16 * (half % 2)) & 0xffff;
	const uint32_t threshold = (uint32_t)lround(65536.0 * (double)dropout->p);
	return bits < threshold ? 0.0 : 65536.0 / (65536.0 - threshold);
}

/* Whether the backend opens here; says why not. */
static aur_status look_at_backend(const char *group, const char *variant, char *name, size_t bytes)
{
	struct aur_backend *backend = NULL;
	const aur_status status = aur_backend_open(backend_name(), &backend);
	if (status != AUR_OK) {
		printf("[ %s ] %s on %s: %s\n", status == AUR_DEVICE ? "SKIP" : "FAIL", group, variant, aur_error_message());
		return status;
	}
	snprintf(name, bytes, "%s on %s", group, backend->variant);
	is_emulated = strncmp(backend->variant, "emulated", strlen("emulated")) == 0;
	aur_backend_close(&backend);
	return AUR_OK;
}

static int run_group(const char *name, const struct CMUnitTest *tests, size_t n_tests)
{
	printf("[ VARIANT  ] %s\n", name);
	fflush(stdout);
	const int failed = _cmocka_run_group_tests(name, tests, n_tests, NULL, NULL);
	release_host();
	return failed;
}

static int run_on_cpu(const char *group, const struct CMUnitTest *tests, size_t n_tests)
{
	static const char *const variants[] = {"baseline", "avx2", "avx512", "avx512bf16"};
	char name[128];
	int failed = 0;
	for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
		setenv("AURELIUS_CPU_VARIANT", variants[i], 1);
		const aur_status status = look_at_backend(group, variants[i], name, sizeof name);
		failed += status == AUR_OK ? run_group(name, tests, n_tests) : status != AUR_DEVICE;
	}
	return failed > 0;
}

int ops_main(const char *group, const struct CMUnitTest *tests, size_t n_tests)
{
	char name[128];
	ops_register_backends();
	if (ops_on_cpu())
		return run_on_cpu(group, tests, n_tests);
	const aur_status status = look_at_backend(group, backend_name(), name, sizeof name);
	if (status == AUR_DEVICE)
		return SKIPPED;
	return status != AUR_OK || run_group(name, tests, n_tests) > 0;
}
