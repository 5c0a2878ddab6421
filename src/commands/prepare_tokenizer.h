#ifndef AUR_COMMANDS_PREPARE_TOKENIZER_H
#define AUR_COMMANDS_PREPARE_TOKENIZER_H

#include "text/tokenizer.h"

/* The tokenizer that prepare is asked for: one that is made from the texts, or one that lies in files. */
struct aur_tokenizer_choice {
	struct aur_tokenizer_options options; /* kind: "char", "word", "bpe", "gpt2" or the name of a file */
	const char *vocab;                    /* the folder of GPT-2's files; NULL: none was given */
};

/* Fills in what was not given: subwords have the token that ends a text. */
void aur_tokenizer_choice_complete(struct aur_tokenizer_choice *choice);

/* AUR_USAGE when the options do not fit each other; for checking before files are opened. */
aur_status aur_tokenizer_choice_check(const struct aur_tokenizer_choice *choice);

/* 1 when the tokenizer is made from the texts. */
int aur_tokenizer_choice_trains(const struct aur_tokenizer_choice *choice);

/* The tokenizer where it lies in files. AUR_INPUT when one cannot be used. */
aur_status aur_tokenizer_choose(const struct aur_tokenizer_choice *choice, struct aur_tokenizer **tokenizer);

#endif
