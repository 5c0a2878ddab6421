#include "oracle.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 5 * (1 << 20) + 13 };

static void memory_is_aligned_to_256_bytes(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 255, 256, 257, LARGE};
	struct aur_backend *backend = ops_open(NULL);
	for (int i = 0; i < 6; i++) {
		void *memory = NULL;
		ops_assert_status(backend->ops->allocate(backend, sizes[i], &memory), AUR_OK, "");
		assert_int_equal((uintptr_t)memory % 256, 0);
		backend->ops->release(backend, memory);
	}
	backend->ops->release(backend, NULL);
	ops_close(&backend);
}

static void too_much_memory_is_an_error_that_names_the_size(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	void *memory = NULL;
	const aur_status status = backend->ops->allocate(backend, SIZE_MAX / 2, &memory);
	ops_assert_status(status, AUR_MEMORY, "");
	assert_null(memory);
	assert_non_null(strstr(aur_error_message(), "9223372036854775807"));
	ops_close(&backend);
}

static void copies_and_zeros_are_complete(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	unsigned char *host = ops_memory(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		host[i] = (unsigned char)(i * 31 >> 3);
	unsigned char *from = ops_put_bytes(backend, host, LARGE);
	unsigned char *to = ops_put_bytes(backend, NULL, LARGE);
	unsigned char *back = ops_memory(LARGE);
	ops_assert_status(backend->ops->copy(backend, to, from, LARGE), AUR_OK, "");
	ops_get_bytes(backend, back, to, LARGE);
	ops_assert_same_bits("copy", host, back, LARGE);
	ops_assert_status(backend->ops->zero(backend, to, LARGE - 1), AUR_OK, "");
	ops_get_bytes(backend, back, to, LARGE);
	assert_int_equal(back[LARGE - 1], host[LARGE - 1]);
	back[LARGE - 1] = 0;
	ops_assert_same_bits("zero", ops_memory(LARGE), back, LARGE);
	ops_close(&backend);
}

/* A shape beyond what was reserved must not run over the end of the scratch memory. */
static void operations_beyond_the_reserved_shapes_are_refused(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	float *data = ops_put_zeros(backend, 8);
	double *loss = ops_put_bytes(backend, NULL, sizeof *loss);
	const struct aur_head_loss op = {.x = aur_view2(data, 1, 2),
		.w = aur_view2(data, 3, 2),
		.targets = aur_view_tokens(ops_put_tokens(backend, (int32_t[]){1}, 1), 1, 1),
		.loss = ops_view_f64(loss, 1)};
	ops_assert_status(backend->ops->head_loss(backend, &op), AUR_SHAPE, "head_loss: needs");
	ops_close(&backend);
}

static void an_unknown_instruction_set_is_a_usage_error(void **state)
{
	(void)state;
	if (!ops_on_cpu()) {
		print_message("SKIP: only the CPU backend has instruction sets to choose from\n");
		skip();
	}
	char *before = strdup(getenv("AURELIUS_CPU_VARIANT"));
	struct aur_backend *backend = NULL;
	setenv("AURELIUS_CPU_VARIANT", "sse9", 1);
	const aur_status status = aur_backend_open("cpu", &backend);
	setenv("AURELIUS_CPU_VARIANT", before, 1);
	free(before);
	ops_assert_status(status, AUR_USAGE, "AURELIUS_CPU_VARIANT=sse9");
	assert_null(backend);
}

static void the_name_of_the_variant_says_what_bits_depend_on(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	const char *forced = ops_on_cpu() ? getenv("AURELIUS_CPU_VARIANT") : "";
	assert_true(strlen(backend->variant) > 0);
	assert_int_equal(strncmp(backend->variant, forced, strlen(forced)), 0);
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_aligned_to_256_bytes),
		cmocka_unit_test(too_much_memory_is_an_error_that_names_the_size),
		cmocka_unit_test(copies_and_zeros_are_complete),
		cmocka_unit_test(operations_beyond_the_reserved_shapes_are_refused),
		cmocka_unit_test(an_unknown_instruction_set_is_a_usage_error),
		cmocka_unit_test(the_name_of_the_variant_says_what_bits_depend_on),
	};
	return ops_main("memory", tests, sizeof tests / sizeof *tests);
}
