#ifndef AUR_BACKEND_BACKEND_H
#define AUR_BACKEND_BACKEND_H

#include "backend/survey.h"
#include "backend/tensor.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* One table of operations, filled once for the CPU and once for CUDA. Model code is written over it alone.
 *
 * Names of sizes: B sequences of a micro-batch, T positions, N = B*T rows, C width, H heads, D = C/H, F width of the
 * MLP, V vocabulary.
 *
 * Conventions. Activations are written (=). Gradients of parameters accumulate (+=) in fp32. A tensor marked optional
 * may be absent (data == NULL). Every operation is asynchronous on the backend's compute stream and borrows every
 * pointer of its struct until then; the struct itself is read before the call returns. An operation never allocates:
 * its scratch memory is sized once by reserve(). It returns AUR_SHAPE, having written nothing, when shapes disagree.
 * Equal inputs give equal bits, whatever the number of threads. No operation uses floating-point atomics.
 *
 * Types. Activations and their gradients are fp32, or all of one operation are bf16; the weights that its products and
 * embeddings read (w, wte, wpe, the bias of linear) are then bf16 too: copies of the fp32 master weights. Everything
 * else is fp32 as named here: gamma and beta, the bias of the logits, statistics, every gradient of a parameter.
 * Inside, every number is fp32 (or wider, where said): a bf16 input is widened exactly, a product of bf16 accumulates
 * in fp32, a bf16 result is rounded once, to nearest even, when it is stored. Operations on parameters alone, and the
 * table of next-token logits, are fp32.
 */

struct aur_backend;

/* What changes from step to step, in the backend's memory so that a captured graph stays valid. The host sends what it
 * knows with upload(), the first AUR_STEP_STATE_SENT bytes; what follows is the clip operation's, which goes on from
 * what it wrote in the step before: the host sends that once, before the first step. */
struct aur_step_state {
	uint64_t seed;         /* key of every random number */
	uint64_t first_sample; /* global number of the first sequence of this micro-batch */
	float learning_rate;
	float correction1;    /* 1 - beta1^t of this update, t counted from 1 */
	float correction2;    /* 1 - beta2^t */
	float gradient_scale; /* min(1, max_norm / norm); 1 without clipping */
	double norm;          /* of the whole gradient before clipping */
	int64_t updates;      /* so far: AdamW's t */
	int32_t skip;         /* 1 when the norm is not finite: this update is left out by all */
	int32_t skipped_in_a_row;
};

#define AUR_STEP_STATE_SENT offsetof(struct aur_step_state, correction1)

/* Inverted dropout: an element is kept with probability 1 - p and then scaled by its inverse. Element (row, column) of
 * sequence s uses 16 bits of aur_philox(seed, row * ceil(columns / 8) + column / 8, stream(site, layer, head),
 * first_sample + s): half-word (column % 8) counted from the low half of v[0]; it is dropped when those 16 bits are
 * below round(65536 p), and kept elements are scaled by 65536 / (65536 - round(65536 p)). For activations [B*T, C] the
 * row is t and head 0; for attention weights the row is the query's position, the column the key's. */
struct aur_dropout {
	float p;       /* 0: no dropout, the rest is not read */
	uint32_t site; /* enum aur_rng_site */
	uint32_t layer;
	const struct aur_step_state *state; /* seed and first_sample */
};

/* The largest shapes the model will ask for; reserve() sizes scratch memory from them. */
struct aur_backend_limits {
	int64_t batch, positions, width, heads, mlp_width, vocabulary;
	int64_t parameters;         /* elements of the largest flat arena */
	enum aur_dtype activations; /* AUR_F32 or AUR_BF16 */
	int training;               /* 0: no backward pass will be asked for */
	int attention_dropout;      /* 1: training drops weights of attention */
	int count_only;             /* 1: reserve() only says how many bytes it would take */
};

/* out[b,t] = dropout(wte[token[b,t]] + wpe[first_position + t])
 * tokens [B,T] int32 in [0,V). wte [V,C], wpe [P,C] with first_position + T <= P, out [B*T,C]. */
struct aur_embedding_forward {
	struct aur_tensor tokens, wte, wpe, out;
	int64_t first_position;
	struct aur_dropout dropout;
};

/* dwte[token] += sum over the positions that hold the token, in ascending order; dwpe[t] += sum over sequences.
 * d_out [B*T,C] is the gradient of out. */
struct aur_embedding_backward {
	struct aur_tensor tokens, d_out, d_wte, d_wpe;
	struct aur_dropout dropout;
};

/* Layer normalisation with the residual sum fused in front (Ba, Kiros, Hinton 2016, arXiv:1607.06450).
 *   s = a + dropout(b)        y = gamma * (s - mean(s)) * rstd(s) + beta,   rstd = 1/sqrt(var + epsilon)
 * a [N,C] optional: s = dropout(b) without it, and with no dropout either s may be absent and is b itself.
 * b, s, y [N,C]; s may be a. gamma [C]; beta [C] optional. mean, rstd [N] fp32, kept for the backward pass.
 * `sequence` = T tells rows of one sequence for dropout's counter.
 * In fp32 the bits of y, mean and rstd are those of the same operation on s as its b, without a and dropout: so y can
 * be made again. A bf16 y comes from s before it is rounded, and cannot. */
struct aur_residual_norm_forward {
	struct aur_tensor a, b, s, y, gamma, beta, mean, rstd;
	float epsilon; /* 0: 1e-5 */
	int64_t sequence;
	struct aur_dropout dropout;
};

/* With g = d_y + d_y2 and xhat = (s - mean) * rstd:
 *   d_gamma += sum_N g * xhat          d_beta += sum_N g
 *   d_s = rstd * (g*gamma - mean_C(g*gamma) - xhat * mean_C(g*gamma*xhat)) + d_residual
 *   d_a = d_s                          d_b = mask * d_s / (1-p)
 * d_y [N,C]; d_y2 [N,C] optional second addend (post-norm: y feeds the branch and the stream); d_residual [N,C]
 * optional, the gradient that reaches s along the stream (pre-norm). d_a [N,C]; it may be d_y, d_y2 or d_residual. d_b
 * [N,C] optional: without dropout it equals d_a and should be absent. */
struct aur_residual_norm_backward {
	struct aur_tensor d_y, d_y2, d_residual, s, gamma, mean, rstd, d_a, d_b, d_gamma, d_beta;
	int64_t sequence;
	struct aur_dropout dropout;
};

/* y = x w^T + bias.  x [N,I], w [O,I], bias [O] optional, y [N,O]; the bias is of w's type, as the other weights that a
 * product reads. The sum is fp32, the bias added in it, and rounded once where y is bf16. */
struct aur_linear_forward {
	struct aur_tensor x, w, bias, y;
};

/* d_x = d_y w (optional)    d_w += d_y^T x    d_bias += sum_N d_y (optional).   d_x may not be d_y.
 * overwrite: d_w = d_y^T x, whatever it held; d_bias is added to all the same. */
struct aur_linear_backward {
	struct aur_tensor d_y, x, w, d_x, d_w, d_bias;
	int overwrite;
};

/* relu(x) = max(x, 0); gelu(x) = x/2 (1 + erf(x/sqrt 2)); gelu_tanh is its tanh form, with sqrt(2/pi) and 0.044715
 * (Hendrycks, Gimpel 2016, arXiv:1606.08415). */
enum aur_activation_kind { AUR_RELU, AUR_GELU, AUR_GELU_TANH };

/* y = f(x); x, y [N,F]; y may be x only where no backward pass follows. */
struct aur_activation_forward {
	enum aur_activation_kind kind;
	struct aur_tensor x, y;
};

/* d_x = d_y f'(x); d_x may be d_y. */
struct aur_activation_backward {
	enum aur_activation_kind kind;
	struct aur_tensor x, d_y, d_x;
};

/* Causal attention on packed rows (Vaswani et al. 2017, arXiv:1706.03762; tiled with a running softmax as Dao et al.
 * 2022, arXiv:2205.14135, so that memory is O(T)):
 *   P = softmax(mask(scale Q K^T))     out = dropout(P) V     lse[i] = log sum_j exp(scale q_i k_j)
 * qkv [B*T, 3C]: of each row C numbers of Q, then K, then V, head h at h*D. out [B*T,C]. lse [B,H,T] fp32, kept for the
 * backward pass. The layer comes from dropout.layer, the head from the loop. */
struct aur_attention_forward {
	struct aur_tensor qkv, out, lse;
	int64_t batch, positions, n_head;
	int64_t n_kv_head; /* 0: n_head, the only value so far */
	float scale;
	struct aur_dropout dropout;
};

/* d_qkv [B*T,3C] (=). With dP = dropout(d_out V^T) and delta_i = sum(d_out_i * out_i):
 *   dS = P (dP - delta) scale     dQ = dS K     dK = dS^T Q     dV = dropout(P)^T d_out */
struct aur_attention_backward {
	struct aur_tensor qkv, out, lse, d_out, d_qkv;
	int64_t batch, positions, n_head;
	int64_t n_kv_head;
	float scale;
	struct aur_dropout dropout;
};

/* Attention of `positions` new rows against a cache, for generation; no gradient.
 * qkv [B*positions,3C] of the new rows. k_cache, v_cache [B,H,capacity,D]: the new K and V are written at `past`. */
struct aur_attention_cached {
	struct aur_tensor qkv, k_cache, v_cache, out;
	int64_t batch, positions, past, capacity, n_head;
	int64_t n_kv_head;
	float scale;
};

/* Output head and cross-entropy as one operation, in chunks of rows (their number a constant of the shape), so that the
 * full logits [N,V] never exist.
 *   logits = x w^T + bias      loss[b] = sum over t of -log softmax(logits)[target]      (natural logarithm)
 *   g = (softmax(logits) - onehot(target)) * gradient_scale
 *   d_x = g w      d_w += g^T x      d_bias += sum_N g
 * x [N,C], w [V,C], bias [V] optional, targets [B,T] int32, loss [B] fp64 (=).
 * d_x absent: the loss alone is computed and no gradient is touched.
 * overwrite: d_w = g^T x, whatever it held; d_bias is added to all the same. */
struct aur_head_loss {
	struct aur_tensor x, w, bias, targets, loss, d_x, d_w, d_bias;
	int overwrite;
	float gradient_scale;
};

/* The same for a table of next-token logits: logits[n] = table[token[n]].
 * table [V,V], tokens, targets [B,T], loss [B] fp64 (=), d_table [V,V] += optional. */
struct aur_table_loss {
	struct aur_tensor tokens, targets, table, loss, d_table;
	float gradient_scale;
};

/* Where a weight decay holds, as ranges of the slice. */
struct aur_adamw_segment {
	int64_t begin, count;
	float weight_decay;
};

/* AdamW with decoupled decay (Loshchilov, Hutter 2019, arXiv:1711.05101) in one pass over a slice:
 *   g = gradient * state.gradient_scale
 *   m = beta1 m + (1-beta1) g         v = beta2 v + (1-beta2) g^2
 *   w -= learning_rate * (m/correction1 / (sqrt(v/correction2) + epsilon) + weight_decay * w)
 * Nothing is written when state.skip. Tensors of equal count, fp32 but for `rounded`; segments cover the slice, in
 * order. */
struct aur_adamw {
	struct aur_tensor weights, gradients, m, v;
	struct aur_tensor rounded; /* optional, bf16 of the same count: = the new weights, as cast rounds them */
	const struct aur_adamw_segment *segments; /* host memory */
	int64_t n_segments;
	float beta1, beta2, epsilon;
	const struct aur_step_state *state;
};

/* Elements of one partial sum of squares; slices of the parameter arena begin at multiples of it. */
enum { AUR_NORM_BLOCK = 4096 };

/* sums[i] = sum of squares of block i of x (the last may be short), in fp64. sums [ceil(count / AUR_NORM_BLOCK)]. */
struct aur_sum_of_squares {
	struct aur_tensor x, sums;
};

/* From all blocks' sums, added in order: state.norm = sqrt(total); state.gradient_scale; state.skip. Where the norm is
 * finite this is one more update: state.updates += 1, skipped_in_a_row = 0, and with t = state.updates the corrections
 * are 1 - beta^t, in fp64 and rounded once. Else skipped_in_a_row += 1, and updates and corrections stay. */
struct aur_clip {
	struct aur_tensor sums; /* [blocks] fp64 */
	float max_norm;         /* 0: no clipping */
	double beta1, beta2;    /* of the update that follows, in [0, 1) */
	struct aur_step_state *state;
};

enum { AUR_TREE_PARTS = 64 };

/* out = the sum of n_parts arrays by one balanced binary tree: ((p0+p1)+(p2+p3))+...; n_parts a power of two.
 * out may be parts[0]. The arrays do not overlap otherwise. */
struct aur_tree_add {
	const float *parts[AUR_TREE_PARTS];
	int n_parts;
	float *out;
	int64_t count;
};

/* y = x in another type: fp32 to bf16 (nearest even) or back. */
struct aur_cast {
	struct aur_tensor x, y;
};

/* REQUIRED members must be set. OPTIONAL ones, fusions of the required, will be added below them and fall back to a
 * composition when aur_backend_open fills the table; none is tested for in the hot path. */
struct aur_backend_ops {
	/* REQUIRED: memory. allocate() gives memory aligned to 256 bytes; what it holds is undefined. */
	aur_status (*allocate)(struct aur_backend *backend, size_t bytes, void **memory);
	void (*release)(struct aur_backend *backend, void *memory);
	aur_status (*upload)(struct aur_backend *backend, void *to_device, const void *from_host, size_t bytes);
	/* Waits as synchronise(), and fails as it does; what is downloaded then means nothing. */
	aur_status (*download)(struct aur_backend *backend, void *to_host, const void *from_device, size_t bytes);
	aur_status (*copy)(struct aur_backend *backend, void *to, const void *from, size_t bytes);
	aur_status (*zero)(struct aur_backend *backend, void *memory, size_t bytes);
	/* Waits until everything asked for so far is done, and returns the first failure among it. */
	aur_status (*synchronise)(struct aur_backend *backend);
	/* How many bytes allocate() and reserve() could have together, as far as is known; what reserve() holds counts as
	 * free. Of a device its free memory; of the host all that this process can ever hold, the program included,
	 * whatever others hold of it. */
	aur_status (*room)(struct aur_backend *backend, int64_t *bytes);
	/* Sizes scratch memory for the largest shapes; `bytes` (may be NULL) gets what it took. Called once. */
	aur_status (*reserve)(struct aur_backend *backend, const struct aur_backend_limits *limits, size_t *bytes);
	void (*close)(struct aur_backend *backend);

	/* REQUIRED: the model. */
	aur_status (*embedding_forward)(struct aur_backend *, const struct aur_embedding_forward *);
	aur_status (*embedding_backward)(struct aur_backend *, const struct aur_embedding_backward *);
	aur_status (*residual_norm_forward)(struct aur_backend *, const struct aur_residual_norm_forward *);
	aur_status (*residual_norm_backward)(struct aur_backend *, const struct aur_residual_norm_backward *);
	aur_status (*linear_forward)(struct aur_backend *, const struct aur_linear_forward *);
	aur_status (*linear_backward)(struct aur_backend *, const struct aur_linear_backward *);
	aur_status (*activation_forward)(struct aur_backend *, const struct aur_activation_forward *);
	aur_status (*activation_backward)(struct aur_backend *, const struct aur_activation_backward *);
	aur_status (*attention_forward)(struct aur_backend *, const struct aur_attention_forward *);
	aur_status (*attention_backward)(struct aur_backend *, const struct aur_attention_backward *);
	aur_status (*attention_cached)(struct aur_backend *, const struct aur_attention_cached *);
	aur_status (*head_loss)(struct aur_backend *, const struct aur_head_loss *);
	aur_status (*table_loss)(struct aur_backend *, const struct aur_table_loss *);

	/* REQUIRED: the optimizer and the reductions. */
	aur_status (*adamw)(struct aur_backend *, const struct aur_adamw *);
	aur_status (*sum_of_squares)(struct aur_backend *, const struct aur_sum_of_squares *);
	aur_status (*clip)(struct aur_backend *, const struct aur_clip *);
	aur_status (*tree_add)(struct aur_backend *, const struct aur_tree_add *);
	aur_status (*cast)(struct aur_backend *, const struct aur_cast *);
};

/* A stream of a device beside the one that operations run on. */
struct aur_stream {
	void *handle; /* the library's own: a cudaStream_t */
};

/* For those who move a device's data beside its operations (comm/). All on one device: the backend's. */
struct aur_backend_streams {
	aur_status (*open)(struct aur_backend *backend, struct aur_stream **stream);
	void (*close)(struct aur_backend *backend, struct aur_stream *stream);
	/* What `then` is asked from now on begins when what `first` was asked so far is done; NULL is the stream of the
	 * backend's operations. The host does not wait. */
	aur_status (*order)(struct aur_backend *backend, struct aur_stream *first, struct aur_stream *then);
	/* Whether all the stream was asked is done, without waiting; NULL as above. Fails with what failed on it. */
	aur_status (*poll)(struct aur_backend *backend, struct aur_stream *stream, int *done);
	/* Host memory that the device copies from and to by itself, 256-byte aligned. */
	aur_status (*allocate_host)(struct aur_backend *backend, size_t bytes, void **memory);
	void (*release_host)(struct aur_backend *backend, void *memory);
	/* Between that memory and the device's, either way. Asynchronous on the stream. */
	aur_status (*copy)(
		struct aur_backend *backend, struct aur_stream *stream, void *to, const void *from, size_t bytes);
	/* What synchronise() tells of operations that met wrong numbers, without waiting for them: note_fault() asks, on
	 * the stream of the backend's operations, for what they found so far, as a number in memory of allocate_host().
	 * When it is there judge_fault() fails as synchronise() does, and what was found counts as told. */
	aur_status (*note_fault)(struct aur_backend *backend, int32_t *fault);
	aur_status (*judge_fault)(struct aur_backend *backend, int32_t fault);
};

/* Which of a library's algorithms computes which shape, as text, so that all ranks and a resumed run take the same: the
 * library offers several, which differ in speed and in bits. */
struct aur_backend_choices {
	/* The choices made so far. The caller frees *text. AUR_MEMORY. */
	aur_status (*write)(struct aur_backend *backend, char **text);
	/* Takes them over; shapes that are not among them are chosen as they come. Fails with AUR_INPUT when the text is
	 * damaged or of another device or version of the library. */
	aur_status (*read)(struct aur_backend *backend, const char *text);
	/* 0, as it is opened: the library's first suggestion that works, the same wherever device and version are. 1: a
	 * shape that first comes is timed, in memory and on the stream of its operation, and two processes may choose
	 * differently. */
	void (*measure)(struct aur_backend *backend, int measure);
};

/* Named stretches of the host's time, within one another, which a profiler shows beside what the device does. */
struct aur_backend_marks {
	void (*begin)(const char *name);
	void (*end)(void);
};

/* Operations recorded once and asked for again as one: a device then waits for the host once for all of them. What is
 * recorded reads the same memory each time; what is to change lies in that memory. */
struct aur_backend_graphs {
	/* From here to end() operations are recorded and not done. They must not wait for the device. */
	aur_status (*begin)(struct aur_backend *backend);
	/* `keep` 0: what was recorded is forgotten. Else *graph is what run() does and the caller discards; NULL with
	 * AUR_OK: it cannot be recorded, which a line of the log says once, and the operations have to be asked for. */
	aur_status (*end)(struct aur_backend *backend, int keep, void **graph);
	/* Asynchronous on the compute stream, as an operation. */
	aur_status (*run)(struct aur_backend *backend, void *graph);
	void (*discard)(struct aur_backend *backend, void *graph);
};

struct aur_backend {
	const struct aur_backend_ops *ops;
	const struct aur_backend_streams *streams; /* NULL where memory is the host's and nothing is asynchronous */
	const struct aur_backend_choices *choices; /* NULL where nothing is chosen */
	const struct aur_backend_graphs *graphs;   /* NULL where recording gains nothing, or was switched off */
	const struct aur_backend_marks *marks;     /* NULL without a profiler's library */
	const char *name;                          /* "cpu" */
	char variant[96];   /* what bits depend on, "avx512bf16": the instruction set the operations are compiled for */
	char device[96];    /* the device's model, "NVIDIA H200"; empty: the host's processor */
	char device_id[32]; /* which of its node's devices, as all programs on it name it: the PCI address */
	int devices;        /* of its kind that this process sees; 0: the host's processor */
	int host_memory;    /* 1 when its pointers may be read by the host */
	int fast_bf16;      /* 1 when it has instructions for products of bf16; without them they work, only slower */
	int fast_tf32;      /* 1 when products of fp32 may round their operands to TF32, which is faster */
	/* Set by its owner between opening and reserve(). */
	int tf32;          /* 1: they do; 0, as it is opened. Only where fast_tf32 is 1 */
	int deterministic; /* 1, as it is opened: equal inputs give equal bits; 0: they need not, where that is faster */
	/* What computes attention, where that is chosen: set by reserve(). A library ("cuDNN 9.19.0"), or "own kernels: "
	 * and why; empty where there is one way only. Bits depend on it. */
	char attention[160];
	void *private_data; /* the implementation's */
};

struct aur_backend_factory {
	const char *name;
	/* Opens the backend on this process; fails with AUR_DEVICE and what is missing. */
	aur_status (*open)(struct aur_backend **backend);
	/* OPTIONAL. What open() takes from now on: device `place` modulo those this process sees, counted from 0. */
	void (*use_device)(int place);
	/* OPTIONAL. What there is of devices and of the libraries they need, also where nothing can be opened. */
	void (*survey)(struct aur_survey *survey);
};

/* main registers what was compiled in, in order of preference. At most 4. */
void aur_backend_register(const struct aur_backend_factory *factory);

/* Opens the backend `name`, or the first that opens with "auto". Fails with AUR_USAGE for an unknown name, AUR_INTERNAL
 * when a required operation is missing. The caller closes it with aur_backend_close. */
aur_status aur_backend_open(const char *name, struct aur_backend **backend);

/* Before opening: the backends that have several devices take number `place`, modulo those this process sees. A rank
 * gives its number on its node, so that each has its own; a launcher that shows each rank one device gives it that. */
void aur_backend_use_device(int place);

/* What the backend `name` finds; 0: it is not compiled in, or has no devices to look for. */
int aur_backend_survey(const char *name, struct aur_survey *survey);

/* A stretch of the host's time for profilers (struct aur_backend_marks); nothing where there is none. */
static inline void aur_mark_begin(const struct aur_backend *backend, const char *name)
{
	if (backend->marks)
		backend->marks->begin(name);
}

static inline void aur_mark_end(const struct aur_backend *backend)
{
	if (backend->marks)
		backend->marks->end();
}

/* Accepts NULL and a closed one; sets *backend to NULL. */
void aur_backend_close(struct aur_backend **backend);

#endif
