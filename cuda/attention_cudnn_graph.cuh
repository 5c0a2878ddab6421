#ifndef AUR_CUDA_ATTENTION_CUDNN_GRAPH_CUH
#define AUR_CUDA_ATTENTION_CUDNN_GRAPH_CUH

/* Causal attention on packed rows as graphs of cuDNN: what is computed, apart from where it runs. cuDNN recognises the
 * pattern and runs it as one fused kernel; the order and kind of operations are what it looks for. */

#include "cudnn_graph.cuh"

struct aur_cudnn_attention_shape {
	int64_t batch, positions, n_head, head_size;
};

/* Tensors by the names under which a call passes their memory. Of bf16 but for the last six, which are fp32: STATS
 * [B,H,T], the log-sum-exp of each row; ROW_SUM [B,H,T] and QUERY_SUM [B,H,T,D], scratch; SCALE, MASKED and ONE,
 * numbers that are passed by value from the host's memory. */
enum aur_cudnn_attention_tensor {
	AUR_CUDNN_Q = 1,
	AUR_CUDNN_K,
	AUR_CUDNN_V,
	AUR_CUDNN_OUT,
	AUR_CUDNN_D_OUT,
	AUR_CUDNN_D_Q,
	AUR_CUDNN_D_K,
	AUR_CUDNN_D_V,
	AUR_CUDNN_STATS,
	AUR_CUDNN_ROW_SUM,
	AUR_CUDNN_QUERY_SUM,
	AUR_CUDNN_SCALE,
	AUR_CUDNN_MASKED,
	AUR_CUDNN_ONE
};

/* out = softmax(mask(scale q k^T)) v and stats. */
void aur_cudnn_attention_forward_graph(struct aur_cudnn_graph *graph, const struct aur_cudnn_attention_shape *shape);

/* d_q, d_k, d_v. Blocks of keys run in parallel and each has its part of d_q. With `sum_queries` they add it to
 * QUERY_SUM, in whatever order they come: fast, and on Hopper other bits on a rerun. Without, cuDNN keeps dS, 2 bytes a
 * score, in its workspace and multiplies it by k afterwards: equal bits, B H T^2 2 bytes. */
void aur_cudnn_attention_backward_graph(
	struct aur_cudnn_graph *graph, const struct aur_cudnn_attention_shape *shape, int sum_queries);

#endif
