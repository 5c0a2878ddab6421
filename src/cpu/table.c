#include "internal.h"

extern const struct aur_backend_ops aur_cpu_table;

const struct aur_backend_ops aur_cpu_table = {
	.allocate = aur_cpu_allocate,
	.release = aur_cpu_release,
	.upload = aur_cpu_copy,
	.download = aur_cpu_copy,
	.copy = aur_cpu_copy,
	.zero = aur_cpu_zero,
	.synchronise = aur_cpu_synchronise,
	.room = aur_cpu_memory_room,
	.reserve = aur_cpu_reserve,
	.close = aur_cpu_close,
	.embedding_forward = aur_embedding_forward_cpu,
	.embedding_backward = aur_embedding_backward_cpu,
	.residual_norm_forward = aur_residual_norm_forward_cpu,
	.residual_norm_backward = aur_residual_norm_backward_cpu,
	.linear_forward = aur_linear_forward_cpu,
	.linear_backward = aur_linear_backward_cpu,
	.activation_forward = aur_activation_forward_cpu,
	.activation_backward = aur_activation_backward_cpu,
	.attention_forward = aur_attention_forward_cpu,
	.attention_backward = aur_attention_backward_cpu,
	.attention_cached = aur_attention_cached_cpu,
	.head_loss = aur_head_loss_cpu,
	.table_loss = aur_table_loss_cpu,
	.adamw = aur_adamw_cpu,
	.sum_of_squares = aur_sum_of_squares_cpu,
	.clip = aur_clip_cpu,
	.tree_add = aur_tree_add_cpu,
	.cast = aur_cast_cpu,
};
