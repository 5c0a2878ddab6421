#ifndef AUR_COMMANDS_CEILINGS_H
#define AUR_COMMANDS_CEILINGS_H

#include "backend/backend.h"
#include "core/status.h"

/* What this machine can do at best, measured now: what plans are made from and what training is compared with. Each
 * measurement is repeated for a fraction of a second and its best time counts: other programs only make it slower. */

/* Sets OpenMP to `threads` (0: the cores this process may use) and returns what it was set to. */
int aur_ceiling_threads(int threads);

/* FLOPs a second of matrix products in `dtype`, AUR_F32 or AUR_BF16, on the threads set, as a training measures them
 * for its log (train/ceiling.h). About 0.4 s. AUR_MEMORY. */
aur_status aur_ceiling_product(struct aur_backend *backend, enum aur_dtype dtype, double *flops_per_s);

/* The same on one thread and on `threads` in turns, so that both meet the same other programs. About 0.8 s. */
aur_status aur_ceiling_products(
	struct aur_backend *backend, enum aur_dtype dtype, int threads, double *one_thread, double *all_threads);

/* Bytes a second, read and written, of the backend's copy of 64 MiB, on the threads set. About 0.2 s. AUR_MEMORY. */
aur_status aur_ceiling_copy(struct aur_backend *backend, double *bytes_per_s);

/* Bytes a second of writing up to `bytes` to a new file in `folder` and bringing it to the disk by fsync; stops writing
 * after two seconds. The file has no name that is left behind. AUR_IO. */
aur_status aur_ceiling_disk(const char *folder, size_t bytes, double *bytes_per_s);

#endif
