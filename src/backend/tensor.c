#include "backend/tensor.h"

static struct aur_tensor contiguous(void *data, enum aur_dtype dtype, int dims, const int64_t shape[])
{
	struct aur_tensor tensor = {.data = data, .dtype = dtype, .dims = dims};
	int64_t stride = 1;
	for (int i = dims - 1; i >= 0; i--) {
		tensor.shape[i] = shape[i];
		tensor.stride[i] = stride;
		stride *= shape[i];
	}
	return tensor;
}

struct aur_tensor aur_view1(float *data, int64_t n)
{
	return contiguous(data, AUR_F32, 1, (int64_t[]){n});
}

struct aur_tensor aur_view2(float *data, int64_t rows, int64_t columns)
{
	return contiguous(data, AUR_F32, 2, (int64_t[]){rows, columns});
}

struct aur_tensor aur_view3(float *data, int64_t a, int64_t b, int64_t c)
{
	return contiguous(data, AUR_F32, 3, (int64_t[]){a, b, c});
}

struct aur_tensor aur_view1_of(void *data, enum aur_dtype dtype, int64_t n)
{
	return contiguous(data, dtype, 1, (int64_t[]){n});
}

struct aur_tensor aur_view2_of(void *data, enum aur_dtype dtype, int64_t rows, int64_t columns)
{
	return contiguous(data, dtype, 2, (int64_t[]){rows, columns});
}

struct aur_tensor aur_view_tokens(int32_t *data, int64_t rows, int64_t columns)
{
	return contiguous(data, AUR_I32, 2, (int64_t[]){rows, columns});
}

int64_t aur_tensor_count(const struct aur_tensor *tensor)
{
	int64_t count = 1;
	for (int i = 0; i < tensor->dims; i++)
		count *= tensor->shape[i];
	return count;
}

int aur_tensor_is(const struct aur_tensor *tensor, enum aur_dtype dtype, int64_t count)
{
	if (!tensor->data || tensor->dtype != dtype || aur_tensor_count(tensor) != count)
		return 0;
	int64_t stride = 1;
	for (int i = tensor->dims - 1; i >= 0; i--) {
		if (tensor->shape[i] > 1 && tensor->stride[i] != stride)
			return 0;
		stride *= tensor->shape[i];
	}
	return 1;
}
