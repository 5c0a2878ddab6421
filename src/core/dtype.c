#include "core/dtype.h"

#include <string.h>

#define AUR_DTYPE_BYTES(name, bytes, text) [name] = bytes,
#define AUR_DTYPE_TEXT(name, bytes, text) [name] = text,
static const size_t bytes_of[AUR_DTYPE_COUNT] = {AUR_DTYPE_TABLE(AUR_DTYPE_BYTES)};
static const char *const name_of[AUR_DTYPE_COUNT] = {AUR_DTYPE_TABLE(AUR_DTYPE_TEXT)};

size_t aur_dtype_bytes(enum aur_dtype dtype)
{
	return (unsigned)dtype < AUR_DTYPE_COUNT ? bytes_of[dtype] : 0;
}

const char *aur_dtype_name(enum aur_dtype dtype)
{
	return (unsigned)dtype < AUR_DTYPE_COUNT ? name_of[dtype] : "unknown";
}

uint16_t aur_bf16_from_f32(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof bits);
	if ((bits & 0x7fffffffu) > 0x7f800000u)
		return (uint16_t)((bits >> 16) | 0x40u);
	return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float aur_f32_from_bf16(uint16_t upper)
{
	const uint32_t bits = (uint32_t)upper << 16;
	float value;
	memcpy(&value, &bits, sizeof value);
	return value;
}
