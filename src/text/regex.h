#ifndef AUR_TEXT_REGEX_H
#define AUR_TEXT_REGEX_H

#include "core/status.h"

/* Regular expressions of a tokenizer.json are meant for another engine than PCRE2 (Oniguruma, in Ruby's syntax).
 * AUR_INPUT, naming the place, when one holds what the two read differently: classes within classes and their
 * intersections, \w, \b, \h and other escapes beyond \s \S \d \D \p \P \r \n \t \x and signs, ^ and $ (of lines there,
 * of the text here), a possessive {m,n}+ (a repetition there). */
aur_status aur_regex_check(const char *regex);

#endif
