#ifndef AUR_TESTS_OPS_ORACLE_H
#define AUR_TESTS_OPS_ORACLE_H

/* What the conformance tests of the backends share. A test works on whatever backend it is given: inputs go in with
 * ops_put, results come out with ops_get, and are compared with a float64 reference written in the test.
 *
 * The backend is the one named by AURELIUS_TEST_BACKEND, cpu by default. On the CPU ops_main runs all tests once for
 * every instruction set that this processor has. Another backend may run behind the host's back, in memory that the
 * host cannot read: so what an operation is given lies in the backend's memory, states of steps too, and what it
 * borrows stays until results are fetched. */

#include "backend/backend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* main() of a test program: return ops_main("linear", tests, sizeof tests / sizeof *tests). 77, which CTest shows as
 * skipped, where the machine lacks the backend's device. */
int ops_main(const char *group, const struct CMUnitTest *tests, size_t n_tests);

/* backends.c, compiled into each program: registers the backends that it is linked with. */
void ops_register_backends(void);

/* 1 on the CPU backend; a test of what only that promises begins with `if (!ops_on_cpu()) skip();`. */
int ops_on_cpu(void);

/* 1 on a backend whose device is emulated, about a thousand times slower than the CPU backend: its variant's name
 * begins with "emulated", or AURELIUS_EMULATED_TEST is 1. Tests then take smaller shapes with the same edges. */
int ops_emulated(void);

/* How far a bf16 product with its bias may be off before it is rounded, as a part of the root mean square: `tolerance`.
 * With widths that are no multiple of 8 some of cuBLASLt's are off by more than one rounding (seen on an H200, of 33 by
 * 40 and 439), as if the product were rounded before the bias is added: then by 2^-9 of the largest, four times the
 * mean. */
double ops_biased_tolerance(int64_t inputs, int64_t outputs, double tolerance);

/* n; under the emulator at most `most` and a part of 64, with n's remainder by 64. `most` is a multiple of 64. */
int64_t ops_sized(int64_t n, int64_t most);

/* Opens the backend and reserves scratch memory for `limits` (NULL: nothing). Fails the test when either fails. */
struct aur_backend *ops_open(const struct aur_backend_limits *limits);

/* Closes it and releases everything that ops_put, ops_memory and the functions built on them gave. */
void ops_close(struct aur_backend **backend);

/* Zeroed host memory, released by ops_close or the next ops_open. Never NULL; at least one byte. */
void *ops_memory(size_t bytes);

/* n pseudo-random normal numbers times `scale`; equal seeds give equal numbers. */
float *ops_random(int64_t n, uint32_t seed, float scale);

/* n pseudo-random token numbers in [0, vocabulary), some of them equal. */
int32_t *ops_random_tokens(int64_t n, uint32_t seed, int64_t vocabulary);

/* A copy as fp64. */
double *ops_doubles(const float *x, int64_t n);

/* Copies into new memory of the backend; host == NULL fills it with NaN, so that what is not written shows. */
void *ops_put_bytes(struct aur_backend *backend, const void *host, size_t bytes);
float *ops_put(struct aur_backend *backend, const float *host, int64_t n);
int32_t *ops_put_tokens(struct aur_backend *backend, const int32_t *host, int64_t n);

/* n floats in the midst of others, whose place is 256-byte aligned: an operation must not write around them. */
struct ops_guarded {
	float *data;
	int64_t n;
};
struct ops_guarded ops_put_guarded(struct aur_backend *backend, const float *host, int64_t n);
void ops_assert_guards(const char *what, struct aur_backend *backend, const struct ops_guarded *guarded);

/* New zeroed memory of the backend. */
float *ops_put_zeros(struct aur_backend *backend, int64_t n);

/* Waits for the backend and copies to the host; the forms without `host` give new memory from ops_memory. */
void ops_get_bytes(struct aur_backend *backend, void *host, const void *device, size_t bytes);
float *ops_get(struct aur_backend *backend, const float *device, int64_t n);
double *ops_get_doubles(struct aur_backend *backend, const double *device, int64_t n);

/* The same of activations, which are fp32 or bf16: what is put is rounded to the type, what is got is widened. */
void *ops_put_as(struct aur_backend *backend, enum aur_dtype type, const float *host, int64_t n);
float *ops_get_as(struct aur_backend *backend, enum aur_dtype type, const void *device, int64_t n);

/* Rounds to the type, so that a reference computes from what the backend is given; returns x. */
float *ops_round(enum aur_dtype type, float *x, int64_t n);

/* A contiguous view of fp64. */
struct aur_tensor ops_view_f64(double *data, int64_t n);

/* Fails the test unless |got - want| <= tolerance * (|want| + rms(want)) for every element; NaN and infinity must
 * agree. The caller states the reason for the tolerance where it gives it. */
void ops_assert_close(const char *what, const float *got, const double *want, int64_t n, double tolerance);
void ops_assert_close_f64(const char *what, const double *got, const double *want, int64_t n, double tolerance);

/* The same of a result of this type: a bf16 must be what a number within the tolerance of `want` is rounded to. So it
 * is the tolerance of the fp32 arithmetic before the one rounding. */
void ops_assert_close_as(
	const char *what, enum aur_dtype type, const float *got, const double *want, int64_t n, double tolerance);

/* Fails the test unless both are equal to the bit. */
void ops_assert_same_bits(const char *what, const void *a, const void *b, size_t bytes);

/* Fails the test unless `status` is `expected` and, for failures, the message begins with `message`. */
void ops_assert_status(aur_status status, aur_status expected, const char *message);

/* Fails the test unless an operation that gave `status` refused the numbers it was to read. A backend whose memory the
 * host reads fails at once, with a message that begins with `message`; another may return AUR_OK, and the next
 * synchronise() fails instead, once. */
void ops_assert_input_refused(struct aur_backend *backend, aur_status status, const char *message);

/* Calls run(argument, result) with 1, 2 and 3 threads, `result` being `bytes` of zeroed memory, and fails the test
 * unless the results are equal to the bit. run opens its own backend and closes it. On a backend that is not the CPU's
 * it is called twice: a rerun gives the same bits. */
typedef void (*ops_run)(const void *argument, void *result);
void ops_assert_thread_independent(const char *what, ops_run run, const void *argument, size_t bytes);

/* The gradient of a float64 function of n numbers by five-point central differences; x is restored. The error is about
 * 1e-11 of the function's size. */
typedef double (*ops_function)(const double *x, void *argument);
void ops_gradient(ops_function function, void *argument, double *x, int64_t n, double *gradient);

/* What dropout multiplies element (row, column) of an activation or attention matrix with: 0, or the scale of kept
 * elements; 1 when dropout->p is 0. Written out from the definition in backend.h, element by element. */
double ops_dropout_factor(const struct aur_dropout *dropout, uint32_t head, int64_t sequence_number, int64_t row,
	int64_t column, int64_t columns);

#endif
