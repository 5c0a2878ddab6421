#ifndef AUR_TRAIN_MEMORY_H
#define AUR_TRAIN_MEMORY_H

#include "backend/backend.h"
#include "config/config.h"
#include "core/arena.h"
#include "model/model.h"
#include "train/dataset.h"

#include <stdint.h>

/* What a rank of a training holds besides the trainer's own plan and the program with its libraries; bytes of the host.
 */
struct aur_memory {
	int64_t batches; /* that the prefetch thread keeps ready */
	int64_t chunks;  /* of compressed tokens that the prefetch thread and the evaluation keep inflated */
	int64_t saving;  /* one tensor of m or v, collected on rank 0 for a checkpoint, and what HDF5 holds of the file */
	int64_t staging; /* buckets of the fast reduction, ours and the MPI library's, or of what is staged from a GPU */
};

int64_t aur_memory_sum(const struct aur_memory *memory);

/* A rank whose memory is asked about; all borrowed. */
struct aur_memory_rank {
	const struct aur_config *config;
	const struct aur_model *model;
	struct aur_backend *backend;
	int ranks;             /* of the training */
	int64_t program_bytes; /* of a process with its libraries */
	int64_t chunk_bytes;   /* aur_memory_of_chunks of the data */
};

/* What a training keeps of compressed tokens: the prefetch thread and the evaluation each open the dataset. */
int64_t aur_memory_of_chunks(const struct aur_dataset *dataset);

void aur_memory_besides(const struct aur_memory_rank *rank, struct aur_memory *memory);

/* What it takes with one micro-batch or another. */
struct aur_memory_need {
	struct aur_arena plan;     /* the trainer's parts, each name once */
	struct aur_memory besides; /* of the host's memory */
	int64_t bytes; /* of the backend's memory: the plan; where that is the host's, the program and the rest too */
};

/* AUR_USAGE where the ranks cannot share micro-batches of this size, AUR_MEMORY. */
aur_status aur_memory_need_of(const struct aur_memory_rank *rank, int64_t micro_batch, struct aur_memory_need *need);

/* The largest micro-batch with which a rank takes at most `room` bytes of the backend's memory; 0: none does. *fits
 * says whether the one that is set does: with more of them there may be more gradient buffers, so a smaller one need
 * not. Every divisor of the batch that the ranks can share is looked at; nothing is taken. */
aur_status aur_memory_largest(const struct aur_memory_rank *rank, int64_t room, int64_t *largest, int *fits);

/* Fails with AUR_MEMORY where the `ranks_here` ranks of this machine would take more of its memory than it has at all:
 * the system would grant it and end the process when it is written. A device answers for itself when it is asked. The
 * message says what every part takes and which micro-batch is the largest that fits. */
aur_status aur_memory_check(const struct aur_memory_rank *rank, int ranks_here);

/* After a trainer could not take its memory (AUR_MEMORY): the same message, from what there is. */
aur_status aur_memory_explain(const struct aur_memory_rank *rank, int ranks_here);

#endif
