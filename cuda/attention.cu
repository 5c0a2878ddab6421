#include "attention.cuh"

#include "attention_cudnn.cuh"

/* Which kernels an operation's shape is given to (attention.cuh lists them). The functions of the table are the place
 * where a library's attention is tried first; those that end in _tiled always work. */

size_t aur_attention_scratch_cuda(const struct aur_backend_limits *limits)
{
	const int64_t rows = limits->training ? limits->batch * limits->heads * limits->positions : 0;
	return static_cast<size_t>(rows) * sizeof(float2);
}

static int on_tensor_cores(const aur_attention_call &call, enum aur_dtype type)
{
	return type == AUR_BF16 && call.size <= AUR_ATTENTION_MMA_SIZE;
}

aur_status aur_attention_forward_by_type(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, enum aur_dtype type)
{
	if (on_tensor_cores(call, type))
		return aur_attention_forward_mma(cuda, who, call);
	return aur_attention_forward_plain(cuda, who, call, type);
}

/* Sixteen bytes at a time: the heads begin on them and are multiples of them. */
static int is_wide(int64_t size, const aur_tensor &qkv, const aur_tensor &out, const void *d_out, const void *d_qkv)
{
	return size % 8 == 0 && aur_all_aligned(static_cast<const char *>(qkv.data), static_cast<const char *>(out.data),
								static_cast<const char *>(d_out), static_cast<const char *>(d_qkv));
}

aur_attention_call aur_attention_call_of(
	const aur_tensor &qkv, const aur_tensor &out, int64_t batch, int64_t positions, int64_t heads, float scale)
{
	const int64_t width = aur_tensor_count(&out) / (batch * positions), size = width / heads;
	aur_attention_call call = {};
	call.q = aur_attention_packed(qkv, positions, 3 * width, size, 0);
	call.k = aur_attention_packed(qkv, positions, 3 * width, size, width);
	call.v = aur_attention_packed(qkv, positions, 3 * width, size, 2 * width);
	call.out = aur_attention_packed(out, positions, width, size, 0);
	call.pairs = batch * heads;
	call.heads = static_cast<int>(heads);
	call.size = static_cast<int>(size);
	call.queries = static_cast<int>(positions);
	call.scale = scale;
	call.wide = is_wide(size, qkv, out, NULL, NULL);
	return call;
}

aur_status aur_attention_forward_tiled(aur_cuda *cuda, const aur_attention_forward *op)
{
	aur_attention_call call = aur_attention_call_of(op->qkv, op->out, op->batch, op->positions, op->n_head, op->scale);
	call.lse = static_cast<float *>(op->lse.data);
	call.mask = aur_dropout_mask_of(&op->dropout);
	return aur_attention_forward_by_type(cuda, "attention_forward", call, op->qkv.dtype);
}

aur_status aur_attention_backward_tiled(aur_cuda *cuda, const aur_attention_backward *op)
{
	static const char who[] = "attention_backward";
	aur_attention_call call = aur_attention_call_of(op->qkv, op->out, op->batch, op->positions, op->n_head, op->scale);
	const int64_t width = static_cast<int64_t>(call.heads) * call.size;
	AUR_TRY(aur_cuda_check_scratch(
		cuda, who, static_cast<size_t>(call.pairs) * static_cast<size_t>(call.queries) * sizeof(float2)));
	call.d_out = aur_attention_packed(op->d_out, op->positions, width, call.size, 0);
	call.d_q = aur_attention_packed(op->d_qkv, op->positions, 3 * width, call.size, 0);
	call.d_k = aur_attention_packed(op->d_qkv, op->positions, 3 * width, call.size, width);
	call.d_v = aur_attention_packed(op->d_qkv, op->positions, 3 * width, call.size, 2 * width);
	call.lse = static_cast<float *>(op->lse.data);
	call.stats = reinterpret_cast<float2 *>(cuda->scratch);
	call.mask = aur_dropout_mask_of(&op->dropout);
	call.wide = is_wide(call.size, op->qkv, op->out, op->d_out.data, op->d_qkv.data);
	if (on_tensor_cores(call, op->qkv.dtype)) {
		AUR_TRY(aur_attention_queries_mma(cuda, who, call));
		return aur_attention_keys_mma(cuda, who, call);
	}
	AUR_TRY(aur_attention_queries_plain(cuda, who, call, op->qkv.dtype));
	return aur_attention_keys_plain(cuda, who, call, op->qkv.dtype);
}

/* cuDNN computes the shape it was compared for (attention_choice.cu), and no other: which sequences share a call does
 * not depend on ranks, so bits do not either. Scales that no model has are not for it: version 9.19 returns NaN where
 * the scale is zero, and wrong gradients where it is negative. */
template <class Op> static int is_for_cudnn(const aur_cuda *cuda, const Op *op)
{
	const struct aur_backend_limits *limits = &cuda->limits;
	return cuda->cudnn_serves && op->out.dtype == AUR_BF16 && op->dropout.p <= 0.0f && op->scale > 0.0f &&
		   op->batch == limits->batch && op->positions == limits->positions && op->n_head == limits->heads &&
		   aur_columns(&op->out) == limits->width;
}

aur_status aur_attention_forward_cuda(struct aur_backend *backend, const struct aur_attention_forward *op)
{
	struct aur_cuda *cuda = aur_cuda_of(backend);
	int served = 0;
	AUR_TRY(aur_check_attention_forward(op));
	if (is_for_cudnn(cuda, op) && aur_all_aligned(static_cast<char *>(op->qkv.data), static_cast<char *>(op->out.data)))
		AUR_TRY(aur_cudnn_attention_forward(cuda->cudnn, op, &served));
	return served ? AUR_OK : aur_attention_forward_tiled(cuda, op);
}

aur_status aur_attention_backward_cuda(struct aur_backend *backend, const struct aur_attention_backward *op)
{
	struct aur_cuda *cuda = aur_cuda_of(backend);
	int served = 0;
	AUR_TRY(aur_check_attention_backward(op));
	if (is_for_cudnn(cuda, op) && aur_all_aligned(static_cast<char *>(op->qkv.data), static_cast<char *>(op->out.data),
									  static_cast<char *>(op->d_out.data), static_cast<char *>(op->d_qkv.data)))
		AUR_TRY(aur_cudnn_attention_backward(cuda->cudnn, op, &served));
	return served ? AUR_OK : aur_attention_backward_tiled(cuda, op);
}
