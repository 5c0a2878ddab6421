#ifndef AUR_CUDA_PHILOX_CUH
#define AUR_CUDA_PHILOX_CUH

#include "launch.cuh"

#include <Random123/philox.h>

/* Philox 4x32-10 on the device: the words of core/rng.h's aur_philox(seed, element, stream, sample), v[0] to v[3] in
 * x to w. Some 90 integer instructions, 20 of them multiplications; no memory. */
AUR_ON_DEVICE uint4 aur_philox_words(uint64_t seed, uint32_t element, uint32_t stream, uint64_t sample)
{
	const philox4x32_ctr_t counter = {
		{element, stream, static_cast<uint32_t>(sample), static_cast<uint32_t>(sample >> 32)}};
	const philox4x32_key_t key = {{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}};
	const philox4x32_ctr_t random = philox4x32(counter, key);
	return make_uint4(random.v[0], random.v[1], random.v[2], random.v[3]);
}

#endif
