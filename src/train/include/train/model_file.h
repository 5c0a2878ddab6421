#ifndef AUR_TRAIN_MODEL_FILE_H
#define AUR_TRAIN_MODEL_FILE_H

#include "config/config.h"
#include "io/checkpoint.h"
#include "model/model.h"

#include <stddef.h>

/* MODEL on the command line: a checkpoint, an exported .h5, or a run folder. */

struct aur_model_file {
	struct aur_checkpoint *checkpoint; /* owned: metadata, vocabulary, history */
	struct aur_config config;          /* that it was trained with */
	struct aur_model *model;           /* owned */
	char path[4096];                   /* of the file */
};

/* A run folder becomes its newest checkpoint that verifies, or best.h5 with `best`; a file stays itself. Says in the
 * log which ones it passed over and why. AUR_INPUT when there is none. */
aur_status aur_model_file_resolve(const char *path, int best, char *resolved, size_t bytes);

/* Resolves, opens, and builds the model's description from the stored configuration. Clear it with
 * aur_model_file_close whatever happens. */
aur_status aur_model_file_open(const char *path, int best, struct aur_model_file *file);
void aur_model_file_close(struct aur_model_file *file);

/* Reads every tensor into a flat arena in host memory of parameters->count floats; padding becomes zero. AUR_INPUT
 * names a tensor that is missing or of another shape. */
aur_status aur_model_file_weights(struct aur_model_file *file, float *weights);

/* The same from any open checkpoint, and one row of the parameter table as checkpoints name it. */
aur_status aur_read_parameters(
	struct aur_checkpoint *checkpoint, const struct aur_parameters *parameters, float *weights);
void aur_tensor_record_of(const struct aur_parameter *parameter, struct aur_tensor_record *record);

/* The model's numbers from a configuration and a vocabulary. */
void aur_model_config_from(const struct aur_config *config, int64_t vocab_size, struct aur_model_config *model);

#endif
