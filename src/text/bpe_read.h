#ifndef AUR_TEXT_BPE_READ_H
#define AUR_TEXT_BPE_READ_H

#include "core/vocab.h"

#include <jansson.h>

/* What the readers of byte-level BPE share. */

/* Parses; AUR_INPUT with line and column. The caller calls json_decref. */
aur_status aur_bpe_parse(const char *text, size_t bytes, json_t **parsed);

/* A token that is beside the merges. */
struct aur_added_token {
	const char *content; /* borrowed */
	size_t size;
	int64_t id;
	int special;
};

/* Fills tokens, offsets and added ones from an object of names and numbers, in which added ones may stand too. */
aur_status aur_bpe_put_tokens(
	json_t *numbers, const struct aur_added_token *added, int64_t n_added, struct aur_vocab *vocab);

/* The pair of a merge's two names. `rank` is for the message. */
aur_status aur_bpe_pair(json_t *numbers, int64_t rank, const char *left, size_t left_bytes, const char *right,
	size_t right_bytes, int64_t pair[2]);

/* The same of "LEFT RIGHT". */
aur_status aur_bpe_pair_of_line(json_t *numbers, int64_t rank, const char *line, size_t bytes, int64_t pair[2]);

#endif
