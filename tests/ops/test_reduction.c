#include "oracle.h"

#include <math.h>
#include <string.h>

enum { COUNT = 5003 };

/* The definition: two halves, each by itself, then added, in fp32. */
static float tree(float *const *parts, int n, int64_t i)
{
	return n == 1 ? parts[0][i] : tree(parts, n / 2, i) + tree(parts + n / 2, n / 2, i);
}

static void check_tree(int n_parts, int in_place)
{
	struct aur_backend *backend = ops_open(NULL);
	float *parts[AUR_TREE_PARTS];
	float *want = ops_memory(COUNT * sizeof *want);
	struct aur_tree_add op = {.n_parts = n_parts, .count = COUNT};
	for (int i = 0; i < n_parts; i++) {
		parts[i] = ops_random(COUNT, (uint32_t)i, 1.0f);
		op.parts[i] = ops_put(backend, parts[i], COUNT);
	}
	for (int64_t i = 0; i < COUNT; i++)
		want[i] = tree(parts, n_parts, i);
	op.out = ops_put(backend, in_place ? parts[0] : NULL, COUNT);
	if (in_place)
		op.parts[0] = op.out;
	ops_assert_status(backend->ops->tree_add(backend, &op), AUR_OK, "");
	ops_assert_same_bits("sum", ops_get(backend, op.out, COUNT), want, COUNT * sizeof *want);
	ops_close(&backend);
}

static void sum_follows_the_balanced_tree_to_the_bit(void **state)
{
	(void)state;
	for (int n = 1; n <= AUR_TREE_PARTS; n *= 2)
		check_tree(n, 0);
}

static void sum_may_be_written_over_the_first_part(void **state)
{
	(void)state;
	for (int n = 1; n <= AUR_TREE_PARTS; n *= 2)
		check_tree(n, 1);
}

static void numbers_of_parts_without_a_tree_are_refused(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	float *data = ops_put_zeros(backend, 8);
	struct aur_tree_add op = {.parts = {data, data, data}, .n_parts = 3, .out = data, .count = 8};
	ops_assert_status(backend->ops->tree_add(backend, &op), AUR_SHAPE, "tree_add: 3 parts");
	op.n_parts = 4;
	ops_assert_status(backend->ops->tree_add(backend, &op), AUR_SHAPE, "tree_add: part 3 is absent");
	ops_close(&backend);
}

static struct aur_tensor view_bf16(uint16_t *data, int64_t n)
{
	return (struct aur_tensor){.data = data, .dtype = AUR_BF16, .dims = 1, .shape = {n}, .stride = {1}};
}

/* Of a NaN only the CPU backend keeps the payload. */
static int same_bf16(uint16_t got, float x)
{
	return isnan(x) && !ops_on_cpu() ? isnan(aur_f32_from_bf16(got)) : got == aur_bf16_from_f32(x);
}

/* Ties, the largest number, infinities, denormal numbers and NaN beside random ones. */
static float *numbers_to_cast(void)
{
	static const uint32_t special[] = {0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001, 0x7f7fffff, 0x7f800000,
		0xff800000, 0x7f800001, 0xffc00000, 0x00000001, 0x80000000, 0x00018000};
	float *x = ops_random(COUNT, 1, 10.0f);
	memcpy(x, special, sizeof special);
	return x;
}

static void casts_round_to_nearest_even_and_back(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	const float *x = numbers_to_cast();
	uint16_t *narrow = ops_put_bytes(backend, NULL, COUNT * sizeof *narrow);
	float *wide = ops_put(backend, NULL, COUNT);
	const struct aur_cast down = {.x = aur_view1(ops_put(backend, x, COUNT), COUNT), .y = view_bf16(narrow, COUNT)};
	const struct aur_cast up = {.x = view_bf16(narrow, COUNT), .y = aur_view1(wide, COUNT)};
	ops_assert_status(backend->ops->cast(backend, &down), AUR_OK, "");
	ops_assert_status(backend->ops->cast(backend, &up), AUR_OK, "");
	uint16_t *got = ops_memory(COUNT * sizeof *got);
	ops_get_bytes(backend, got, narrow, COUNT * sizeof *got);
	const float *back = ops_get(backend, wide, COUNT);
	for (int i = 0; i < COUNT; i++) {
		assert_true(same_bf16(got[i], x[i]));
		const uint32_t bits = (uint32_t)got[i] << 16;
		if (ops_on_cpu() || !isnan(x[i]))
			ops_assert_same_bits("fp32 of bf16", &back[i], &bits, sizeof bits);
		else
			assert_true(isnan(back[i]));
	}
	ops_close(&backend);
}

static void casts_between_other_types_are_refused(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	float *data = ops_put_zeros(backend, 8);
	const struct aur_cast same = {.x = aur_view1(data, 4), .y = aur_view1(data + 4, 4)};
	ops_assert_status(backend->ops->cast(backend, &same), AUR_SHAPE, "cast: y");
	ops_close(&backend);
}

static void run_tree(const void *argument, void *result)
{
	(void)argument;
	struct aur_backend *backend = ops_open(NULL);
	struct aur_tree_add op = {.n_parts = 8, .count = COUNT, .out = ops_put(backend, NULL, COUNT)};
	for (int i = 0; i < op.n_parts; i++)
		op.parts[i] = ops_put(backend, ops_random(COUNT, (uint32_t)i, 1.0f), COUNT);
	ops_assert_status(backend->ops->tree_add(backend, &op), AUR_OK, "");
	ops_get_bytes(backend, result, op.out, COUNT * sizeof(float));
	ops_close(&backend);
}

static void bits_do_not_depend_on_the_number_of_threads(void **state)
{
	(void)state;
	ops_assert_thread_independent("tree_add", run_tree, NULL, COUNT * sizeof(float));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sum_follows_the_balanced_tree_to_the_bit),
		cmocka_unit_test(sum_may_be_written_over_the_first_part),
		cmocka_unit_test(numbers_of_parts_without_a_tree_are_refused),
		cmocka_unit_test(casts_round_to_nearest_even_and_back),
		cmocka_unit_test(casts_between_other_types_are_refused),
		cmocka_unit_test(bits_do_not_depend_on_the_number_of_threads),
	};
	return ops_main("reduction", tests, sizeof tests / sizeof *tests);
}
