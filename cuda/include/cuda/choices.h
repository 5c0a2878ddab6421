#ifndef AUR_CUDA_CHOICES_H
#define AUR_CUDA_CHOICES_H

#include "backend/backend.h"

/* The `choices` of the CUDA backend (backend.h): which algorithm computes each shape of matrix product, as text, so
 * that rank 0's choices can be broadcast, and kept in a checkpoint to be used again on resume. Bits depend on them.
 * `backend` is a CUDA backend.
 *
 *   aurelius-products 1 cublaslt 130100 gpu NVIDIA H200
 *   M N K lda ldb ldc ta tb type ctype accumulate bias tf32 align_a align_b align_c form D0 ... D7
 *
 * A line a shape: numbers in decimal, then the algorithm's eight words in hexadecimal. `form` is 0 for cuBLASLt, 4 for
 * our own kernel; 1 to 3 were forms of earlier versions. */

/* The choices made so far. The caller frees *text. Fails with AUR_MEMORY. */
aur_status aur_cuda_choices_write(struct aur_backend *backend, char **text);

/* Takes them over; shapes that are not among them are chosen as they come, and so are those whose algorithm the library
 * refuses, with a warning. Fails with AUR_INPUT, having taken none, when the text is damaged, comes from another GPU
 * model or version of cuBLASLt, or has a form that is no more. */
aur_status aur_cuda_choices_read(struct aur_backend *backend, const char *text);

/* 0, the default: the library's first suggestion that works, the same wherever version and GPU are the same. 1: when a
 * shape first comes, several algorithms are timed and the fastest is taken; two processes may then choose differently,
 * so that bits depend on what one of them chose and the others were given. */
void aur_cuda_choices_measure(struct aur_backend *backend, int measure);

#endif
