#ifndef AUR_CUDA_ATTENTION_CHECK_CUH
#define AUR_CUDA_ATTENTION_CHECK_CUH

/* A library's attention is used only after it has shown, on this device and for the very shape of a run, that it gives
 * what the own kernels give. */

#include "internal.cuh"

/* The library's two functions, as in backend.h. *served 0: it did nothing. */
struct aur_attention_candidate {
	void *self;
	aur_status (*forward)(void *self, const struct aur_attention_forward *op, int *served);
	aur_status (*backward)(void *self, const struct aur_attention_backward *op, int *served);
};

/* Runs both on the same pseudo-random bf16 numbers, for the batch, positions, heads and width of `limits`, forward and
 * in training backward. Numbers are uniform with variance 1 and the scale is 1/sqrt(D), so that scores have variance 1.
 *
 *   out, d_q, d_k, d_v   rows [C], that of one position: rms(difference) at most AUR_ATTENTION_ROW_TOLERANCE times the
 *                        row's rms, or the tensor's where that is larger. bf16 keeps 8 bits: P, dS and results are
 *                        rounded by 2^-9 each, in another order of sums by each side, which makes some 0.01. A row that
 *                        is not written, or that sees one key too many or too few, is off by 0.3 or more.
 *   lse                  |difference| at most AUR_ATTENTION_LSE_TOLERANCE: fp32 on both sides, but for the exponential
 *   a rerun              equal bits, where the backend is to be deterministic
 *
 * `why` is empty when the candidate may be used, else it says in a few words why not: that it differs, refused or
 * failed, or that there was no memory to compare it. Memory is taken for the moment, some 24 bytes an element of
 * [B*T, C]; where it is short, for fewer sequences. Both sides use cuda->scratch. Waits for
 * the GPU. Fails with AUR_ON_DEVICE when the device itself failed: nothing can go on then. */
#define AUR_ATTENTION_ROW_TOLERANCE 0.04
#define AUR_ATTENTION_LSE_TOLERANCE 0.01
aur_status aur_attention_check(aur_cuda *cuda, const aur_attention_candidate &candidate,
	const struct aur_backend_limits &limits, char *why, size_t bytes);

#endif
