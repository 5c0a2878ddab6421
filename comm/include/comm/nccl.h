#ifndef AUR_COMM_NCCL_H
#define AUR_COMM_NCCL_H

#include "comm/comm.h"

/* Ranks over NCCL, for the memory of a CUDA device; registered with aur_comm_register. Agreement and small host values
 * go over `world`, which is borrowed, as is the backend: its streams and its device, which is the calling thread's.
 *
 * The communicator does not block: every call of NCCL is waited for with a limit, and what fails in the background is
 * looked for at each call, at each agreement and while waiting (settle, await). A failure aborts this rank's side and
 * is AUR_NETWORK, with NCCL's own text. The limit is AUR_NCCL_LIMIT_S for a call to be under way and for exchanges to
 * end, plus what these take at AUR_NCCL_LEAST_RATE; AURELIUS_NCCL_TIMEOUT_S in the environment is another limit. */
extern const struct aur_comm_factory aur_comm_nccl_factory;

/* Seconds. Ranks agree before they ask for exchanges, so none is late by its host's work; by its device's it is as far
 * as that takes longer for a step than the others'. Finding each other can take long: many ranks, many networks,
 * drivers that load. */
enum { AUR_NCCL_LIMIT_S = 60, AUR_NCCL_START_LIMIT_S = 120, AUR_NCCL_CLOSE_LIMIT_S = 3 };

/* Bytes a second below which an exchange passes for stuck. */
#define AUR_NCCL_LEAST_RATE 10e6

#endif
