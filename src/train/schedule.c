#include "train/schedule.h"

#include <math.h>

/* wsd: the share of the steps that the final descent takes. */
static const double descent_share = 0.2;

static double blend(double from, double to, double part)
{
	return from + (to - from) * part;
}

static double wsd_rate(double rate, double end, int64_t step, int64_t decay)
{
	const double descent = fmax(1.0, floor((double)decay * descent_share));
	const double into = (double)step - ((double)decay - descent);
	return into <= 0 ? rate : blend(rate, end, into / descent);
}

double aur_schedule_rate(const struct aur_config *config, int64_t step)
{
	const double pi = 3.14159265358979323846;
	const double rate = config->train.learning_rate, end = config->train.min_learning_rate;
	const int64_t warmup = config->train.warmup_steps, decay = config->train.decay_steps;
	if (step < warmup)
		return rate * (double)(step + 1) / (double)(warmup + 1);
	if (config->train.schedule == AUR_SCHEDULE_CONSTANT)
		return rate;
	if (step >= decay)
		return end;
	const double part = (double)(step - warmup) / (double)(decay - warmup);
	switch (config->train.schedule) {
	case AUR_SCHEDULE_LINEAR:
		return blend(rate, end, part);
	case AUR_SCHEDULE_WSD:
		return wsd_rate(rate, end, step, decay);
	default:
		return end + (rate - end) * 0.5 * (1.0 + cos(pi * part));
	}
}
