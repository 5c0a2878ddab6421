#ifndef AUR_IO_VOCAB_FILE_H
#define AUR_IO_VOCAB_FILE_H

#include "core/vocab.h"

/* A vocabulary by itself in an HDF5 file: what prepare keeps beside unfinished work. */

/* Replaces an older file when all is written. AUR_IO. */
aur_status aur_vocab_save(const char *path, const struct aur_vocab *vocab);

/* `vocab` must be zeroed; the caller clears it. AUR_INPUT. */
aur_status aur_vocab_load(const char *path, struct aur_vocab *vocab);

#endif
