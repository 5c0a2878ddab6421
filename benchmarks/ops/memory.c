#include "bench.h"

#include "core/rng.h"

/* Numbers only have to be of ordinary size and different from one another: a xorshift generator (Marsaglia 2003). */
static float next_number(uint64_t *random, float scale)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return scale * ((float)(*random >> 40) * 0x1p-23f - 1.0f);
}

static void fill(struct bench_memory *memory, const struct aur_tensor *tensor, float scale)
{
	const int64_t count = aur_tensor_count(tensor);
	for (int64_t i = 0; i < count; i++) {
		const float value = next_number(&memory->random, scale);
		if (tensor->dtype == AUR_BF16)
			((uint16_t *)tensor->data)[i] = aur_bf16_from_f32(value);
		else
			((float *)tensor->data)[i] = value;
	}
}

static struct aur_tensor carve(struct bench_memory *memory, enum aur_dtype dtype, int64_t rows, int64_t columns)
{
	const size_t bytes = (size_t)(rows * columns) * aur_dtype_bytes(dtype);
	return aur_view2_of(aur_arena_take(&memory->arena, "operands", bytes), dtype, rows, columns);
}

struct aur_tensor bench_take_typed(
	struct bench_memory *memory, enum aur_dtype dtype, int64_t rows, int64_t columns, float scale)
{
	const struct aur_tensor tensor = carve(memory, dtype, rows, columns);
	if (tensor.data)
		fill(memory, &tensor, scale);
	return tensor;
}

struct aur_tensor bench_take(struct bench_memory *memory, int64_t rows, int64_t columns, float scale)
{
	return bench_take_typed(memory, memory->dtype, rows, columns, scale);
}

struct aur_tensor bench_take_f32(struct bench_memory *memory, int64_t rows, int64_t columns, float scale)
{
	return bench_take_typed(memory, AUR_F32, rows, columns, scale);
}

struct aur_tensor bench_take_constant(struct bench_memory *memory, enum aur_dtype dtype, int64_t n, double value)
{
	const struct aur_tensor tensor = carve(memory, dtype, 1, n);
	for (int64_t i = 0; tensor.data && i < n; i++) {
		if (dtype == AUR_F64)
			((double *)tensor.data)[i] = value;
		else
			((float *)tensor.data)[i] = (float)value;
	}
	return tensor;
}

struct aur_tensor bench_take_tokens(struct bench_memory *memory, const struct bench_shape *shape)
{
	const struct aur_tensor tensor = carve(memory, AUR_I32, shape->batch, shape->positions);
	int32_t *tokens = tensor.data;
	for (int64_t i = 0; tokens && i < bench_rows(shape); i++) {
		const double uniform = 0.5 + 0.5 * (double)next_number(&memory->random, 1.0f);
		tokens[i] = (int32_t)(uniform * (double)shape->vocabulary) % (int32_t)shape->vocabulary;
	}
	return tensor;
}

struct aur_step_state *bench_take_state(struct bench_memory *memory)
{
	struct aur_step_state *state = aur_arena_take(&memory->arena, "operands", sizeof *state);
	if (state)
		*state = (struct aur_step_state){
			.seed = 1337, .learning_rate = 1e-4f, .correction1 = 0.5f, .correction2 = 0.5f, .gradient_scale = 1.0f};
	return state;
}

struct aur_dropout bench_take_dropout(struct bench_memory *memory, float p)
{
	if (p == 0)
		return (struct aur_dropout){0};
	return (struct aur_dropout){.p = p, .site = AUR_SITE_DROP_MLP_OUT, .layer = 1, .state = bench_take_state(memory)};
}

double bench_bytes_of(const struct aur_tensor *tensor)
{
	return tensor->dims ? (double)aur_tensor_count(tensor) * (double)aur_dtype_bytes(tensor->dtype) : 0;
}
