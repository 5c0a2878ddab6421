#ifndef AUR_CORE_CLOCK_H
#define AUR_CORE_CLOCK_H

#include <stddef.h>

/* Seconds on a monotonic clock: only differences mean anything; no jump of the wall clock reaches them. */
double aur_clock_s(void);

/* The wall clock as "2026-11-23T14:50:01Z", for people. `text` takes at least 21 bytes. */
void aur_clock_text(char *text, size_t bytes);

#endif
