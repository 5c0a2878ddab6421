#if defined(AUR_WITH_CUDNN) && !defined(AURELIUS_EMULATED)

#include "attention_cudnn_graph.cuh"

/* Sizes and strides of all that occurs. `transposed` shapes swap the last two dimensions of what lies in memory. */
struct layout {
	struct aur_cudnn_shape packed, packed_transposed; /* q, k or v inside of a row of 3C */
	struct aur_cudnn_shape plain;                     /* out, rows of C */
	struct aur_cudnn_shape heads;                     /* [B,H,T,D], contiguous */
	struct aur_cudnn_shape scores, scores_transposed; /* [B,H,T,T] */
	struct aur_cudnn_shape rows;                      /* [B,H,T,1] */
};

static struct layout layout_of(const struct aur_cudnn_attention_shape *s)
{
	const int64_t b = s->batch, t = s->positions, h = s->n_head, d = s->head_size;
	const struct layout layout = {
		{{b, h, t, d}, {3 * h * d * t, d, 3 * h * d, 1}},
		{{b, h, d, t}, {3 * h * d * t, d, 1, 3 * h * d}},
		{{b, h, t, d}, {h * d * t, d, h * d, 1}},
		{{b, h, t, d}, {h * t * d, t * d, d, 1}},
		{{b, h, t, t}, {h * t * t, t * t, t, 1}},
		{{b, h, t, t}, {h * t * t, t * t, 1, t}},
		{{b, h, t, 1}, {h * t, t, 1, 1}},
	};
	return layout;
}

static aur_cudnn_descriptor scores(struct aur_cudnn_graph *graph, const struct layout *layout)
{
	return aur_cudnn_virtual(graph, CUDNN_DATA_FLOAT, &layout->scores);
}

/* x where the query is not before the key, the MASKED number elsewhere. */
static aur_cudnn_descriptor mask(struct aur_cudnn_graph *graph, const struct layout *layout, aur_cudnn_descriptor x)
{
	aur_cudnn_descriptor query = aur_cudnn_virtual(graph, CUDNN_DATA_INT32, &layout->scores);
	aur_cudnn_descriptor key = aur_cudnn_virtual(graph, CUDNN_DATA_INT32, &layout->scores);
	aur_cudnn_descriptor seen = aur_cudnn_virtual(graph, CUDNN_DATA_BOOLEAN, &layout->scores);
	aur_cudnn_descriptor masked = scores(graph, layout);
	aur_cudnn_index(graph, 2, x, query);
	aur_cudnn_index(graph, 3, x, key);
	aur_cudnn_at_least(graph, query, key, seen);
	aur_cudnn_select(graph, x, aur_cudnn_scalar(graph, AUR_CUDNN_MASKED), seen, masked);
	return masked;
}

/* scale q k^T */
static aur_cudnn_descriptor scaled_scores(struct aur_cudnn_graph *graph, const struct layout *layout,
	aur_cudnn_descriptor q, aur_cudnn_descriptor k_transposed, aur_cudnn_descriptor scale)
{
	aur_cudnn_descriptor products = scores(graph, layout), scaled = scores(graph, layout);
	aur_cudnn_matmul(graph, q, k_transposed, products);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_MUL, products, scale, scaled);
	return scaled;
}

/* max = max_j x      e = exp(x - max)      sum = sum_j e      stats = max + log(sum)      P = bf16(e / sum) */
static aur_cudnn_descriptor soften(
	struct aur_cudnn_graph *graph, const struct layout *layout, aur_cudnn_descriptor x, aur_cudnn_descriptor stats)
{
	aur_cudnn_descriptor max = aur_cudnn_virtual(graph, CUDNN_DATA_FLOAT, &layout->rows);
	aur_cudnn_descriptor sum = aur_cudnn_virtual(graph, CUDNN_DATA_FLOAT, &layout->rows);
	aur_cudnn_descriptor log_sum = aur_cudnn_virtual(graph, CUDNN_DATA_FLOAT, &layout->rows);
	aur_cudnn_descriptor below = scores(graph, layout), e = scores(graph, layout);
	aur_cudnn_descriptor p = aur_cudnn_virtual(graph, CUDNN_DATA_BFLOAT16, &layout->scores);
	aur_cudnn_reduce(graph, CUDNN_REDUCE_TENSOR_MAX, x, max);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_SUB, x, max, below);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_EXP, below, NULL, e);
	aur_cudnn_reduce(graph, CUDNN_REDUCE_TENSOR_ADD, e, sum);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_LOG, sum, NULL, log_sum);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_ADD, max, log_sum, stats);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_DIV, e, sum, p);
	return p;
}

static aur_cudnn_descriptor bf16(struct aur_cudnn_graph *graph, int64_t name, const struct aur_cudnn_shape *shape)
{
	return aur_cudnn_tensor(graph, name, CUDNN_DATA_BFLOAT16, shape);
}

void aur_cudnn_attention_forward_graph(struct aur_cudnn_graph *graph, const struct aur_cudnn_attention_shape *shape)
{
	const struct layout layout = layout_of(shape);
	aur_cudnn_descriptor q = bf16(graph, AUR_CUDNN_Q, &layout.packed);
	aur_cudnn_descriptor k_transposed = bf16(graph, AUR_CUDNN_K, &layout.packed_transposed);
	aur_cudnn_descriptor v = bf16(graph, AUR_CUDNN_V, &layout.packed);
	aur_cudnn_descriptor out = bf16(graph, AUR_CUDNN_OUT, &layout.plain);
	aur_cudnn_descriptor stats = aur_cudnn_tensor(graph, AUR_CUDNN_STATS, CUDNN_DATA_FLOAT, &layout.rows);
	aur_cudnn_descriptor x = scaled_scores(graph, &layout, q, k_transposed, aur_cudnn_scalar(graph, AUR_CUDNN_SCALE));
	aur_cudnn_matmul(graph, soften(graph, &layout, mask(graph, &layout, x), stats), v, out);
}

/* row_sum_i = sum(d_out_i * out_i), the part of dP that softmax takes away. The factor 1 stands where one of dropout
 * would. */
static aur_cudnn_descriptor row_sums(
	struct aur_cudnn_graph *graph, const struct layout *layout, aur_cudnn_descriptor d_out, aur_cudnn_descriptor out)
{
	aur_cudnn_descriptor products = aur_cudnn_virtual(graph, CUDNN_DATA_FLOAT, &layout->plain);
	aur_cudnn_descriptor sums = aur_cudnn_virtual(graph, CUDNN_DATA_FLOAT, &layout->rows);
	aur_cudnn_descriptor row_sum = aur_cudnn_tensor(graph, AUR_CUDNN_ROW_SUM, CUDNN_DATA_FLOAT, &layout->rows);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_MUL, d_out, out, products);
	aur_cudnn_reduce(graph, CUDNN_REDUCE_TENSOR_ADD, products, sums);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_MUL, sums, aur_cudnn_scalar(graph, AUR_CUDNN_ONE), row_sum);
	return row_sum;
}

/* P = exp(mask(scale q k^T - stats)) */
static aur_cudnn_descriptor probabilities(
	struct aur_cudnn_graph *graph, const struct layout *layout, aur_cudnn_descriptor scaled)
{
	aur_cudnn_descriptor stats = aur_cudnn_tensor(graph, AUR_CUDNN_STATS, CUDNN_DATA_FLOAT, &layout->rows);
	aur_cudnn_descriptor below = scores(graph, layout), p = scores(graph, layout);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_SUB, scaled, stats, below);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_EXP, mask(graph, layout, below), NULL, p);
	return p;
}

/* product = x^T y, x rounded to bf16 */
static void multiply_transposed(struct aur_cudnn_graph *graph, const struct layout *layout, aur_cudnn_descriptor x,
	aur_cudnn_descriptor y, aur_cudnn_descriptor product)
{
	aur_cudnn_descriptor transposed = aur_cudnn_virtual(graph, CUDNN_DATA_BFLOAT16, &layout->scores_transposed);
	aur_cudnn_reshape(graph, x, transposed);
	aur_cudnn_matmul(graph, transposed, y, product);
}

/* dS = P (d_out v^T - row_sum) scale */
static aur_cudnn_descriptor score_gradient(struct aur_cudnn_graph *graph, const struct layout *layout,
	aur_cudnn_descriptor d_out, aur_cudnn_descriptor row_sum, aur_cudnn_descriptor p, aur_cudnn_descriptor scale)
{
	aur_cudnn_descriptor v_transposed = bf16(graph, AUR_CUDNN_V, &layout->packed_transposed);
	aur_cudnn_descriptor d_p = scores(graph, layout), less = scores(graph, layout), weighted = scores(graph, layout);
	aur_cudnn_descriptor d_s = aur_cudnn_virtual(graph, CUDNN_DATA_BFLOAT16, &layout->scores);
	aur_cudnn_matmul(graph, d_out, v_transposed, d_p);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_SUB, d_p, row_sum, less);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_MUL, less, p, weighted);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_MUL, weighted, scale, d_s);
	return d_s;
}

/* d_q = dS k */
static void query_gradient(struct aur_cudnn_graph *graph, const struct layout *layout, aur_cudnn_descriptor d_s,
	aur_cudnn_descriptor k_transposed, int sum_queries)
{
	aur_cudnn_descriptor k = aur_cudnn_virtual(graph, CUDNN_DATA_BFLOAT16, &layout->packed);
	aur_cudnn_descriptor d_q = bf16(graph, AUR_CUDNN_D_Q, &layout->packed);
	aur_cudnn_reshape(graph, k_transposed, k);
	if (!sum_queries) {
		aur_cudnn_matmul(graph, d_s, k, d_q);
		return;
	}
	aur_cudnn_descriptor sum = aur_cudnn_tensor(graph, AUR_CUDNN_QUERY_SUM, CUDNN_DATA_FLOAT, &layout->heads);
	aur_cudnn_matmul(graph, d_s, k, sum);
	aur_cudnn_pointwise(graph, CUDNN_POINTWISE_IDENTITY, sum, NULL, d_q);
}

void aur_cudnn_attention_backward_graph(
	struct aur_cudnn_graph *graph, const struct aur_cudnn_attention_shape *shape, int sum_queries)
{
	const struct layout layout = layout_of(shape);
	aur_cudnn_descriptor q = bf16(graph, AUR_CUDNN_Q, &layout.packed);
	aur_cudnn_descriptor k_transposed = bf16(graph, AUR_CUDNN_K, &layout.packed_transposed);
	aur_cudnn_descriptor out = bf16(graph, AUR_CUDNN_OUT, &layout.plain);
	aur_cudnn_descriptor d_out = bf16(graph, AUR_CUDNN_D_OUT, &layout.plain);
	aur_cudnn_descriptor scale = aur_cudnn_scalar(graph, AUR_CUDNN_SCALE);
	aur_cudnn_descriptor row_sum = row_sums(graph, &layout, d_out, out);
	aur_cudnn_descriptor p = probabilities(graph, &layout, scaled_scores(graph, &layout, q, k_transposed, scale));
	multiply_transposed(graph, &layout, p, d_out, bf16(graph, AUR_CUDNN_D_V, &layout.packed));
	aur_cudnn_descriptor d_s = score_gradient(graph, &layout, d_out, row_sum, p, scale);
	multiply_transposed(graph, &layout, d_s, q, bf16(graph, AUR_CUDNN_D_K, &layout.packed));
	query_gradient(graph, &layout, d_s, k_transposed, sum_queries);
}

#endif
