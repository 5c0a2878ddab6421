#include "internal.cuh"

#include "cross_entropy.cuh"

static const char who[] = "head_loss";

/* Logits of one chunk of rows: 872 MB in fp32 at most, 4096 rows of GPT-2's vocabulary. With fewer rows the products
 * lose: at 4096 that of d_x has 32 x 3 tiles of 128 x 256 for 132 multiprocessors, and d_w is read and written once a
 * chunk (309 MB, 16 times in 65,536 rows: 1.2 ms at 4 TB/s). Twice as many would save half of that for another 872 MB.
 * The emulator's are small so that its tests see several chunks. */
#ifdef AURELIUS_EMULATED
enum { CHUNK_LOGITS = 1 << 17, ROW_UNIT = 16 };
#else
enum { CHUNK_LOGITS = 13 << 24, ROW_UNIT = 256 };
#endif

/* Rows of logits begin at multiples of 256 bytes, and of 128 as bf16: products ask for it, whatever the vocabulary. */
enum { PITCH_UNIT = 64 };

static int64_t round_up(int64_t n, int64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static int64_t pitch_of(int64_t vocabulary)
{
	return round_up(vocabulary, PITCH_UNIT);
}

/* Rows whose logits exist at a time: a constant of the shape. */
static int64_t chunk_rows(int64_t rows, int64_t vocabulary)
{
	const int64_t unit = ROW_UNIT;
	const int64_t fits = CHUNK_LOGITS / pitch_of(vocabulary) / unit * unit;
	const int64_t chunk = fits > unit ? fits : unit;
	return chunk < rows ? chunk : rows;
}

/* Scratch memory: a loss a row, the logits, the partial sums of the bias's gradient. */
struct layout {
	int64_t chunk;
	size_t logits, partial, bytes; /* where they begin, and all */
};

static struct layout layout_of(int64_t rows, int64_t vocabulary)
{
	struct layout layout;
	layout.chunk = chunk_rows(rows, vocabulary);
	layout.logits = static_cast<size_t>(round_up(rows * 8, 256));
	layout.partial = layout.logits + static_cast<size_t>(layout.chunk * pitch_of(vocabulary)) * sizeof(float);
	layout.bytes = layout.partial + aur_cuda_column_sums_bytes(layout.chunk, vocabulary);
	return layout;
}

size_t aur_head_loss_scratch_cuda(const struct aur_backend_limits *limits)
{
	if (limits->vocabulary <= 0)
		return 0;
	return layout_of(limits->batch * limits->positions, limits->vocabulary).bytes;
}

/* Eight columns of a row, if it has some there; what lies beyond the last column is in the row's padding. */
AUR_ON_DEVICE void load_piece(const float *row, int64_t j, int64_t columns, float (&x)[AUR_VECTOR])
{
	if (j < columns)
		aur_load8(row + j, x);
}

template <class G>
AUR_ON_DEVICE void store_piece(
	G *row, int64_t j, int64_t columns, const struct aur_softmax_gradient &gradient, const float (&x)[AUR_VECTOR])
{
	float g[AUR_VECTOR];
	for (int i = 0; i < AUR_VECTOR; i++)
		g[i] = j + i < columns ? aur_softmax_gradient_at(gradient, x[i], j + i) : 0.0f;
	if (j < columns)
		aur_store8(row + j, g);
}

/* A row of logits becomes its gradient where it lies, as G; bf16 takes the first half of the row's place. All threads
 * have read a piece before any writes it, since a bf16 gradient covers logits of the same piece (the first) or of
 * earlier ones; the next piece, which no one writes yet, is already on its way then. */
template <class G>
AUR_ON_DEVICE void write_gradient(float *row, int64_t columns, const struct aur_softmax_gradient gradient)
{
	const int64_t step = static_cast<int64_t>(AUR_VECTOR) * blockDim.x;
	int64_t j = static_cast<int64_t>(AUR_VECTOR) * threadIdx.x;
	float next[AUR_VECTOR] = {};
	load_piece(row, j, columns, next);
	for (int64_t first = 0; first < columns; first += step, j += step) {
		float x[AUR_VECTOR];
		for (int i = 0; i < AUR_VECTOR; i++)
			x[i] = next[i];
		__syncthreads();
		load_piece(row, j + step, columns, next);
		store_piece(reinterpret_cast<G *>(row), j, columns, gradient, x);
	}
}

/* row_loss[i] = -log softmax(x_i)[target_i]          x_i = (softmax(x_i) - onehot(target_i)) * scale, where GRADIENT
 *
 * One block a row, eight columns a thread at a time: a row of 50,257 is 201 KB, too much for registers, so it is read
 * twice: once from memory for the softmax, and again at once for the gradient, from the second-level cache (50 MB hold
 * the 132 rows, 27 MB, in work at one block a multiprocessor; with two blocks part of it comes from memory again).
 * Bytes an element: 4 read and 2 (bf16) or 4 (fp32) written, up to 4 more where the cache is too small. At N = 65,536,
 * V = 50,257 and 4 TB/s: 19.8 GB and 4.9 ms in bf16, 8.2 ms were every second read to miss. Two exponentials an element
 * are 6.6e9, some 2 ms of the special function units, beside the memory's. */
template <class G, bool GRADIENT>
AUR_KERNEL(1024)
cross_entropy_rows(float *logits, int64_t columns, int64_t pitch, const int32_t *targets, float scale, double *row_loss,
	int32_t *fault)
{
	AUR_SHARED(struct aur_softmax_shared, shared, 1);
	AUR_SHARED(struct aur_softmax_gradient, gradient, 1);
	float *row = logits + static_cast<int64_t>(blockIdx.x) * pitch;
	const int32_t target = targets[blockIdx.x];
	const bool known = target >= 0 && target < columns;
	const float chosen = known ? row[target] : NAN;
	const struct aur_softmax softmax = aur_softmax_of(row, columns, true, shared);
	if (threadIdx.x == 0) {
		const double loss = aur_cross_entropy_of(softmax, chosen);
		row_loss[blockIdx.x] = loss;
		if (GRADIENT)
			*gradient = aur_softmax_gradient_of(softmax, loss, target, scale);
		if (!known)
			*fault = AUR_FAULT_HEAD_TARGET;
	}
	if (!GRADIENT)
		return;
	__syncthreads();
	write_gradient<G>(row, columns, *gradient);
}

/* Rows [begin, begin + rows) of the batch, and their scratch memory. */
struct chunk {
	int64_t begin, rows;
	float *logits;
	double *row_loss; /* of the whole batch */
	void *partial;
};

/* Rows of an activation [*, width] from the chunk's first on. */
static void *rows_from(const struct aur_tensor *tensor, int64_t begin)
{
	const int64_t row_bytes = aur_columns(tensor) * static_cast<int64_t>(aur_dtype_bytes(tensor->dtype));
	return static_cast<char *>(tensor->data) + begin * row_bytes;
}

/* Elements from one row of gradients to the next. */
static int64_t gradient_pitch(const struct aur_head_loss *op)
{
	return pitch_of(aur_rows(&op->w)) * (op->x.dtype == AUR_BF16 ? 2 : 1);
}

/* logits = x w^T + bias */
static aur_status compute_logits(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct chunk *chunk)
{
	struct aur_cuda_product product = {};
	product.transpose_b = 1;
	product.m = chunk->rows;
	product.n = aur_rows(&op->w);
	product.k = aur_columns(&op->w);
	product.a = rows_from(&op->x, chunk->begin);
	product.lda = product.k;
	product.b = op->w.data;
	product.ldb = product.k;
	product.c = chunk->logits;
	product.ldc = pitch_of(product.n);
	product.type = op->x.dtype;
	product.c_type = AUR_F32;
	product.bias = static_cast<const float *>(op->bias.data);
	return aur_cuda_multiply(cuda, who, &product);
}

template <class G, bool GRADIENT>
static aur_status launch_rows(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct chunk *chunk)
{
	const int64_t columns = aur_rows(&op->w);
	return AUR_LAUNCH(who, (cross_entropy_rows<G, GRADIENT>), static_cast<unsigned>(chunk->rows),
		aur_softmax_threads(columns), 0, cuda->stream, chunk->logits, columns, pitch_of(columns),
		static_cast<const int32_t *>(op->targets.data) + chunk->begin, op->gradient_scale,
		chunk->row_loss + chunk->begin, cuda->fault);
}

static aur_status compute_losses(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct chunk *chunk)
{
	if (!op->d_x.data)
		return launch_rows<float, false>(cuda, op, chunk);
	if (op->x.dtype == AUR_BF16)
		return launch_rows<__nv_bfloat16, true>(cuda, op, chunk);
	return launch_rows<float, true>(cuda, op, chunk);
}

/* d_w += g^T x */
static aur_status weight_gradient(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct chunk *chunk)
{
	struct aur_cuda_product product = {};
	product.transpose_a = 1;
	product.accumulate = 1;
	product.m = aur_rows(&op->w);
	product.n = aur_columns(&op->w);
	product.k = chunk->rows;
	product.a = chunk->logits;
	product.lda = gradient_pitch(op);
	product.b = rows_from(&op->x, chunk->begin);
	product.ldb = product.n;
	product.c = op->d_w.data;
	product.ldc = product.n;
	product.type = op->x.dtype;
	product.c_type = AUR_F32;
	return aur_cuda_multiply(cuda, who, &product);
}

/* d_x = g w */
static aur_status input_gradient(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct chunk *chunk)
{
	struct aur_cuda_product product = {};
	product.m = chunk->rows;
	product.n = aur_columns(&op->w);
	product.k = aur_rows(&op->w);
	product.a = chunk->logits;
	product.lda = gradient_pitch(op);
	product.b = op->w.data;
	product.ldb = product.n;
	product.c = rows_from(&op->d_x, chunk->begin);
	product.ldc = product.n;
	product.type = op->x.dtype;
	product.c_type = op->d_x.dtype;
	return aur_cuda_multiply(cuda, who, &product);
}

static aur_status compute_gradients(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct chunk *chunk)
{
	AUR_TRY(weight_gradient(cuda, op, chunk)); /* before d_x is written, which may lie where x did */
	AUR_TRY(input_gradient(cuda, op, chunk));
	if (!op->d_bias.data)
		return AUR_OK;
	return aur_cuda_column_sums(cuda, who, chunk->logits, op->x.dtype, chunk->rows, aur_rows(&op->w),
		gradient_pitch(op), static_cast<float *>(op->d_bias.data), chunk->partial);
}

static aur_status run_chunks(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct layout *layout)
{
	const int64_t rows = aur_rows(&op->x);
	struct chunk chunk = {};
	chunk.row_loss = reinterpret_cast<double *>(cuda->scratch);
	chunk.logits = reinterpret_cast<float *>(cuda->scratch + layout->logits);
	chunk.partial = cuda->scratch + layout->partial;
	for (; chunk.begin < rows; chunk.begin += layout->chunk) {
		chunk.rows = rows - chunk.begin < layout->chunk ? rows - chunk.begin : layout->chunk;
		AUR_TRY(compute_logits(cuda, op, &chunk));
		AUR_TRY(compute_losses(cuda, op, &chunk));
		if (op->d_x.data)
			AUR_TRY(compute_gradients(cuda, op, &chunk));
	}
	return AUR_OK;
}

aur_status aur_head_loss_cuda(struct aur_backend *backend, const struct aur_head_loss *op)
{
	struct aur_cuda *cuda = aur_cuda_of(backend);
	AUR_TRY(aur_check_head_loss(op));
	const struct layout layout = layout_of(aur_rows(&op->x), aur_rows(&op->w));
	AUR_TRY(aur_cuda_check_scratch(cuda, who, layout.bytes));
	AUR_TRY(run_chunks(cuda, op, &layout));
	return aur_cuda_sum_sequences(cuda, who, reinterpret_cast<const double *>(cuda->scratch), op->targets.shape[0],
		op->targets.shape[1], static_cast<double *>(op->loss.data));
}
