#ifndef AUR_TRAIN_MEMORY_H
#define AUR_TRAIN_MEMORY_H

#include "backend/backend.h"
#include "config/config.h"
#include "model/model.h"

#include <stdint.h>

/* What a rank of a training holds besides the trainer's own plan and the program with its libraries; bytes. */
struct aur_memory {
	int64_t batches; /* that the prefetch thread keeps ready */
	int64_t saving;  /* one tensor of m or v, collected on rank 0 for a checkpoint, and what HDF5 holds of the file */
	int64_t staging; /* buckets of the fast reduction, ours and the MPI library's, or of what is staged from a GPU */
};

void aur_memory_besides(const struct aur_config *config, const struct aur_model *model,
	const struct aur_backend *backend, int ranks, struct aur_memory *memory);

int64_t aur_memory_sum(const struct aur_memory *memory);

#endif
