#ifndef AUR_BENCH_DATA_H
#define AUR_BENCH_DATA_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

struct bench_settings {
	const char *folder;
	int64_t tokens, files; /* of the corpus */
	int64_t block, batch, prefetch;
	int64_t read, steps; /* tokens that are read as fast as it goes; steps of the paced reader */
	double rate;         /* tokens a second that the paced reader takes */
	int order, compress, warm, help;
};

/* Writes the corpus into the folder unless it is there, and its glob to `glob`. Its tokens follow the frequencies of
 * words in a text (Zipf's law over 50257), so that they compress as a text's do. AUR_IO, AUR_MEMORY. */
aur_status bench_make_corpus(const struct bench_settings *settings, char *glob, size_t bytes);

#endif
