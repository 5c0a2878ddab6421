#include "run.h"

#include "core/log.h"

#include <stdlib.h>
#include <string.h>

static int is_exact(const struct aur_run *run)
{
	return run->config.train.reduction == AUR_REDUCTION_EXACT;
}

/* Rank 0's text to all; the others own what they get. */
static aur_status share_text(struct aur_run *run, char **text)
{
	struct aur_comm *comm = run->comm;
	int64_t bytes = *text ? (int64_t)strlen(*text) + 1 : 0;
	aur_status status = AUR_OK;
	AUR_TRY(comm->ops->broadcast(comm, &bytes, sizeof bytes, 0));
	if (comm->rank != 0) {
		*text = malloc((size_t)bytes);
		if (!*text)
			status = aur_fail(AUR_MEMORY, "choices of algorithms: no memory for %lld bytes", (long long)bytes);
	}
	AUR_TRY(aur_comm_agree(comm, status));
	return comm->ops->broadcast(comm, *text, (size_t)bytes, 0);
}

/* Algorithms are timed where no bits are promised: two runs may find another one the fastest, and a rerun in exact mode
 * has the bits of the first. */
static aur_status rehearse(struct aur_run *run)
{
	const struct aur_backend_choices *choices = run->backend->choices;
	choices->measure(run->backend, !is_exact(run));
	const aur_status status = aur_trainer_rehearse(run->trainer);
	choices->measure(run->backend, 0);
	return status;
}

/* One micro-batch has all shapes of the steps. A shape that comes later, as the last windows of an evaluation are, is
 * computed as the library suggests, by all ranks alike. */
aur_status aur_run_settle_choices(struct aur_run *run)
{
	const struct aur_backend_choices *choices = run->backend->choices;
	char *text = NULL;
	aur_status status = AUR_OK;
	if (!choices)
		return AUR_OK;
	if (run->comm->rank == 0) {
		status = rehearse(run);
		if (status == AUR_OK)
			status = choices->write(run->backend, &text);
	}
	AUR_TRY_CLEANUP(aur_comm_agree(run->comm, status));
	AUR_TRY_CLEANUP(share_text(run, &text));
	if (run->comm->rank != 0)
		status = choices->read(run->backend, text);
	AUR_TRY_CLEANUP(aur_comm_agree(run->comm, status));
cleanup:
	free(text);
	return status;
}

aur_status aur_run_restore_choices(struct aur_run *run, const struct aur_checkpoint *checkpoint)
{
	const struct aur_backend_choices *choices = run->backend->choices;
	const char *text = aur_checkpoint_meta_of(checkpoint)->choices;
	if (!choices || !text || !is_exact(run))
		return AUR_OK;
	const aur_status status = choices->read(run->backend, text);
	if (status == AUR_OK)
		aur_info("matrix products are computed by the algorithms that the checkpoint names");
	if (status != AUR_INPUT)
		return status;
	aur_warn("the algorithms that the checkpoint names are not used: %s: the run goes on, but not with the same bits",
		aur_error_message());
	aur_error_clear();
	return AUR_OK;
}

aur_status aur_run_keep_choices(const struct aur_run *run, char **text)
{
	const struct aur_backend_choices *choices = run->backend->choices;
	*text = NULL;
	return choices && is_exact(run) ? choices->write(run->backend, text) : AUR_OK;
}
