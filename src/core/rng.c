#include "core/rng.h"

#include <math.h>

void aur_normal2(struct aur_random4 random, double normal[2])
{
	const double pi = 3.14159265358979323846;
	/* 1 - u lies in (0, 1], so that its logarithm is finite. */
	const double radius = sqrt(-2.0 * log(1.0 - aur_uniform(random.v[0], random.v[1])));
	const double angle = 2.0 * pi * aur_uniform(random.v[2], random.v[3]);
	normal[0] = radius * cos(angle);
	normal[1] = radius * sin(angle);
}
