#ifndef AUR_TEXT_PRETOKENIZE_ASCII_H
#define AUR_TEXT_PRETOKENIZE_ASCII_H

#include <stddef.h>

/* Most pieces of most texts are ASCII and are found without a regular expression. The length of the piece that GPT-2's
 * or GPT-4's pattern matches at `begin`, which is before `end`; 0 when a byte that is not ASCII has a say in it. */
size_t aur_ascii_piece_gpt2(const char *begin, const char *end);
size_t aur_ascii_piece_gpt4(const char *begin, const char *end);

#endif
