#ifndef AUR_CORE_DTYPE_H
#define AUR_CORE_DTYPE_H

#include <stddef.h>
#include <stdint.h>

/* Element types. X(name, bytes, text) */
#define AUR_DTYPE_TABLE(X)                                                                                             \
	X(AUR_F32, 4, "fp32")                                                                                              \
	X(AUR_BF16, 2, "bf16")                                                                                             \
	X(AUR_I32, 4, "int32")                                                                                             \
	X(AUR_F64, 8, "fp64")

#define AUR_DTYPE_MEMBER(name, bytes, text) name,
enum aur_dtype { AUR_DTYPE_TABLE(AUR_DTYPE_MEMBER) AUR_DTYPE_COUNT };
#undef AUR_DTYPE_MEMBER

size_t aur_dtype_bytes(enum aur_dtype dtype);
const char *aur_dtype_name(enum aur_dtype dtype);

/* bfloat16 is the upper half of an fp32; rounding is to nearest, ties to even; NaN stays NaN. */
uint16_t aur_bf16_from_f32(float value);
float aur_f32_from_bf16(uint16_t bits);

#endif
