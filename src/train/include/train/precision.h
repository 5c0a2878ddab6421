#ifndef AUR_TRAIN_PRECISION_H
#define AUR_TRAIN_PRECISION_H

#include "backend/backend.h"
#include "config/config.h"
#include "model/model.h"

#include <stddef.h>

/* What system.backend and system.precision become. */

enum { AUR_VARIANT = 96 };

/* system.backend as aur_backend_open takes it. */
const char *aur_precision_backend(const struct aur_config *config);

/* The type of activations and of the weights that are multiplied: AUR_BF16 where system.precision asks for it, the
 * model has products and the backend has instructions for them; otherwise AUR_F32. */
enum aur_dtype aur_precision_of(const struct aur_config *config, const struct aur_backend *backend);

/* Tells the backend, before its reserve(), what the configuration asks of it: TF32, and whether equal inputs must give
 * equal bits. */
void aur_precision_tell(const struct aur_config *config, struct aur_backend *backend);

/* "fp32", "tf32" or "bf16": what is in force, once the backend was told. Borrowed, a literal. */
const char *aur_precision_name(const struct aur_config *config, const struct aur_backend *backend);

/* One line in the log where tf32 or bf16 is asked for and fp32 is used: why. After the backend was told. */
void aur_precision_say(const struct aur_config *config, const struct aur_backend *backend);

/* The backend's variant, the precision where it is not fp32, and, once memory is reserved, the library that computes
 * attention where one does: all that bits depend on. "sm_90 NVIDIA H200 cuBLASLt 13.1.0, bf16, cuDNN 9.19.0". */
void aur_precision_variant(
	const struct aur_config *config, const struct aur_backend *backend, char variant[AUR_VARIANT]);

/* Copies of `count` weights as products read them: `compute_weights` holds that many numbers of type `dtype`. Nothing
 * is done with AUR_F32, where it may be NULL. Asynchronous. */
aur_status aur_precision_round(
	struct aur_backend *backend, enum aur_dtype dtype, const float *weights, void *compute_weights, int64_t count);

#endif
