#include "train/mixture.h"

#include "core/rng.h"

#include <stdlib.h>

static int64_t common_divisor(int64_t a, int64_t b)
{
	while (b != 0) {
		const int64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

aur_status aur_mixture_create(const int64_t *weights, int64_t count, uint64_t seed, struct aur_mixture *mixture)
{
	*mixture = (struct aur_mixture){.count = count, .seed = seed};
	mixture->bounds = calloc((size_t)count + 1, sizeof *mixture->bounds);
	if (!mixture->bounds)
		return aur_fail(AUR_MEMORY, "mixture: no memory for %lld sources", (long long)count);
	int64_t divisor = 0;
	for (int64_t i = 0; i < count; i++)
		divisor = common_divisor(weights[i], divisor);
	for (int64_t i = 0; i < count; i++)
		mixture->bounds[i + 1] = mixture->bounds[i] + weights[i] / divisor;
	return AUR_OK;
}

void aur_mixture_clear(struct aur_mixture *mixture)
{
	free(mixture->bounds);
	*mixture = (struct aur_mixture){0};
}

/* (a b + c) / d without overflow; c < d. */
static int64_t scaled(int64_t a, int64_t b, int64_t c, int64_t d)
{
	__extension__ typedef unsigned __int128 wide;
	return (int64_t)(((wide)(uint64_t)a * (uint64_t)b + (uint64_t)c) / (uint64_t)d);
}

/* Where the line of a node begins. Uniform below `weight`, but for less than weight / 2^64. */
static int64_t offset_of(const struct aur_mixture *mixture, int64_t begin, int64_t end, int64_t weight)
{
	__extension__ typedef unsigned __int128 wide;
	const struct aur_random4 random =
		aur_philox(mixture->seed, (uint32_t)begin, aur_rng_stream(AUR_SITE_ORDER_MIXTURE, 0, 0), (uint64_t)end);
	return (int64_t)((wide)((uint64_t)random.v[1] << 32 | random.v[0]) * (uint64_t)weight >> 64);
}

struct aur_draw aur_mixture_draw(const struct aur_mixture *mixture, int64_t sample)
{
	int64_t begin = 0, end = mixture->count;
	while (end - begin > 1) {
		const int64_t middle = begin + (end - begin) / 2;
		const int64_t weight = mixture->bounds[end] - mixture->bounds[begin];
		const int64_t left = mixture->bounds[middle] - mixture->bounds[begin];
		const int64_t offset = offset_of(mixture, begin, end, weight);
		const int64_t before = scaled(sample, left, offset, weight);
		if (scaled(sample + 1, left, offset, weight) > before) {
			sample = before;
			end = middle;
		} else {
			sample -= before;
			begin = middle;
		}
	}
	return (struct aur_draw){begin, sample};
}
