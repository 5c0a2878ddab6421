#include "attention_choice.cuh"

#include "attention_check.cuh"
#include "attention_cudnn.cuh"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cuDNN's fused kernels are for heads of up to 128 numbers, in steps of 8. */
enum { HEAD_STEP = 8, MOST_HEAD_SIZE = 128 };

void aur_attention_give_up(struct aur_attention_plan *plan, const char *why)
{
	plan->candidate = 0;
	plan->scratch_bytes = 0;
	snprintf(plan->why, sizeof plan->why, "%s", why);
}

/* Why cuDNN is not even opened; NULL when it may serve. */
static const char *reason_against(const struct aur_backend_limits *limits)
{
	const char *asked = getenv("AURELIUS_ATTENTION");
	if (asked && strcmp(asked, "own") == 0)
		return "AURELIUS_ATTENTION=own";
	if (limits->activations != AUR_BF16)
		return "cuDNN's are for bf16";
	if (limits->attention_dropout)
		return "cuDNN's have no dropout";
	if (limits->batch < 1 || limits->positions < 1 || limits->heads < 1 || limits->width % limits->heads != 0 ||
		limits->width / limits->heads % HEAD_STEP != 0 || limits->width / limits->heads > MOST_HEAD_SIZE ||
		limits->width < 1)
		return "cuDNN's are for heads of 8 to 128 in steps of 8";
	return NULL;
}

/* Plans depend on `deterministic`, which the owner may have changed since they were made. */
static aur_status open_cudnn(struct aur_cuda *cuda, char *why, size_t bytes)
{
	if (cuda->cudnn && cuda->cudnn_deterministic == cuda->base.deterministic)
		return AUR_OK;
	aur_attention_forget(cuda);
	cuda->cudnn_deterministic = cuda->base.deterministic;
	return aur_cudnn_attention_create(cuda, cuda->base.deterministic, &cuda->cudnn, why, bytes);
}

void aur_attention_plan_for(
	struct aur_cuda *cuda, const struct aur_backend_limits *limits, struct aur_attention_plan *plan)
{
	const char *against = reason_against(limits);
	char why[112] = ""; /* the loader's words: a library and all that is wrong with it */
	*plan = {};
	if (against) {
		aur_attention_give_up(plan, against);
		return;
	}
	if (open_cudnn(cuda, why, sizeof why) != AUR_OK) {
		snprintf(why, sizeof why, "%.111s", aur_error_message());
		aur_error_clear();
	}
	if (!cuda->cudnn) {
		snprintf(plan->why, sizeof plan->why, "no cuDNN: %s", why);
		return;
	}
	plan->candidate = aur_cudnn_attention_prepare(cuda->cudnn, limits->batch, limits->positions, limits->heads,
		limits->width / limits->heads, limits->training, limits->count_only, &plan->scratch_bytes);
	if (!plan->candidate)
		aur_attention_give_up(plan, "cuDNN has none for this shape and GPU");
}

static aur_status forward_by_cudnn(void *self, const struct aur_attention_forward *op, int *served)
{
	return aur_cudnn_attention_forward(static_cast<struct aur_cudnn_attention *>(self), op, served);
}

static aur_status backward_by_cudnn(void *self, const struct aur_attention_backward *op, int *served)
{
	return aur_cudnn_attention_backward(static_cast<struct aur_cudnn_attention *>(self), op, served);
}

/* A device that cuDNN's kernels broke is of no use to the own ones either. */
static aur_status check_cudnn(struct aur_cuda *cuda, struct aur_attention_plan *plan)
{
	const aur_attention_candidate candidate = {cuda->cudnn, forward_by_cudnn, backward_by_cudnn};
	char why[64], whole[sizeof plan->why];
	const aur_status status = aur_attention_check(cuda, candidate, cuda->limits, why, sizeof why);
	if (status != AUR_OK)
		return aur_add_context(status, "cuDNN's attention, which AURELIUS_ATTENTION=own leaves out");
	if (why[0]) {
		snprintf(whole, sizeof whole, "cuDNN's %s", why);
		aur_attention_give_up(plan, whole);
	}
	return AUR_OK;
}

aur_status aur_attention_choose(struct aur_cuda *cuda, struct aur_attention_plan *plan)
{
	char *text = cuda->base.attention;
	cuda->cudnn_serves = 0;
	if (plan->candidate)
		AUR_TRY(check_cudnn(cuda, plan));
	cuda->cudnn_serves = plan->candidate;
	if (plan->candidate)
		aur_cudnn_attention_name(text, sizeof cuda->base.attention);
	else
		snprintf(text, sizeof cuda->base.attention, "own kernels: %s", plan->why);
	return AUR_OK;
}

void aur_attention_forget(struct aur_cuda *cuda)
{
	cuda->cudnn_serves = 0;
	aur_cudnn_attention_destroy(&cuda->cudnn);
}
