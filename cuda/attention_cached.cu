#include "attention_cached.cuh"

/* New rows of a text against a cache. Up to AUR_FEW_ROWS go to a kernel that writes them into the cache itself
 * (attention_one_query.cu); more are copied there first and go to the tiled kernel of the forward pass, which is the
 * same but for where keys lie and which position the first query has. */

/* The new K and V, one element a thread: a grid of rows, and heads' elements. 2 D numbers read and written a row and
 * head; a copy, some hundred rows once a text. */
template <class T> AUR_KERNEL(256) aur_append_rows(aur_attention_call call, aur_cached_rows rows)
{
	const int64_t row = blockIdx.x, width = static_cast<int64_t>(call.heads) * call.size;
	aur_attention_place place = {};
	place.sequence = row / call.queries;
	const int64_t query = row % call.queries;
	for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
		place.head = static_cast<int>(i / call.size);
		const int64_t d = i % call.size;
		aur_attention_at<T>(call.k, place, call.past + query)[d] = aur_attention_at<T>(rows.k, place, query)[d];
		aur_attention_at<T>(call.v, place, call.past + query)[d] = aur_attention_at<T>(rows.v, place, query)[d];
	}
}

static aur_attention_rows cache_of(const aur_tensor &cache, const aur_attention_call &call, int64_t capacity)
{
	aur_attention_rows rows;
	rows.data = cache.data;
	rows.pitch = call.size;
	rows.head = capacity * call.size;
	rows.sequence = call.heads * rows.head;
	return rows;
}

template <class T>
static aur_status append(aur_cuda *cuda, const char *who, const aur_attention_call &call, const aur_cached_rows &rows)
{
	return AUR_LAUNCH(
		who, (aur_append_rows<T>), call.pairs / call.heads * call.queries, 256, 0, cuda->stream, call, rows);
}

aur_status aur_attention_cached_cuda(struct aur_backend *backend, const struct aur_attention_cached *op)
{
	static const char who[] = "attention_cached";
	aur_cuda *cuda = aur_cuda_of(backend);
	const enum aur_dtype type = op->qkv.dtype;
	AUR_TRY(aur_check_attention_cached(op));
	aur_attention_call call = aur_attention_call_of(op->qkv, op->out, op->batch, op->positions, op->n_head, op->scale);
	const aur_cached_rows rows = {call.k, call.v};
	call.past = static_cast<int>(op->past);
	call.k = cache_of(op->k_cache, call, op->capacity);
	call.v = cache_of(op->v_cache, call, op->capacity);
	call.wide = call.wide && aur_all_aligned(static_cast<const char *>(op->k_cache.data),
								 static_cast<const char *>(op->v_cache.data));
	if (aur_attention_are_few(call))
		return aur_attention_few_rows(cuda, who, call, rows, type);
	AUR_TRY(type == AUR_F32 ? append<float>(cuda, who, call, rows) : append<__nv_bfloat16>(cuda, who, call, rows));
	return aur_attention_forward_by_type(cuda, who, call, type);
}
