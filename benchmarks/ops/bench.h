#ifndef AUR_BENCH_OPS_BENCH_H
#define AUR_BENCH_OPS_BENCH_H

#include "backend/backend.h"
#include "core/arena.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* What is measured: cases, each one operation of the backend's table at one shape of a model. */

/* The shapes of a model, one bit each. */
enum bench_set { BENCH_GPT2_124M = 1, BENCH_SHAKESPEARE = 2, BENCH_ALL = 3 };

/* What an operation is held against: a big copy, or the matrix libraries. */
enum bench_bound { BENCH_MEMORY, BENCH_PRODUCT };

enum { BENCH_PRODUCTS = 3, BENCH_LABEL = 48, BENCH_CASES = 160 };

/* c[m,n] = op(a) op(b), row-major: op(a) is [m,k], op(b) [k,n]. */
struct bench_product {
	int transpose_a, transpose_b;
	int64_t m, n, k;
};

/* Sizes; a case reads those it needs. */
struct bench_shape {
	int64_t batch, positions; /* rows N = batch * positions */
	int64_t width;            /* C, or a weight's columns */
	int64_t outputs;          /* a weight's rows */
	int64_t heads, vocabulary;
	int64_t count; /* elements of a slice of parameters */
	int64_t past;  /* rows already in the cache */
	int parts;     /* arrays that are added */
	int bias;      /* 1: there are biases, and a beta of the norm */
	int gradients; /* of head_loss and table_loss */
	float dropout; /* 0: none */
	enum aur_activation_kind kind;
	enum aur_dtype from, to; /* of a cast */
};

/* What one call does by the mathematics: every operand counted once, and twice where it is read and written. */
struct bench_work {
	double bytes;
	double flops; /* 0: not counted, the operation is bound by memory */
	struct bench_product products[BENCH_PRODUCTS];
	int n_products;
};

/* One call, ready to be made. Its operands lie in the memory of one operand set. */
struct bench_job {
	struct aur_backend *backend;
	union {
		struct aur_embedding_forward embedding_forward;
		struct aur_embedding_backward embedding_backward;
		struct aur_residual_norm_forward residual_norm_forward;
		struct aur_residual_norm_backward residual_norm_backward;
		struct aur_linear_forward linear_forward;
		struct aur_linear_backward linear_backward;
		struct aur_activation_forward activation_forward;
		struct aur_activation_backward activation_backward;
		struct aur_attention_forward attention_forward;
		struct aur_attention_backward attention_backward;
		struct aur_attention_cached attention_cached;
		struct aur_head_loss head_loss;
		struct aur_table_loss table_loss;
		struct aur_adamw adamw;
		struct aur_sum_of_squares sum_of_squares;
		struct aur_clip clip;
		struct aur_tree_add tree_add;
		struct aur_cast cast;
		struct bench_bytes {
			void *to;
			const void *from;
			size_t bytes;
		} memory; /* of copy and zero */
	} op;
	struct aur_adamw_segment segment;
	aur_status (*run)(struct bench_job *job);
	aur_status (*prepare)(struct bench_job *job); /* optional: once, before the first run */
	/* Optional: `restored` is refilled from `original` before each sample, for a gradient overwritten in place that
	 * would otherwise shrink or grow from call to call. */
	struct aur_tensor restored, original;
};

/* Memory that a case carves its operands from, twice: counting, then filling them with random numbers. */
struct bench_memory {
	struct aur_arena arena;
	enum aur_dtype dtype; /* of activations and of the weights they meet */
	uint64_t random;
};

struct bench_case {
	const char *op;          /* as the backend's table names it */
	char label[BENCH_LABEL]; /* the part of the model and its shape */
	enum bench_set set;
	enum bench_bound bound;
	int any_precision; /* 1: exists in fp32 and bf16; 0: an operation on fp32 alone */
	struct bench_shape shape;
	void (*build)(const struct bench_shape *, struct bench_memory *, struct bench_job *, struct bench_work *);
};

struct bench_suite {
	struct bench_case cases[BENCH_CASES];
	int n_cases;
};

/* A model's shapes, from which every family makes its cases. */
struct bench_model {
	enum bench_set set;
	const char *name;
	struct bench_extent {
		int64_t batch, positions;
	} extents[2]; /* sequences and their length; equal in rows */
	int n_extents;
	int64_t width, heads, mlp_width, vocabulary, parameters, slice;
	int bias;
	enum aur_activation_kind kind;
};

/* Adds a case that is a copy of `filled`, with its label printed. */
void bench_add(struct bench_suite *suite, const struct bench_case *filled, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* All cases, in the order of the backend's table. */
void bench_suite_fill(struct bench_suite *suite);

const char *bench_set_name(enum bench_set set);

void bench_add_embedding(struct bench_suite *suite, const struct bench_model *model);
void bench_add_norm(struct bench_suite *suite, const struct bench_model *model);
void bench_add_linear(struct bench_suite *suite, const struct bench_model *model);
void bench_add_activation(struct bench_suite *suite, const struct bench_model *model);
void bench_add_attention(struct bench_suite *suite, const struct bench_model *model);
void bench_add_loss(struct bench_suite *suite, const struct bench_model *model);
void bench_add_parameters(struct bench_suite *suite, const struct bench_model *model);
void bench_add_memory(struct bench_suite *suite, const struct bench_model *model);

static inline int64_t bench_rows(const struct bench_shape *shape)
{
	return shape->batch * shape->positions;
}

/* ---- memory.c: operands. Uniform in [-scale, scale]; tensors are without data while counting. ---- */

/* Of the precision measured: activations, their gradients and the weights that meet them. */
struct aur_tensor bench_take(struct bench_memory *memory, int64_t rows, int64_t columns, float scale);

/* fp32 whatever the precision. */
struct aur_tensor bench_take_f32(struct bench_memory *memory, int64_t rows, int64_t columns, float scale);

struct aur_tensor bench_take_typed(
	struct bench_memory *memory, enum aur_dtype dtype, int64_t rows, int64_t columns, float scale);

/* [n] of one value, fp32 or fp64. */
struct aur_tensor bench_take_constant(struct bench_memory *memory, enum aur_dtype dtype, int64_t n, double value);

struct aur_tensor bench_take_tokens(struct bench_memory *memory, const struct bench_shape *shape);

/* A step's state with learning rate and random seed set. */
struct aur_step_state *bench_take_state(struct bench_memory *memory);

struct aur_dropout bench_take_dropout(struct bench_memory *memory, float p);

/* Bytes of a tensor; 0 when it has no elements. */
double bench_bytes_of(const struct aur_tensor *tensor);

#endif
