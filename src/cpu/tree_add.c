#include "internal.h"

#include <string.h>

enum { BLOCK = 2048 }; /* elements; the buffers of all levels of the tree lie on the stack */

static void add_pair(const float *a, const float *b, int64_t n, float *out)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		out[i] = a[i] + b[i];
}

/* The left half is summed into `out`, which may be its first part: by then that part has been read. */
static void add_tree(const float *const *parts, int n_parts, int64_t offset, int64_t n, float *out)
{
	float right[BLOCK];
	if (n_parts == 1) {
		if (out != parts[0] + offset)
			memcpy(out, parts[0] + offset, (size_t)n * sizeof *out);
		return;
	}
	if (n_parts == 2) {
		add_pair(parts[0] + offset, parts[1] + offset, n, out);
		return;
	}
	add_tree(parts, n_parts / 2, offset, n, out);
	add_tree(parts + n_parts / 2, n_parts / 2, offset, n, right);
	add_pair(out, right, n, out);
}

aur_status aur_tree_add_cpu(struct aur_backend *backend, const struct aur_tree_add *op)
{
	(void)backend;
	AUR_TRY(aur_check_tree_add(op));
#pragma omp parallel for schedule(static)
	for (int64_t begin = 0; begin < op->count; begin += BLOCK)
		add_tree(op->parts, op->n_parts, begin, op->count - begin < BLOCK ? op->count - begin : BLOCK, op->out + begin);
	return AUR_OK;
}
