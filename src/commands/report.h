#ifndef AUR_COMMANDS_REPORT_H
#define AUR_COMMANDS_REPORT_H

#include "core/status.h"

#include <jansson.h>

/* Results as one JSON object of sections: --json prints it, and what people read is made from it: the name of a
 * section, then a line for each member, in the order in which they were added. A list of texts takes a line each. */

/* Prints `object` as JSON, or for people. */
aur_status aur_report_print(const json_t *object, int json);

/* A new section of `object`, borrowed; NULL without memory, which every adding function takes. */
json_t *aur_report_section(json_t *object, const char *name);

/* A number rounded to `digits` significant ones: measurements carry no more. */
void aur_report_rounded(json_t *object, const char *key, double value, int digits);

/* Appends "format" to the list `key` of `object`, made when it is missing. */
void aur_report_add_line(json_t *object, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
