#ifndef AUR_TRAIN_CEILING_H
#define AUR_TRAIN_CEILING_H

#include "backend/backend.h"
#include "core/status.h"

/* What the hardware's speed is measured with: products of two square matrices by the backend's linear operation, on the
 * threads set, each product short (a few milliseconds) so that some of them are not disturbed by other programs. */
struct aur_ceiling;

/* Takes memory and makes the first, slow products. The backend is one of its own of the same name as `like`, so that
 * scratch memory of the other is left alone; fp32 products round to TF32 where its do. dtype AUR_F32 or AUR_BF16.
 * AUR_MEMORY. */
aur_status aur_ceiling_open(const struct aur_backend *like, enum aur_dtype dtype, struct aur_ceiling **ceiling);
void aur_ceiling_close(struct aur_ceiling **ceiling);

/* Multiplies for `seconds`, at least three times. *flops_per_s is raised to the best rate of a product seen: other
 * programs only make it slower. It begins at 0; another call goes on with the same number. */
aur_status aur_ceiling_run(struct aur_ceiling *ceiling, double seconds, double *flops_per_s);

#endif
