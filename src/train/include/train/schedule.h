#ifndef AUR_TRAIN_SCHEDULE_H
#define AUR_TRAIN_SCHEDULE_H

#include "config/config.h"

#include <stdint.h>

/* The learning rate of a step, counted from 0, with W warm-up steps, D decay steps, rate a and end rate b:
 *   warm-up    a (step + 1) / (W + 1)                                    for step < W
 *   constant   a
 *   linear     a + (b - a) p           with p = (step - W) / (D - W), from 0 to 1
 *   cosine     b + (a - b) (1 + cos(pi p)) / 2        (Loshchilov, Hutter 2017, arXiv:1608.03983)
 *   wsd        a, then linear to b over the last fifth of D   (Hu et al. 2024, arXiv:2404.06395)
 * and b from step D on, but for constant. */
double aur_schedule_rate(const struct aur_config *config, int64_t step);

#endif
