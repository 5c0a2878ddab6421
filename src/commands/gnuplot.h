#ifndef AUR_COMMANDS_GNUPLOT_H
#define AUR_COMMANDS_GNUPLOT_H

#include "core/status.h"

#include <stddef.h>
#include <stdio.h>

/* Drawings by gnuplot as a child process. */

/* AUR_USAGE unless the name ends in .svg or .png and can stand in a script, AUR_IO where something else than a regular
 * file has it, which must not be replaced. For checking before any work is done. */
aur_status aur_gnuplot_check_path(const char *path);

/* Writes `text` as a single quoted string of gnuplot: a quote is doubled, what would end the line becomes '?'. */
void aur_gnuplot_write_quoted(FILE *script, const char *text);

/* Runs gnuplot on a script of `bytes` bytes; its settings files are not read. AUR_IO when gnuplot is missing (the
 * message says how to install it) or ends with an error (the message is gnuplot's own). */
aur_status aur_gnuplot_run(const char *script, size_t bytes);

/* Draws `path` of width x height pixels: puts the terminal and the output in front of `script`, runs it, and renames
 * the finished picture to `path`, so that an older one stays until then. Errors as above. */
aur_status aur_gnuplot_draw(const char *path, int width, int height, const char *script, size_t bytes);

#endif
