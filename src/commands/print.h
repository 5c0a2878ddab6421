#ifndef AUR_COMMANDS_PRINT_H
#define AUR_COMMANDS_PRINT_H

#include "core/status.h"

#include <stddef.h>

/* Results on standard output. Failures are remembered and come up once, at aur_print_end. */

void aur_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void aur_print_bytes(const char *bytes, size_t size);

/* 1 when standard output is a terminal that shows colours, and its user has not asked for none (NO_COLOR, TERM=dumb).
 */
int aur_print_in_colours(void);

/* Hands over what has been printed so far, for text that is streamed. */
void aur_print_flush(void);

/* Flushes; AUR_IO with the reason when anything printed since the program's start did not reach its destination (a full
 * disk, a closed pipe). Every command that prints ends with it. main ignores SIGPIPE. */
aur_status aur_print_end(void);

#endif
