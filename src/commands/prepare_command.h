#ifndef AUR_COMMANDS_PREPARE_COMMAND_H
#define AUR_COMMANDS_PREPARE_COMMAND_H

#include "prepare.h"

/* What the result of a prepare depends on, in words: kept with unfinished work, so that only the same command goes on
 * with it. Settings that only say how the tokens are written (the split, shards, compression) are not part of it, nor
 * what happens to bad documents. */

/* A new text, a line each, which the caller frees. AUR_MEMORY, and AUR_IO when standard input's copy cannot be read. */
aur_status aur_prepare_command(const struct aur_prepare *prepare, char **text);

/* Collective. AUR_INPUT unless all ranks have the same text. */
aur_status aur_prepare_command_agree(struct aur_comm *world, const char *text);

#endif
