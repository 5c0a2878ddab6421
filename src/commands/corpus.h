#ifndef AUR_COMMANDS_CORPUS_H
#define AUR_COMMANDS_CORPUS_H

#include "core/status.h"
#include "io/file.h"
#include "text/tokenizer.h"

#include <stdint.h>

/* The texts that prepare is given. */
struct aur_corpus {
	struct aur_paths paths;
	struct aur_text *texts; /* owned, one a path, like what they point at */
	int64_t count;
	char *names; /* owned: the paths, one a line */
};

/* Reads files, and folders with all regular *.txt files in them, sorted by name. AUR_INPUT, with the file's name, when
 * one is missing, empty, not a regular file or not UTF-8 (with the byte), or a folder holds no text. `corpus` must be
 * zeroed; aur_corpus_clear frees it, whatever came back. */
aur_status aur_corpus_read(const char *const *arguments, int n, struct aur_corpus *corpus);
void aur_corpus_clear(struct aur_corpus *corpus);

/* AUR_USAGE when `path` names one of the texts: writing it would destroy the text. */
aur_status aur_corpus_check_apart(const struct aur_corpus *corpus, const char *path);

#endif
