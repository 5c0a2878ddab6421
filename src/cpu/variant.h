#ifndef AUR_CPU_VARIANT_H
#define AUR_CPU_VARIANT_H

/* The files of operations are compiled once per instruction set. This page gives every function they share a name of
 * its own in each copy: aur_linear_forward_cpu becomes aur_linear_forward_cpu_avx512. What is not listed here must be
 * static; a forgotten one shows as a duplicate symbol. */
#define AUR_CPU_PASTE_(name, variant) name##_##variant
#define AUR_CPU_PASTE(name, variant) AUR_CPU_PASTE_(name, variant)
#define AUR_CPU_NAME(name) AUR_CPU_PASTE(name, AUR_CPU_VARIANT)

#define aur_cpu_table AUR_CPU_NAME(aur_cpu_table)

#define aur_embedding_forward_cpu AUR_CPU_NAME(aur_embedding_forward_cpu)
#define aur_embedding_backward_cpu AUR_CPU_NAME(aur_embedding_backward_cpu)
#define aur_residual_norm_forward_cpu AUR_CPU_NAME(aur_residual_norm_forward_cpu)
#define aur_residual_norm_backward_cpu AUR_CPU_NAME(aur_residual_norm_backward_cpu)
#define aur_linear_forward_cpu AUR_CPU_NAME(aur_linear_forward_cpu)
#define aur_linear_backward_cpu AUR_CPU_NAME(aur_linear_backward_cpu)
#define aur_activation_forward_cpu AUR_CPU_NAME(aur_activation_forward_cpu)
#define aur_activation_backward_cpu AUR_CPU_NAME(aur_activation_backward_cpu)
#define aur_attention_forward_cpu AUR_CPU_NAME(aur_attention_forward_cpu)
#define aur_attention_backward_cpu AUR_CPU_NAME(aur_attention_backward_cpu)
#define aur_attention_cached_cpu AUR_CPU_NAME(aur_attention_cached_cpu)
#define aur_head_loss_cpu AUR_CPU_NAME(aur_head_loss_cpu)
#define aur_table_loss_cpu AUR_CPU_NAME(aur_table_loss_cpu)
#define aur_adamw_cpu AUR_CPU_NAME(aur_adamw_cpu)
#define aur_sum_of_squares_cpu AUR_CPU_NAME(aur_sum_of_squares_cpu)
#define aur_clip_cpu AUR_CPU_NAME(aur_clip_cpu)
#define aur_tree_add_cpu AUR_CPU_NAME(aur_tree_add_cpu)
#define aur_cast_cpu AUR_CPU_NAME(aur_cast_cpu)

/* Scratch memory each file needs for the model's largest shapes (scratch.c takes the largest). */
#define aur_embedding_scratch AUR_CPU_NAME(aur_embedding_scratch)
#define aur_residual_norm_scratch AUR_CPU_NAME(aur_residual_norm_scratch)
#define aur_linear_scratch AUR_CPU_NAME(aur_linear_scratch)
#define aur_attention_scratch AUR_CPU_NAME(aur_attention_scratch)
#define aur_head_loss_scratch AUR_CPU_NAME(aur_head_loss_scratch)
#define aur_table_loss_scratch AUR_CPU_NAME(aur_table_loss_scratch)
#define aur_cpu_reserve AUR_CPU_NAME(aur_cpu_reserve)

/* Shared pieces: dropout's masks, rows of softmax, blocks of products. */
#define aur_dropout_rows AUR_CPU_NAME(aur_dropout_rows)
#define aur_dropout_block AUR_CPU_NAME(aur_dropout_block)
#define aur_dropout_stream_of AUR_CPU_NAME(aur_dropout_stream_of)
#define aur_dropout_factors AUR_CPU_NAME(aur_dropout_factors)
#define aur_attention_panel_of AUR_CPU_NAME(aur_attention_panel_of)
#define aur_attention_scores AUR_CPU_NAME(aur_attention_scores)
#define aur_attention_gather AUR_CPU_NAME(aur_attention_gather)
#define aur_attention_scatter AUR_CPU_NAME(aur_attention_scatter)
#define aur_attention_queries AUR_CPU_NAME(aur_attention_queries)
#define aur_attention_queries_floats AUR_CPU_NAME(aur_attention_queries_floats)
#define aur_attention_backward_scratch AUR_CPU_NAME(aur_attention_backward_scratch)
#define aur_cpu_product_blocks AUR_CPU_NAME(aur_cpu_product_blocks)
#define aur_column_sums AUR_CPU_NAME(aur_column_sums)
#define aur_cross_entropy_row AUR_CPU_NAME(aur_cross_entropy_row)
#define aur_softmax_of AUR_CPU_NAME(aur_softmax_of)
#define aur_sum_sequences AUR_CPU_NAME(aur_sum_sequences)
#define aur_group_tokens AUR_CPU_NAME(aur_group_tokens)
#define aur_group_tokens_bytes AUR_CPU_NAME(aur_group_tokens_bytes)
#define aur_check_matrix AUR_CPU_NAME(aur_check_matrix)
#define aur_check_tokens AUR_CPU_NAME(aur_check_tokens)
#define aur_check_scratch AUR_CPU_NAME(aur_check_scratch)

#endif
