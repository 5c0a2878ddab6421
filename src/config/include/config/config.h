#ifndef AUR_CONFIG_CONFIG_H
#define AUR_CONFIG_CONFIG_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* The configuration of a training run. One table (keys.h) defines each key once; this struct, its defaults, the YAML
 * reader, overrides, help, docs/configuration.md and the comparison at a resume all come from it. */

enum { AUR_TEXT_VALUE = 4096 };

enum aur_model_kind { AUR_MODEL_BIGRAM, AUR_MODEL_GPT };
enum aur_norm_position { AUR_NORM_PRE, AUR_NORM_POST };
enum aur_activation_name { AUR_NAME_RELU, AUR_NAME_GELU, AUR_NAME_GELU_TANH };
enum aur_attention_scale { AUR_SCALE_HEAD, AUR_SCALE_EMBD }; /* 1/sqrt(head size), 1/sqrt(n_embd) */
enum aur_init { AUR_INIT_GPT2, AUR_INIT_PYTORCH };
enum aur_order { AUR_ORDER_SHUFFLE, AUR_ORDER_RANDOM, AUR_ORDER_SEQUENTIAL };
enum aur_schedule { AUR_SCHEDULE_CONSTANT, AUR_SCHEDULE_LINEAR, AUR_SCHEDULE_COSINE, AUR_SCHEDULE_WSD };
enum aur_decay { AUR_DECAY_MATRICES, AUR_DECAY_ALL };
enum aur_reduction { AUR_REDUCTION_EXACT, AUR_REDUCTION_FAST };
enum aur_eval_ranks { AUR_EVAL_ALL, AUR_EVAL_ZERO };
enum aur_on_save_error { AUR_SAVE_STOP, AUR_SAVE_CONTINUE };
enum aur_backend_name { AUR_BACKEND_AUTO, AUR_BACKEND_CPU, AUR_BACKEND_CUDA };
enum aur_precision { AUR_PRECISION_FP32, AUR_PRECISION_TF32, AUR_PRECISION_BF16 };
enum aur_recompute { AUR_RECOMPUTE_NONE, AUR_RECOMPUTE_LIGHT, AUR_RECOMPUTE_BLOCK };

struct aur_config {
	struct {
		int kind; /* the enums above are stored as int, so that one table can write them all */
		int64_t n_layer, n_head, n_embd, block_size;
		double mlp_ratio;
		int activation, norm_position;
		int norm; /* layernorm is the only value: 0 */
		int bias, qkv_bias, head_bias, tie_embeddings;
		int attention_scale;
		double dropout, embedding_dropout;
		int init;
	} model;
	struct {
		char train[AUR_TEXT_VALUE]; /* files and globs, with weights in a mixture: sources.h */
		char val[AUR_TEXT_VALUE];   /* empty: the same files' validation part */
		int order;
		int64_t prefetch; /* batches kept ready */
	} data;
	struct {
		int64_t steps; /* 0: given by epochs or tokens */
		double epochs;
		int64_t tokens;
		int64_t batch_size, micro_batch_size; /* micro_batch_size 0: the default, resolved by aur_config_finish */
		double learning_rate, min_learning_rate;
		int schedule;
		int64_t warmup_steps, decay_steps; /* decay_steps 0: steps */
		double weight_decay;
		int decay;
		double beta1, beta2, epsilon, grad_clip;
		int64_t seed;
		int reduction;
		int64_t exact_ranks;
		int64_t log_interval, eval_interval, eval_windows;
		int eval_ranks;
		int64_t checkpoint_interval, keep_checkpoints;
		int on_save_error;
		int64_t sample_interval;
		char sample_prompt[AUR_TEXT_VALUE];
	} train;
	struct {
		int backend, precision;
		int64_t threads; /* 0: cores of the node divided by its ranks */
		int64_t lanes;   /* 0: by the model's size */
		int recompute, share_gpu;
		double allreduce_bucket_mb;
	} system;
};

/* Every key at its default. */
void aur_config_defaults(struct aur_config *config);

/* Reads a YAML file of sections over what is in `config`. AUR_USAGE for a missing or unreadable file, not YAML, unknown
 * key ("configs/x.yaml:7: unknown key train.learningrate; did you mean train.learning_rate?"), wrong type, out of
 * range, duplicate key. */
aur_status aur_config_read(const char *path, struct aur_config *config);

/* The same from memory; `name` is for messages. */
aur_status aur_config_parse(const char *name, const char *yaml, size_t bytes, struct aur_config *config);

/* The grid of a sweep, the section `sweep` of a file: for each key with its section a list of values, as an override
 * whose values are separated by commas ("train.learning_rate=1e-2,1e-3"). The two functions above check it too, and
 * leave it at that. AUR_USAGE as above, and for a key whose values are texts. An empty grid where a file has none. The
 * caller clears it, whatever came back. */
struct aur_config_grid {
	char **overrides; /* owned, as are its texts */
	int n;
};
aur_status aur_config_read_grid(const char *path, struct aur_config_grid *grid);
aur_status aur_config_parse_grid(const char *name, const char *yaml, size_t bytes, struct aur_config_grid *grid);
void aur_config_grid_clear(struct aur_config_grid *grid);

/* One override, "train.batch_size=8" or "--train.batch_size=8". One of train.steps, epochs and tokens, when not 0, sets
 * the other two to 0. AUR_USAGE as above. */
aur_status aur_config_override(struct aur_config *config, const char *assignment);

/* Resolves what depends on other keys (micro_batch_size: batch_size / the largest power of two up to 8 that divides it)
 * and checks the values against each other: n_embd divisible by n_head, batch_size by micro_batch_size,
 * exactly one of steps, epochs, tokens, dropout below 1, warm-up within
 * the steps, ... AUR_USAGE names the key and the values that would do. */
aur_status aur_config_finish(struct aur_config *config);

/* G, the number of leaves of the exact reduction: the largest power of two that divides batch_size / micro_batch_size,
 * at most exact_ranks. */
int64_t aur_config_leaves(const struct aur_config *config);

/* The complete configuration as YAML, in the table's order, each with the text that reads back to the same value. The
 * caller frees *yaml. */
aur_status aur_config_write(const struct aur_config *config, char **yaml);

/* What a resume makes of two configurations. For every key that differs one call: `may_change` tells whether a resume
 * may change it. Values as text. */
typedef void (*aur_config_difference)(void *context, const char *key, const char *was, const char *is, int may_change);
void aur_config_compare(
	const struct aur_config *was, const struct aur_config *is, aur_config_difference difference, void *context);

/* One key of the table, for help and documentation. */
struct aur_config_key {
	const char *section, *name, *type, *values, *fallback, *meaning;
	int may_change; /* at a resume */
};
int64_t aur_config_keys(void);
struct aur_config_key aur_config_key_at(int64_t index); /* 0 <= index < aur_config_keys() */

/* The reference of all keys as Markdown, in the table's order: docs/configuration.md is this text. The caller frees
 * *markdown. Fails with AUR_MEMORY. */
aur_status aur_config_reference(char **markdown);

#endif
