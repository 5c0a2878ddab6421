#ifndef AUR_TEXT_BPE_ALPHABET_H
#define AUR_TEXT_BPE_ALPHABET_H

#include <stddef.h>

/* The characters that files of byte-level BPE write for bytes: printable ones for themselves, the others, in their
 * order, U+0100 and up. */

/* Writes the bytes that the UTF-8 text stands for, at most as many as it has itself, and returns how many; -1 when a
 * character stands for none. */
ptrdiff_t aur_alphabet_bytes(const char *text, size_t size, char *bytes);

/* Writes the characters of `size` bytes, at most two bytes each, and returns how many bytes. */
size_t aur_alphabet_text(const char *bytes, size_t size, char *text);

#endif
