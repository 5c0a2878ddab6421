#ifndef AUR_CORE_SUGGEST_H
#define AUR_CORE_SUGGEST_H

#include <stdint.h>

/* "did you mean": the candidate nearest to a mistyped word.
 *
 * Distance is the number of insertions, deletions, replacements and swaps of neighbours (optimal string alignment); at
 * most a third of the longer length, 1 for short words, is near. A word of three or more letters that begins a
 * candidate is near as well. Of equally near ones the first wins. Returns one of `candidates`, borrowed, or NULL. */
const char *aur_suggest(const char *word, const char *const *candidates, int64_t n);

#endif
