#ifndef AUR_COMM_NCCL_CALLS_H
#define AUR_COMM_NCCL_CALLS_H

#include "comm/nccl.h"
#include "forward.h"

#include <nccl.h>

/* One communicator of NCCL and the wrapper that every call of it goes through. */

enum { AUR_NCCL_HOLDS = 8, AUR_NCCL_LEAST_VERSION = 21900 };

struct aur_nccl {
	struct aur_forward forward; /* first */
	ncclComm_t handle;          /* owned; NULL before the start and after a failure */
	cudaStream_t stream;        /* the forward's */
	double limit_s;
	double bytes;         /* of exchanges that may be on their way */
	double awaited_bytes; /* of those that were when a stream was last waited for */
	const char *last;     /* the exchange started last, for messages */
	void *holds[AUR_NCCL_HOLDS];
	int n_holds;
};

/* A call that returned `result`: waits until it is under way. On failure this rank's side is aborted and the status is
 * AUR_NETWORK: "NCCL: what: NCCL's text". After it the next call may follow. */
aur_status aur_nccl_wait_call(struct aur_nccl *nccl, ncclResult_t result, const char *what, double limit_s);

/* What failed in the background; AUR_OK while nothing has. Never waits. */
aur_status aur_nccl_check(struct aur_nccl *nccl);

/* Seconds that exchanges on their way may take. */
double aur_nccl_exchange_limit(const struct aur_nccl *nccl);

/* Waits for a stream of the backend, looking for failures in the background; INFINITY: for as long as it takes. */
aur_status aur_nccl_wait_stream(struct aur_nccl *nccl, struct aur_stream *stream, double limit_s);

/* Finds the other ranks of `world`. Collective. */
aur_status aur_nccl_start(struct aur_nccl *nccl, struct aur_comm *world);

/* Ends it in peace where nothing failed; never waits long, and leaves the thread's error message alone. */
void aur_nccl_end(struct aur_nccl *nccl);

/* Of the library; 0 when it does not say. */
int aur_nccl_version(void);

#endif
