#ifndef AUR_COMMANDS_LOADED_MODEL_H
#define AUR_COMMANDS_LOADED_MODEL_H

#include "backend/backend.h"
#include "commands/commands.h"
#include "core/status.h"
#include "train/model_file.h"

/* A MODEL of the command line, ready to be run: its file, and its weights in the memory of a backend. */
struct aur_loaded_model {
	struct aur_model_file file;
	struct aur_backend *backend; /* owned */
	float *weights;              /* owned, backend memory, flat */
};

/* Opens MODEL (the best checkpoint of a run with `best`), the first backend that opens, and loads the weights.
 * AUR_INPUT, AUR_MEMORY. Close it whatever came back; it must be zeroed before. */
aur_status aur_loaded_model_open(const char *path, int best, struct aur_loaded_model *loaded);
void aur_loaded_model_close(struct aur_loaded_model *loaded);

/* AUR_USAGE under mpirun with several ranks: `command` is the work of one. */
aur_status aur_check_one_rank(const struct aur_command_context *context, const char *command);

#endif
