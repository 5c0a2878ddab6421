#ifndef AUR_TEXT_CLEAN_H
#define AUR_TEXT_CLEAN_H

#include "core/status.h"

#include <stddef.h>

/* Cleaning of a text before it is split.
 *   none      nothing
 *   basic     no byte-order mark, CR LF and CR become LF, blanks at line ends go, runs of blank lines become one
 *   original  the original project's, part of its tokenizers (see tokenizer.h); here the text passes unchanged
 * `cleaned` gets a new terminated string of *cleaned_bytes, which the caller frees. */
aur_status aur_clean(const char *kind, const char *text, size_t bytes, char **cleaned, size_t *cleaned_bytes);

/* 1 when `kind` is one of the above. */
int aur_clean_known(const char *kind);

#endif
