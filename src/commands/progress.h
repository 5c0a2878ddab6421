#ifndef AUR_COMMANDS_PROGRESS_H
#define AUR_COMMANDS_PROGRESS_H

#include <stddef.h>

/* How far long work over bytes is: a bar on a terminal, a plain line now and then elsewhere. Work that takes a moment
 * shows nothing. */

struct aur_progress_line {
	int terminal; /* 1: a bar may be drawn */
	int silent;   /* 1: nothing is shown (ranks other than 0) */
	double begun_s, shown_s;
	int drawn;
};

void aur_progress_begin(struct aur_progress_line *line);
void aur_progress_show(struct aur_progress_line *line, const char *title, double done, double all);

/* Clears the bar. */
void aur_progress_end(struct aur_progress_line *line);

/* "encoding  37% | 123.4 of 333.0 MB | 51.2 MB/s | ETA 0:04", without a line end. */
void aur_progress_text(const char *title, double done, double all, double elapsed_s, char *text, size_t bytes);

#endif
