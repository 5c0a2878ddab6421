#include "comm/exact.h"

int aur_leaf_tree_buffers(int64_t leaves)
{
	int buffers = 1;
	while (leaves > 1) {
		leaves /= 2;
		buffers++;
	}
	return buffers;
}

aur_status aur_leaf_tree_begin(struct aur_leaf_tree *tree, float **leaf)
{
	if (tree->waiting >= tree->n_buffers)
		return aur_fail(AUR_INTERNAL, "exact reduction: more leaves than planned");
	*leaf = tree->buffers[tree->waiting];
	tree->level[tree->waiting] = 0;
	return AUR_OK;
}

/* Two sums of equal level become one of the next: a + b with a the earlier leaves, in a's buffer. */
static aur_status merge(struct aur_leaf_tree *tree, struct aur_backend *backend)
{
	const int right = tree->waiting - 1, left = right - 1;
	const struct aur_tree_add add = {
		.parts = {tree->buffers[left], tree->buffers[right]},
		.n_parts = 2,
		.out = tree->buffers[left],
		.count = tree->count,
	};
	tree->waiting--;
	tree->level[left]++;
	return backend->ops->tree_add(backend, &add);
}

/* Whether two halves of all leaves are there. */
static int is_halved(const struct aur_leaf_tree *tree)
{
	return tree->waiting == 2 && tree->level[0] == tree->level[1] && tree->level[0] == tree->n_buffers - 2;
}

aur_status aur_leaf_tree_end(struct aur_leaf_tree *tree, struct aur_backend *backend)
{
	tree->waiting++;
	while (tree->waiting > 1 && tree->level[tree->waiting - 1] == tree->level[tree->waiting - 2]) {
		if (tree->halves && is_halved(tree))
			break;
		AUR_TRY(merge(tree, backend));
	}
	return AUR_OK;
}

aur_status aur_leaf_tree_take(struct aur_leaf_tree *tree, float *sums[2], int *n_sums)
{
	const int whole = tree->waiting == 1 && tree->level[0] == tree->n_buffers - 1;
	if (!whole && !(tree->halves && is_halved(tree)))
		return aur_fail(AUR_INTERNAL, "exact reduction: not as many leaves as planned");
	*n_sums = tree->waiting;
	for (int i = 0; i < tree->waiting; i++)
		sums[i] = tree->buffers[i];
	tree->waiting = 0;
	return AUR_OK;
}

/* The parts of this rank's slice: what came from the others, and its own where it lay; or all where they lie. */
struct slice_parts {
	const struct aur_slices *slices;
	float *received;
	const float *own_part;
	int own;
	const float *seen[AUR_TREE_PARTS]; /* of each rank; NULL: received */
};

static const float *part_of(const struct slice_parts *parts, int i)
{
	if (parts->seen[0])
		return parts->seen[i];
	return i == parts->own ? parts->own_part : parts->received + aur_slices_place(parts->slices, parts->own, i);
}

/* out = the tree over parts first .. first + n - 1; larger groups than one operation takes are added by halves, which
 * are kept in the place of their first part. */
static aur_status add_parts(struct aur_backend *backend, const struct slice_parts *parts, int first, int n, float *out)
{
	struct aur_tree_add add = {.n_parts = n, .out = out, .count = aur_slice_length(parts->slices, parts->own)};
	if (n <= AUR_TREE_PARTS) {
		for (int i = 0; i < n; i++)
			add.parts[i] = part_of(parts, first + i);
		return backend->ops->tree_add(backend, &add);
	}
	float *left = parts->received + aur_slices_place(parts->slices, parts->own, first);
	float *right = parts->received + aur_slices_place(parts->slices, parts->own, first + n / 2);
	AUR_TRY(add_parts(backend, parts, first, n / 2, left));
	AUR_TRY(add_parts(backend, parts, first + n / 2, n / 2, right));
	add.n_parts = 2;
	add.parts[0] = left;
	add.parts[1] = right;
	return backend->ops->tree_add(backend, &add);
}

/* The others' sums are read where they are: they may be changed when all ranks have read them. */
static aur_status reduce_in_place(
	struct aur_comm *comm, struct aur_backend *backend, const struct aur_slices *slices, const float *sum, float *out)
{
	struct slice_parts all = {.slices = slices, .own = comm->rank};
	AUR_TRY(comm->ops->exchange_view(comm, slices, sum, all.seen));
	AUR_TRY(add_parts(backend, &all, 0, comm->size, out));
	return comm->ops->finish(comm);
}

aur_status aur_exact_reduce(struct aur_comm *comm, struct aur_backend *backend, const struct aur_slices *slices,
	const float *sum, float *parts, float *out)
{
	if (comm->size == 1) {
		if (out == sum)
			return AUR_OK;
		return backend->ops->copy(backend, out, sum, (size_t)slices->count * sizeof *sum);
	}
	if (!parts)
		return reduce_in_place(comm, backend, slices, sum, out);
	AUR_TRY(comm->ops->exchange_start(comm, slices, sum, parts));
	AUR_TRY(comm->ops->finish(comm));
	const struct slice_parts all = {
		.slices = slices, .received = parts, .own_part = sum + slices->begin[comm->rank], .own = comm->rank};
	return add_parts(backend, &all, 0, comm->size, out);
}
