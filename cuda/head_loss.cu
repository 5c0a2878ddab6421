#include "internal.cuh"

#include "head_rows.cuh"

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

/* A vocabulary such as GPT-2's 50,257 leaves cuBLASLt kernels that read number by number: on an H200 7.8 ms for the
 * logits of 8,192 rows where 50,304 columns take 0.9, and 4.7 for d_x where those take 0.9 (bf16). So in bf16 the
 * weights are copied with rows of zeros after them, 154 MB or 0.04 ms a call, and logits and gradients of logits have
 * columns that belong to no token. d_w has no such rows: its product is cut at a multiple of TILE_ROWS. */
enum { WHOLE = 8, TILE_ROWS = 128 };

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

/* Columns of logits that the products have: those of the vocabulary, or a few more. */
static int64_t product_columns(int64_t vocabulary, enum aur_dtype type)
{
	return type == AUR_BF16 && vocabulary % WHOLE != 0 ? pitch_of(vocabulary) : vocabulary;
}

/* Scratch memory: a loss a row, the logits, the partial sums of the bias's gradient, and where the products have more
 * columns than the vocabulary the weights and the bias for them. */
struct layout {
	int64_t chunk, columns;
	size_t logits, partial, weights, bias, bytes; /* where they begin, and all */
};

static size_t padded(size_t bytes)
{
	return (bytes + 255) / 256 * 256;
}

static struct layout layout_of(int64_t rows, int64_t vocabulary, int64_t width, enum aur_dtype type)
{
	struct layout layout;
	layout.chunk = chunk_rows(rows, vocabulary);
	layout.columns = product_columns(vocabulary, type);
	const size_t extra = layout.columns > vocabulary ? static_cast<size_t>(layout.columns) : 0;
	layout.logits = padded(static_cast<size_t>(rows) * sizeof(double));
	layout.partial = layout.logits + static_cast<size_t>(layout.chunk * pitch_of(vocabulary)) * sizeof(float);
	layout.weights = layout.partial + padded(aur_cuda_column_sums_bytes(layout.chunk, vocabulary));
	layout.bias = layout.weights + padded(extra * static_cast<size_t>(width) * aur_dtype_bytes(type));
	layout.bytes = layout.bias + padded(extra * sizeof(float));
	return layout;
}

size_t aur_head_loss_scratch_cuda(const struct aur_backend_limits *limits)
{
	if (limits->vocabulary <= 0)
		return 0;
	const enum aur_dtype type = limits->activations == AUR_BF16 ? AUR_BF16 : AUR_F32;
	return layout_of(limits->batch * limits->positions, limits->vocabulary, limits->width, type).bytes;
}

/* Rows [begin, begin + rows) of the batch, their scratch memory, and the operands that all chunks share. */
struct chunk {
	int64_t begin, rows, columns; /* columns: of the products */
	float *logits;
	double *row_loss; /* of the whole batch */
	void *partial;
	const void *weights; /* [columns, width] */
	const float *bias;   /* [columns] or NULL */
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
	product.n = chunk->columns;
	product.k = aur_columns(&op->w);
	product.a = rows_from(&op->x, chunk->begin);
	product.lda = product.k;
	product.b = chunk->weights;
	product.ldb = product.k;
	product.c = chunk->logits;
	product.ldc = pitch_of(aur_rows(&op->w));
	product.type = op->x.dtype;
	product.c_type = AUR_F32;
	product.bias = chunk->bias;
	return aur_cuda_multiply(cuda, who, &product);
}

static aur_status compute_losses(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct chunk *chunk)
{
	struct aur_head_rows rows = {};
	rows.logits = chunk->logits;
	rows.rows = chunk->rows;
	rows.columns = aur_rows(&op->w);
	rows.padded = chunk->columns;
	rows.pitch = pitch_of(rows.columns);
	rows.targets = static_cast<const int32_t *>(op->targets.data) + chunk->begin;
	rows.row_loss = chunk->row_loss + chunk->begin;
	rows.scale = op->gradient_scale;
	rows.with_gradient = op->d_x.data != NULL;
	rows.gradient = op->x.dtype;
	return aur_cuda_head_rows(cuda, who, &rows);
}

/* d_w = or += g^T x, for the tokens [first, first + count). Of several chunks the first may overwrite. */
static aur_status weight_gradient_of(
	struct aur_cuda *cuda, const struct aur_head_loss *op, const struct chunk *chunk, int64_t first, int64_t count)
{
	struct aur_cuda_product product = {};
	product.transpose_a = 1;
	product.accumulate = !op->overwrite || chunk->begin > 0;
	product.m = count;
	product.n = aur_columns(&op->w);
	product.k = chunk->rows;
	product.a =
		reinterpret_cast<const char *>(chunk->logits) + first * static_cast<int64_t>(aur_dtype_bytes(op->x.dtype));
	product.lda = gradient_pitch(op);
	product.b = rows_from(&op->x, chunk->begin);
	product.ldb = product.n;
	product.c = rows_from(&op->d_w, first);
	product.ldc = product.n;
	product.type = op->x.dtype;
	product.c_type = AUR_F32;
	return aur_cuda_multiply(cuda, who, &product);
}

static aur_status weight_gradient(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct chunk *chunk)
{
	const int64_t vocabulary = aur_rows(&op->w);
	const int64_t whole = chunk->columns > vocabulary ? vocabulary / TILE_ROWS * TILE_ROWS : vocabulary;
	AUR_TRY(weight_gradient_of(cuda, op, chunk, 0, whole));
	return weight_gradient_of(cuda, op, chunk, whole, vocabulary - whole);
}

/* d_x = g w */
static aur_status input_gradient(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct chunk *chunk)
{
	struct aur_cuda_product product = {};
	product.m = chunk->rows;
	product.n = aur_columns(&op->w);
	product.k = chunk->columns;
	product.a = chunk->logits;
	product.lda = gradient_pitch(op);
	product.b = chunk->weights;
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

/* `to` becomes what `from` is, and zeros up to `padded_bytes`. */
static aur_status copy_padded(struct aur_cuda *cuda, char *to, const void *from, size_t bytes, size_t padded_bytes)
{
	AUR_TRY(aur_cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, cuda->stream), who));
	return aur_cuda_check(cudaMemsetAsync(to + bytes, 0, padded_bytes - bytes, cuda->stream), who);
}

/* Weights and bias with a row for each column of the products. */
static aur_status prepare_operands(
	struct aur_cuda *cuda, const struct aur_head_loss *op, const struct layout *layout, struct chunk *chunk)
{
	const size_t vocabulary = static_cast<size_t>(aur_rows(&op->w)), columns = static_cast<size_t>(layout->columns);
	const size_t row_bytes = static_cast<size_t>(aur_columns(&op->w)) * aur_dtype_bytes(op->w.dtype);
	char *weights = cuda->scratch + layout->weights, *bias = cuda->scratch + layout->bias;
	chunk->columns = layout->columns;
	chunk->weights = op->w.data;
	chunk->bias = static_cast<const float *>(op->bias.data);
	if (columns == vocabulary)
		return AUR_OK;
	AUR_TRY(copy_padded(cuda, weights, op->w.data, vocabulary * row_bytes, columns * row_bytes));
	chunk->weights = weights;
	if (!op->bias.data)
		return AUR_OK;
	AUR_TRY(copy_padded(cuda, bias, op->bias.data, vocabulary * sizeof(float), columns * sizeof(float)));
	chunk->bias = reinterpret_cast<const float *>(bias);
	return AUR_OK;
}

static aur_status run_chunks(struct aur_cuda *cuda, const struct aur_head_loss *op, const struct layout *layout)
{
	const int64_t rows = aur_rows(&op->x);
	struct chunk chunk = {};
	AUR_TRY(prepare_operands(cuda, op, layout, &chunk));
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
	const struct layout layout = layout_of(aur_rows(&op->x), aur_rows(&op->w), aur_columns(&op->w), op->x.dtype);
	AUR_TRY(aur_cuda_check_scratch(cuda, who, layout.bytes));
	AUR_TRY(run_chunks(cuda, op, &layout));
	return aur_cuda_sum_sequences(cuda, who, reinterpret_cast<const double *>(cuda->scratch), op->targets.shape[0],
		op->targets.shape[1], static_cast<double *>(op->loss.data));
}
