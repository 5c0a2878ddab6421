#ifndef AUR_COMMANDS_TOKENIZER_FILE_H
#define AUR_COMMANDS_TOKENIZER_FILE_H

#include "core/status.h"
#include "text/tokenizer.h"

/* Tokenizers that lie in files. */

/* The tokenizer of a dataset, of a checkpoint or model, of a run (its newest good checkpoint), of a tokenizer.json, or
 * of a folder with a vocabulary (below). AUR_INPUT says what the file is when it is none of these. */
aur_status aur_tokenizer_of_file(const char *path, struct aur_tokenizer **tokenizer);

/* Byte-level BPE of the two files in a folder, encoder.json and vocab.bpe or vocab.json and merges.txt, split by
 * GPT-2's pattern. AUR_INPUT, with where to get them, when they are not there. */
aur_status aur_tokenizer_of_folder(const char *folder, struct aur_tokenizer **tokenizer);

#endif
