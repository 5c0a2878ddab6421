#ifndef AUR_TESTS_COMM_STAND_IN_H
#define AUR_TESTS_COMM_STAND_IN_H

#include "backend/backend.h"

/* The CPU backend as if its memory were a device's. Operations are done at once; its streams do nothing before they are
 * waited for, so that what is read too early is found. Brings the functions of the CUDA runtime that NCCL's twin
 * calls. */
aur_status stand_in_open(int device, const char *model, struct aur_backend **backend);

/* What streams were asked and have not done. */
int stand_in_waiting(void);

/* Does it. */
void stand_in_run(void);

/* How often a stream was ordered behind the backend's operations, and they behind it. */
extern int stand_in_ordered_after, stand_in_ordered_before;

#endif
