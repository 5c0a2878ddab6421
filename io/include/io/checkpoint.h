#ifndef AUR_IO_CHECKPOINT_H
#define AUR_IO_CHECKPOINT_H

#include "core/status.h"
#include "core/vocab.h"

#include <stddef.h>
#include <stdint.h>

/* Checkpoints and exported models: one HDF5 file, laid out as docs/formats.md says. An exported model is the same file
 * without /adam and with kind "model". Knows nothing of models: a checkpoint is a list of named fp32 tensors.
 *
 * Written tensor by tensor, so that the writer needs memory for one tensor at a time:
 *   begin, then for each tensor in the order of the table: weights, m, v; then finish. */

enum { AUR_CHECKPOINT_DIMS = 4, AUR_CHECKPOINT_NAME = 64 };

struct aur_tensor_record {
	char name[AUR_CHECKPOINT_NAME]; /* "h.0.attn.c_attn.weight" */
	int dims;
	int64_t shape[AUR_CHECKPOINT_DIMS];
};

enum aur_checkpoint_part { AUR_PART_PARAMS, AUR_PART_M, AUR_PART_V, AUR_CHECKPOINT_PARTS };

/* The loss curve kept with the weights. */
struct aur_history {
	int64_t n_steps; /* logged steps */
	int64_t *step;   /* owned arrays */
	double *loss;
	int64_t n_evals;
	int64_t *eval_step;
	double *eval_train, *eval_val;
};

void aur_history_clear(struct aur_history *history);
aur_status aur_history_add_step(struct aur_history *history, int64_t step, double loss);
aur_status aur_history_add_eval(struct aur_history *history, int64_t step, double train_loss, double val_loss);

struct aur_checkpoint_meta {
	char kind[16]; /* "checkpoint" or "model" */
	int64_t version;
	int64_t step;    /* updates done */
	int64_t samples; /* sequences seen: the position in the data */
	int64_t updates; /* AdamW's t: steps that were not skipped */
	int64_t skipped; /* steps left out for a non-finite gradient */
	uint64_t seed;
	int64_t ranks;        /* that wrote it */
	double val_loss;      /* NaN: not evaluated */
	double best_val_loss; /* of the run so far; NaN: none */
	int64_t best_step;
	uint64_t vocab_hash;
	uint64_t data_hash; /* of the dataset: sizes and vocabulary */
	char program[64];   /* version and commit */
	char variant[96];   /* of the backend, precision, libraries: what bits depend on */
	char created[32];
	char *config;  /* owned: complete configuration as YAML */
	char *choices; /* owned: the backend's choices of algorithms; NULL: none are kept */
};

void aur_checkpoint_meta_clear(struct aur_checkpoint_meta *meta);

/* ---- writing ---- */

struct aur_checkpoint_writer;

/* Begins `path`.partial. Everything is copied or written at once. AUR_IO. */
aur_status aur_checkpoint_begin(const char *path, const struct aur_checkpoint_meta *meta, const struct aur_vocab *vocab,
	const struct aur_history *history, struct aur_checkpoint_writer **writer);

/* Writes one tensor, contiguous fp32, in chunks with Fletcher32. */
aur_status aur_checkpoint_write(struct aur_checkpoint_writer *writer, enum aur_checkpoint_part part,
	const struct aur_tensor_record *tensor, const float *data);

/* Writes the completeness mark, flushes, closes, fsyncs, opens again and verifies every dataset, renames, fsyncs the
 * folder. Frees the writer whatever happens; on failure the partial file is removed and older files are untouched. */
aur_status aur_checkpoint_finish(struct aur_checkpoint_writer **writer);

/* Gives up: closes and removes the partial file. Accepts NULL. */
void aur_checkpoint_abandon(struct aur_checkpoint_writer **writer);

/* ---- reading ---- */

struct aur_checkpoint;

/* Opens and checks format, version, completeness mark and the metadata; no tensor is read yet. AUR_INPUT. */
aur_status aur_checkpoint_open(const char *path, struct aur_checkpoint **checkpoint);
void aur_checkpoint_close(struct aur_checkpoint **checkpoint);

/* Borrowed until close. */
const struct aur_checkpoint_meta *aur_checkpoint_meta_of(const struct aur_checkpoint *checkpoint);
const struct aur_vocab *aur_checkpoint_vocab(const struct aur_checkpoint *checkpoint);
const struct aur_history *aur_checkpoint_history(const struct aur_checkpoint *checkpoint);
const char *aur_checkpoint_path(const struct aur_checkpoint *checkpoint);

/* Tensors of /params, in no promised order. */
int64_t aur_checkpoint_tensors(const struct aur_checkpoint *checkpoint);
aur_status aur_checkpoint_tensor(
	const struct aur_checkpoint *checkpoint, int64_t index, struct aur_tensor_record *tensor);

/* Reads elements [begin, begin + count) of a tensor (row-major) into `out`. Fails with AUR_INPUT when the tensor is
 * missing, of another shape than `tensor` says (both are named), or damaged (Fletcher32). */
aur_status aur_checkpoint_read(struct aur_checkpoint *checkpoint, enum aur_checkpoint_part part,
	const struct aur_tensor_record *tensor, int64_t begin, int64_t count, float *out);

/* Reads and checks everything; AUR_INPUT names the first dataset that is damaged. */
aur_status aur_checkpoint_verify(const char *path);

#endif
