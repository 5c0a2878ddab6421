#ifndef AUR_COMMANDS_DESCRIBE_H
#define AUR_COMMANDS_DESCRIBE_H

#include "core/status.h"
#include "core/vocab.h"
#include "io/checkpoint.h"

#include <jansson.h>
#include <stdint.h>

/* What `aurelius inspect` says of a thing, as one JSON object whose keys stand in the order in which people should read
 * them: --json prints it, and the plain output is made from it. Each function adds to `object`, a new or an older one;
 * it is the caller's. */

/* A dataset file. AUR_INPUT. */
aur_status aur_describe_dataset(const char *path, json_t *object);

/* A checkpoint or an exported model. AUR_INPUT. */
aur_status aur_describe_checkpoint(const char *path, json_t *object);

/* A run folder: its state, where it is, its newest good and its best checkpoint. AUR_INPUT. */
aur_status aur_describe_run(const char *path, json_t *object);

/* A stored configuration as an object of sections, each value by its type. AUR_INPUT, AUR_MEMORY. */
aur_status aur_describe_config(const char *name, const char *yaml, json_t **object);

/* Members. Text that is not UTF-8 and numbers that are not finite become null; without memory a member is left out. */
void aur_describe_text(json_t *object, const char *key, const char *text);
void aur_describe_integer(json_t *object, const char *key, int64_t value);
void aur_describe_number(json_t *object, const char *key, double value);
void aur_describe_vocab(json_t *object, const struct aur_vocab *vocab);

/* Prints an object for people: one aligned line a member, tensors and the configuration below. */
void aur_describe_print(const json_t *object);

#endif
