#ifndef AUR_BACKEND_TENSOR_H
#define AUR_BACKEND_TENSOR_H

#include "core/dtype.h"

#include <stdint.h>

enum { AUR_TENSOR_DIMS = 4 };

/* A view: where numbers lie and how they are laid out. It owns nothing; `data` belongs to an arena and is a device
 * pointer where the backend says so. A tensor with data == NULL is absent. Row-major; strides in elements. */
struct aur_tensor {
	void *data;
	enum aur_dtype dtype;
	int dims;
	int64_t shape[AUR_TENSOR_DIMS];
	int64_t stride[AUR_TENSOR_DIMS];
};

/* Contiguous fp32 views of 1, 2 and 3 dimensions. */
struct aur_tensor aur_view1(float *data, int64_t n);
struct aur_tensor aur_view2(float *data, int64_t rows, int64_t columns);
struct aur_tensor aur_view3(float *data, int64_t a, int64_t b, int64_t c);

/* The same of 1 and 2 dimensions, of any element type. */
struct aur_tensor aur_view1_of(void *data, enum aur_dtype dtype, int64_t n);
struct aur_tensor aur_view2_of(void *data, enum aur_dtype dtype, int64_t rows, int64_t columns);

/* A contiguous int32 view [rows, columns]: token numbers. */
struct aur_tensor aur_view_tokens(int32_t *data, int64_t rows, int64_t columns);

int64_t aur_tensor_count(const struct aur_tensor *tensor);

/* 1 when present, of this dtype, contiguous, and of `count` elements in all. */
int aur_tensor_is(const struct aur_tensor *tensor, enum aur_dtype dtype, int64_t count);

#endif
