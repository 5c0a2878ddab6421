#ifndef AUR_CUDA_ATTENTION_CHOICE_CUH
#define AUR_CUDA_ATTENTION_CHOICE_CUH

/* What computes attention in a run, decided by reserve(): cuDNN where it is there, serves the largest shape, and gave
 * what the own kernels give (attention_check.cuh); the own kernels else. AURELIUS_ATTENTION=own leaves cuDNN out.
 * The outcome is the backend's `attention`. */

#include "internal.cuh"

struct aur_attention_plan {
	int candidate;        /* 1: cuDNN has plans for the shape */
	size_t scratch_bytes; /* that they take; 0 without */
	char why[128];        /* it is not used; empty while it may be */
};

/* Opens cuDNN where the shape is one that it can serve, and makes its plans, which takes up to some seconds. Changes
 * nothing of what operations do. */
void aur_attention_plan_for(
	struct aur_cuda *cuda, const struct aur_backend_limits *limits, struct aur_attention_plan *plan);
void aur_attention_give_up(struct aur_attention_plan *plan, const char *why);

/* Once scratch memory is reserved: compares, and decides for cuda->limits. Fails when the device failed. */
aur_status aur_attention_choose(struct aur_cuda *cuda, struct aur_attention_plan *plan);

/* Closes cuDNN. */
void aur_attention_forget(struct aur_cuda *cuda);

#endif
