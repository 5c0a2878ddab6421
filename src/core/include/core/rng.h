#ifndef AUR_CORE_RNG_H
#define AUR_CORE_RNG_H

#include <Random123/philox.h>

#include <stdint.h>

/* Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
 *
 * The key is the run's seed; the counter says what the number is for: (element, site | layer << 8 | head << 20, global
 * sample number low, high). Never a rank, a thread or the time, so the same numbers come out wherever they are drawn.
 */
enum aur_rng_site {
	AUR_SITE_INIT = 1,     /* element = number of the four in the tensor, layer/head bits = index of the tensor */
	AUR_SITE_ORDER,        /* permutation of windows; sample number = epoch */
	AUR_SITE_ORDER_OFFSET, /* the offset at which an epoch's windows start */
	AUR_SITE_ORDER_RANDOM, /* starts of windows drawn with replacement */
	AUR_SITE_GENERATE,     /* sampling of text; element = position, sample number = number of the text */
	AUR_SITE_DROP_EMBEDDING,
	AUR_SITE_DROP_ATTENTION, /* the attention weights */
	AUR_SITE_DROP_ATTENTION_OUT,
	AUR_SITE_DROP_MLP_OUT,
	AUR_SITE_SYNTHETIC, /* tokens without a file; four a counter, layer = split, element and sample number = their index
						 */
	AUR_SITE_ORDER_MIXTURE, /* where the lines of a mixture begin; element and sample number = the sources below */
	AUR_SITE_ORDER_TURN,    /* which window is the first in an epoch of compressed data */
};

struct aur_random4 {
	uint32_t v[4];
};

static inline uint32_t aur_rng_stream(uint32_t site, uint32_t layer, uint32_t head)
{
	return site | layer << 8 | head << 20;
}

/* Four random words for one counter. */
static inline struct aur_random4 aur_philox(uint64_t seed, uint32_t element, uint32_t stream, uint64_t sample)
{
	const philox4x32_ctr_t counter = {{element, stream, (uint32_t)sample, (uint32_t)(sample >> 32)}};
	const philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
	const philox4x32_ctr_t random = philox4x32(counter, key);
	return (struct aur_random4){{random.v[0], random.v[1], random.v[2], random.v[3]}};
}

/* Uniform in [0, 1) with 53 bits, from two words. */
static inline double aur_uniform(uint32_t high, uint32_t low)
{
	return (double)((uint64_t)(high >> 5) << 26 | (uint64_t)(low >> 6)) * 0x1p-53;
}

/* Two independent standard normals from four words (Box and Muller 1958). */
void aur_normal2(struct aur_random4 random, double normal[2]);

#endif
