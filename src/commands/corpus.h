#ifndef AUR_COMMANDS_CORPUS_H
#define AUR_COMMANDS_CORPUS_H

#include "core/status.h"
#include "io/stream.h"

#include <stdint.h>

/* What prepare reads: files, the files in folders, standard input. */

enum aur_corpus_file_kind {
	AUR_CORPUS_TEXT,  /* one document */
	AUR_CORPUS_JSONL, /* a document a line */
	AUR_CORPUS_IDS    /* token numbers of another program */
};

struct aur_corpus_file {
	char *path; /* owned */
	enum aur_corpus_file_kind kind;
	enum aur_compression compression;
	int64_t bytes, modified_ns; /* of the file */
	int64_t tokens;             /* of a file of token numbers */
	int64_t bad_byte;           /* a text that is left out: the first byte that is not UTF-8; -1: it is not left out */
};

struct aur_corpus {
	struct aur_corpus_file *all; /* owned [count] */
	int64_t count;
	char *names;       /* owned: one a line */
	int64_t empty;     /* files that were left out because they hold nothing */
	char *first_empty; /* owned: the first of them; NULL */
};

struct aur_corpus_request {
	const char *const *arguments;
	int n_arguments;
	int jsonl;                  /* files without a known ending, and standard input, hold JSON Lines */
	int skip_empty;             /* an empty file is left out, not refused */
	const char *standard_input; /* the file that "-" was written to */
};

#define AUR_STANDARD_INPUT "standard input"

/* Finds the files, in the order of the arguments: a folder's (with those in its folders) and a glob's sorted by name.
 * The kind and the compression go by the name: .txt, .jsonl, both with .gz or .zst behind; .bin and .idx; any other
 * name is a text's. From folders only names that end in one of the first six. AUR_INPUT, with the name, for one that is
 * missing, empty or not a regular file, a folder or glob without any, and damaged token files. `sources` must be
 * zeroed; aur_corpus_clear frees it, whatever came back. */
aur_status aur_corpus_find(const struct aur_corpus_request *request, struct aur_corpus *corpus);
void aur_corpus_clear(struct aur_corpus *corpus);

/* How a source is called in messages. */
const char *aur_corpus_file_name(const struct aur_corpus *corpus, int64_t source, const char *standard_input);

/* AUR_USAGE when `path` names one of the files: writing it would destroy it. */
aur_status aur_corpus_check_apart(const struct aur_corpus *corpus, const char *path);

/* Writes standard input to `path`, replacing it. *spool is the file that was opened, which holds a lock on it until
 * aur_corpus_unspool removes it, whatever came back; -1: it is not there, or another's. AUR_INPUT when there is no
 * standard input; AUR_STOPPED after a signal; AUR_IO, also where another process uses the file. */
aur_status aur_corpus_spool(const char *path, int *spool);
void aur_corpus_unspool(const char *path, int *spool);

#endif
