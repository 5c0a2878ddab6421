#include "head_rows.cuh"

#include "cross_entropy.cuh"

/* Shared memory that a row's copy may take, beside the kernel's own. The emulator's is small so that its tests see rows
 * that fit and rows that do not. */
#ifdef AURELIUS_EMULATED
enum { MOST_COPY_BYTES = 4096 };
#else
enum { MOST_COPY_BYTES = 1 << 30 };
#endif
enum { OWN_SHARED_BYTES = 1024 };

/* Eight columns of a row, if it has some there; what lies beyond the last column is in the row's padding. */
AUR_ON_DEVICE void load_piece(const float *row, int64_t j, int64_t columns, float (&x)[AUR_VECTOR])
{
	if (j < columns)
		aur_load8(row + j, x);
}

template <class G>
AUR_ON_DEVICE void store_piece(G *row, int64_t j, int64_t columns, int64_t padded,
	const struct aur_softmax_gradient &gradient, const float (&x)[AUR_VECTOR])
{
	float g[AUR_VECTOR];
	for (int i = 0; i < AUR_VECTOR; i++)
		g[i] = j + i < columns ? aur_softmax_gradient_at(gradient, x[i], j + i) : 0.0f;
	if (j < padded)
		aur_store8(row + j, g);
}

/* A row of logits becomes its gradient where it lies, as G. All threads have read a piece before any writes it, since a
 * bf16 gradient covers logits of the same piece (the first) or of earlier ones; the next piece, which no one writes
 * yet, is already on its way then. */
template <class G>
AUR_ON_DEVICE void write_gradient(
	float *row, int64_t columns, int64_t padded, const struct aur_softmax_gradient gradient)
{
	const int64_t step = static_cast<int64_t>(AUR_VECTOR) * blockDim.x;
	int64_t j = static_cast<int64_t>(AUR_VECTOR) * threadIdx.x;
	float next[AUR_VECTOR] = {};
	load_piece(row, j, columns, next);
	for (int64_t first = 0; first < padded; first += step, j += step) {
		float x[AUR_VECTOR];
		for (int i = 0; i < AUR_VECTOR; i++)
			x[i] = next[i];
		__syncthreads();
		load_piece(row, j + step, columns, next);
		store_piece(reinterpret_cast<G *>(row), j, columns, padded, gradient, x);
	}
}

/* One block's row. */
struct row {
	float *logits;
	int64_t columns, padded, target; /* target: -1 where there is no such column */
	float scale;
	double *loss;
};

/* Eight columns from j on belong to the target's thread. */
AUR_ON_DEVICE bool has_target(const struct row &row, int64_t j)
{
	return row.target >= 0 && row.target / AUR_VECTOR == j / AUR_VECTOR;
}

/* The thread that has the target's column, or the first where there is none, writes the loss. Logarithms in fp64 take
 * longer than a thread's share of a row, so no other waits for them. */
AUR_ON_DEVICE double write_loss(const struct row &row, const struct aur_softmax &softmax, float chosen)
{
	const double loss = aur_cross_entropy_of(softmax, chosen);
	*row.loss = loss;
	return loss;
}

/* The gradient from the row's copy, of which each thread wrote what it reads; the target's eight columns come last. */
template <class G>
AUR_ON_DEVICE void write_gradient_of_copy(const struct row &row, const float *copy, const struct aur_softmax &softmax)
{
	const int64_t step = static_cast<int64_t>(AUR_VECTOR) * blockDim.x;
	struct aur_softmax_gradient gradient = aur_softmax_gradient_of(softmax, row.scale);
	G *to = reinterpret_cast<G *>(row.logits);
	int64_t last = -1;
	for (int64_t j = static_cast<int64_t>(AUR_VECTOR) * threadIdx.x; j < row.padded; j += step) {
		float x[AUR_VECTOR] = {};
		load_piece(copy, j, row.columns, x);
		if (has_target(row, j))
			last = j;
		else
			store_piece(to, j, row.columns, row.padded, gradient, x);
	}
	if (last < 0)
		return;
	float x[AUR_VECTOR] = {};
	load_piece(copy, last, row.columns, x);
	aur_softmax_gradient_aim(&gradient, write_loss(row, softmax, copy[row.target]), row.target, row.scale);
	store_piece(to, last, row.columns, row.padded, gradient, x);
}

/* The same where the row is read again. */
template <class G>
AUR_ON_DEVICE void write_gradient_in_place(const struct row &row, float chosen, const struct aur_softmax &softmax)
{
	struct aur_softmax_gradient gradient = aur_softmax_gradient_of(softmax, row.scale);
	if (row.target >= 0 && threadIdx.x == row.target / AUR_VECTOR % blockDim.x)
		aur_softmax_gradient_aim(&gradient, write_loss(row, softmax, chosen), row.target, row.scale);
	write_gradient<G>(row.logits, row.columns, row.padded, gradient);
}

struct arguments {
	float *logits;
	int64_t columns, padded, pitch;
	const int32_t *targets;
	float scale;
	double *row_loss;
	int32_t *fault;
};

AUR_ON_DEVICE struct row row_of(const arguments &f)
{
	struct row row = {};
	const int64_t target = f.targets[blockIdx.x];
	row.logits = f.logits + static_cast<int64_t>(blockIdx.x) * f.pitch;
	row.columns = f.columns;
	row.padded = f.padded;
	row.target = target >= 0 && target < f.columns ? target : -1;
	row.scale = f.scale;
	row.loss = f.row_loss + blockIdx.x;
	return row;
}

/* What is done with the logits of a row after its loss. */
enum after { NOTHING, GRADIENT, GRADIENT_OF_COPY };

/* One block a row, eight columns a thread at a time. For its gradient a row is read a second time. GRADIENT_OF_COPY:
 * from shared memory, where a row of 50,257 is 201 KB of the 227 that a block of an H100 may have: 4 bytes an element
 * read and 2 (bf16) or 4 (fp32) written, 0.31 ms for 4,096 rows in bf16 at the 3.84 TB/s of an H200's copy. GRADIENT:
 * where a row does not fit, and then from memory again in the worst case: 4 bytes more. What a row waits for counts,
 * since the block has its multiprocessor alone: one barrier, and no thread for another's logarithm. Measured on an
 * H200: 0.53 ms; with five barriers and a loss that all waited for 0.61 by the copy, 0.63 without it. */
template <class G, enum after AFTER> AUR_KERNEL(1024) cross_entropy_rows(const arguments f)
{
	AUR_SHARED(struct aur_softmax_shared, shared, 1);
	AUR_SHARED_DYNAMIC(float, copy);
	const struct row row = row_of(f);
	const float chosen = AFTER != GRADIENT_OF_COPY && row.target >= 0 ? row.logits[row.target] : NAN;
	const struct aur_softmax softmax = aur_softmax_of<AFTER == GRADIENT_OF_COPY>(row.logits, row.columns, copy, shared);
	if (threadIdx.x == 0 && (AFTER == NOTHING || row.target < 0))
		write_loss(row, softmax, chosen);
	if (threadIdx.x == 0 && row.target < 0)
		*f.fault = AUR_FAULT_HEAD_TARGET;
	if (AFTER == GRADIENT_OF_COPY)
		write_gradient_of_copy<G>(row, copy, softmax);
	else if (AFTER == GRADIENT)
		write_gradient_in_place<G>(row, chosen, softmax);
}

template <class G, enum after AFTER>
static aur_status launch(struct aur_cuda *cuda, const char *who, const struct aur_head_rows *rows, size_t copy_bytes)
{
	const arguments f = {rows->logits, rows->columns, rows->padded, rows->pitch, rows->targets, rows->scale,
		rows->row_loss, cuda->fault};
	return AUR_LAUNCH(who, (cross_entropy_rows<G, AFTER>), static_cast<unsigned>(rows->rows),
		aur_softmax_threads(rows->columns), copy_bytes, cuda->stream, f);
}

template <class G>
static aur_status launch_with_gradient(struct aur_cuda *cuda, const char *who, const struct aur_head_rows *rows)
{
	const size_t bytes =
		static_cast<size_t>((rows->columns + AUR_VECTOR - 1) / AUR_VECTOR * AUR_VECTOR) * sizeof(float);
	if (bytes > MOST_COPY_BYTES || bytes + OWN_SHARED_BYTES > cuda->shared_bytes)
		return launch<G, GRADIENT>(cuda, who, rows, 0);
	AUR_TRY((aur_cuda_allow_shared<cross_entropy_rows<G, GRADIENT_OF_COPY>>(
		cuda, who, cuda->shared_bytes - OWN_SHARED_BYTES)));
	return launch<G, GRADIENT_OF_COPY>(cuda, who, rows, bytes);
}

aur_status aur_cuda_head_rows(struct aur_cuda *cuda, const char *who, const struct aur_head_rows *rows)
{
	if (!rows->with_gradient)
		return launch<float, NOTHING>(cuda, who, rows, 0);
	if (rows->gradient == AUR_BF16)
		return launch_with_gradient<__nv_bfloat16>(cuda, who, rows);
	return launch_with_gradient<float>(cuda, who, rows);
}
