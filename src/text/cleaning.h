#ifndef AUR_TEXT_CLEANING_H
#define AUR_TEXT_CLEANING_H

#include <stddef.h>

/* The cleaning "basic" of a text that comes in pieces. A piece must not end between the two bytes of a line end or in a
 * run of blanks, but for the last. */
struct aur_cleaning {
	int begun;       /* the text's beginning is past */
	int within_line; /* the last piece ended in a line, on a byte that was kept */
	int after_blank; /* else: the line before is blank */
};

/* Writes the piece cleaned to `out`, which has room for as many bytes, and returns how many were written. */
size_t aur_cleaning_apply(struct aur_cleaning *cleaning, const char *text, size_t bytes, char *out);

/* 1 when it is quickly seen that the piece is clean; it is then passed as applied. Else nothing changes. */
int aur_cleaning_skip(struct aur_cleaning *cleaning, const char *text, size_t bytes);

#endif
