#ifndef AUR_BENCH_OPTIONS_H
#define AUR_BENCH_OPTIONS_H

#include "core/status.h"

#include <getopt.h>

/* What command lines of the programs that measure have in common. */

/* Calls `take` for each option, with its number in `options` and its value or NULL, until one fails. AUR_USAGE for an
 * option that is not there, one without its value, and for whatever is no option. */
aur_status bench_options_parse(int argc, char **argv, const struct option *options,
	aur_status (*take)(int option, const char *text, void *settings), void *settings);

/* A number from `least` to `most`, with K, M or G behind it in units of 1024, 1024^2 or 1024^3. AUR_USAGE. */
aur_status bench_options_number(const char *option, const char *text, double least, double most, double *number);

/* The same, a whole one. */
aur_status bench_options_count(const char *option, const char *text, int least, int most, int *count);

#endif
