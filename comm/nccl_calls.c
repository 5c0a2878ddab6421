#include "nccl_calls.h"

#include "core/clock.h"

#include <stdlib.h>
#include <string.h>

/* Ends this rank's side of all that is on its way, so that no kernel waits for ever and no later call hangs. */
static void abort_side(struct aur_nccl *nccl)
{
	if (nccl->handle)
		(void)ncclCommAbort(nccl->handle);
	nccl->handle = NULL;
}

/* NCCL's words for the code and, where it has one, for what happened last. */
static aur_status fail(struct aur_nccl *nccl, ncclResult_t result, const char *what)
{
	const char *last = ncclGetLastError(nccl->handle);
	const int more = last && last[0] != '\0';
	const aur_status status =
		aur_fail(AUR_NETWORK, "NCCL: %s: %s%s%s", what, ncclGetErrorString(result), more ? ": " : "", more ? last : "");
	abort_side(nccl);
	return status;
}

static aur_status fail_late(struct aur_nccl *nccl, const char *what, double limit_s)
{
	abort_side(nccl);
	return aur_fail(AUR_NETWORK,
		"NCCL: %s: not done after %.0f s: another rank is stuck or the network does not move (AURELIUS_NCCL_TIMEOUT_S "
		"sets the limit)",
		what, limit_s);
}

static aur_status fail_gone(void)
{
	return aur_fail(AUR_NETWORK, "NCCL: the communicator has failed before");
}

/* Polls a call that is in progress; ncclInProgress when the limit passes. */
static ncclResult_t poll_call(ncclComm_t handle, ncclResult_t result, double limit_s)
{
	const double end = aur_clock_s() + limit_s;
	int waits = 0;
	while (result == ncclInProgress && aur_clock_s() < end) {
		aur_forward_nap(&waits);
		const ncclResult_t asked = ncclCommGetAsyncError(handle, &result);
		if (asked != ncclSuccess)
			result = asked;
	}
	return result;
}

aur_status aur_nccl_wait_call(struct aur_nccl *nccl, ncclResult_t result, const char *what, double limit_s)
{
	if (!nccl->handle && (result == ncclSuccess || result == ncclInProgress))
		return fail_gone();
	result = poll_call(nccl->handle, result, limit_s);
	if (result == ncclSuccess)
		return AUR_OK;
	return result == ncclInProgress ? fail_late(nccl, what, limit_s) : fail(nccl, result, what);
}

aur_status aur_nccl_check(struct aur_nccl *nccl)
{
	ncclResult_t state = ncclSuccess;
	if (!nccl->handle)
		return fail_gone();
	const ncclResult_t asked = ncclCommGetAsyncError(nccl->handle, &state);
	if (asked != ncclSuccess)
		state = asked;
	return state == ncclSuccess || state == ncclInProgress ? AUR_OK : fail(nccl, state, nccl->last);
}

double aur_nccl_exchange_limit(const struct aur_nccl *nccl)
{
	return nccl->limit_s + nccl->bytes / AUR_NCCL_LEAST_RATE;
}

aur_status aur_nccl_wait_stream(struct aur_nccl *nccl, struct aur_stream *stream, double limit_s)
{
	struct aur_backend *backend = nccl->forward.backend;
	const double end = aur_clock_s() + limit_s;
	int done = 0, waits = 0;
	for (;;) {
		/* Its failure first: it says why the stream will never end. */
		AUR_TRY(aur_nccl_check(nccl));
		const aur_status status = backend->streams->poll(backend, stream, &done);
		if (status != AUR_OK) {
			abort_side(nccl);
			return status;
		}
		if (done)
			break;
		if (aur_clock_s() > end)
			return fail_late(nccl, nccl->last, limit_s);
		aur_forward_nap(&waits);
	}
	/* A failure can end the stream as well. */
	return aur_nccl_check(nccl);
}

/* Seconds from the environment, or AUR_NCCL_LIMIT_S. */
static aur_status read_limit(double *limit_s)
{
	const char *text = getenv("AURELIUS_NCCL_TIMEOUT_S");
	char *end = NULL;
	*limit_s = AUR_NCCL_LIMIT_S;
	if (!text || !*text)
		return AUR_OK;
	*limit_s = strtod(text, &end);
	if (*end != '\0' || !(*limit_s > 0 && *limit_s <= 86400))
		return aur_fail(AUR_USAGE, "AURELIUS_NCCL_TIMEOUT_S=%s: must be seconds, more than 0 and at most 86400", text);
	return AUR_OK;
}

static aur_status prepare(struct aur_nccl *nccl, int rank, ncclUniqueId *id)
{
	const int version = aur_nccl_version();
	AUR_TRY(read_limit(&nccl->limit_s));
	if (version < AUR_NCCL_LEAST_VERSION)
		return aur_fail(AUR_NETWORK, "NCCL %d.%d.%d is too old: 2.19 or newer is needed", version / 10000,
			version / 100 % 100, version % 100);
	if (rank != 0)
		return AUR_OK;
	const ncclResult_t result = ncclGetUniqueId(id);
	return result == ncclSuccess ? AUR_OK : fail(nccl, result, "ncclGetUniqueId");
}

aur_status aur_nccl_start(struct aur_nccl *nccl, struct aur_comm *world)
{
	ncclUniqueId id;
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	memset(&id, 0, sizeof id);
	config.blocking = 0;
	nccl->last = "ncclCommInitRankConfig";
	AUR_TRY(aur_comm_agree(world, prepare(nccl, world->rank, &id)));
	AUR_TRY(world->ops->broadcast(world, &id, sizeof id, 0));
	const double limit_s = nccl->limit_s > AUR_NCCL_LIMIT_S ? nccl->limit_s : AUR_NCCL_START_LIMIT_S;
	const ncclResult_t result = ncclCommInitRankConfig(&nccl->handle, world->size, id, world->rank, &config);
	return aur_nccl_wait_call(nccl, result, nccl->last, limit_s);
}

/* Where this rank leaves by itself the others do not answer: the limit is short, and main ends them. */
void aur_nccl_end(struct aur_nccl *nccl)
{
	if (!nccl->handle)
		return;
	for (int i = 0; i < nccl->n_holds; i++)
		(void)ncclCommDeregister(nccl->handle, nccl->holds[i]);
	if (poll_call(nccl->handle, ncclCommFinalize(nccl->handle), AUR_NCCL_CLOSE_LIMIT_S) != ncclSuccess) {
		abort_side(nccl);
		return;
	}
	(void)ncclCommDestroy(nccl->handle);
	nccl->handle = NULL;
}

int aur_nccl_version(void)
{
	int version = 0;
	return ncclGetVersion(&version) == ncclSuccess ? version : 0;
}
