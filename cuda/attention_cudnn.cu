#include "attention_cudnn.cuh"

#if defined(AUR_WITH_CUDNN) && !defined(AURELIUS_EMULATED)

#include "attention_cudnn_graph.cuh"
#include "libraries.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLANS = 16, MOST_HEAD_SIZE = 128, MOST_TENSORS = 16 };

/* Memory for gradients of scores at a time; the batch is cut into slices that fit. 16 sequences of 1024 positions and
 * 12 heads take 403 MB and are 1536 tiles of 128 queries, eleven for each multiprocessor. */
static const int64_t most_score_bytes = 512 << 20;

enum pass { FORWARD, BACKWARD };

struct plan {
	struct aur_cudnn_attention_shape shape; /* of a call of ours */
	enum pass pass;
	int64_t slice;                               /* sequences of a call of cuDNN */
	aur_cudnn_descriptor engine;                 /* NULL: not served */
	size_t row_sum, query_sum, workspace, bytes; /* where they lie in scratch memory, and all */
};

struct aur_cudnn_attention {
	struct aur_cuda *cuda; /* borrowed */
	struct aur_cudnn_device device;
	int deterministic;
	float masked; /* what a score that is not seen is set to */
	int count;
	struct plan plans[PLANS];
};

static aur_status check_cudnn(cudnnStatus_t status, const char *who)
{
	if (status == CUDNN_STATUS_SUCCESS)
		return AUR_OK;
	return aur_fail(AUR_DEVICE, "%s: cuDNN: %s", who, cudnnGetErrorString(status));
}

/* Before 9.10 cuDNN's kernels take a difference of two masked scores, which infinities would make NaN. */
static float masked_score(void)
{
	return cudnnGetVersion() < 91000 ? -3.402823466e38f : -INFINITY;
}

aur_status aur_cudnn_attention_create(
	struct aur_cuda *cuda, int deterministic, struct aur_cudnn_attention **attention, char *why, size_t bytes)
{
	*attention = NULL;
	if (!aur_cudnn_open(why, bytes))
		return AUR_OK;
	struct aur_cudnn_attention *made = static_cast<struct aur_cudnn_attention *>(calloc(1, sizeof *made));
	if (!made)
		return aur_fail(AUR_MEMORY, "no memory for cuDNN's plans");
	cudnnStatus_t status = cudnnCreate(&made->device.handle);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnSetStream(made->device.handle, cuda->stream);
	made->cuda = cuda;
	made->deterministic = deterministic;
	made->masked = masked_score();
	*attention = made;
	if (status != CUDNN_STATUS_SUCCESS) {
		snprintf(why, bytes, "%s", cudnnGetErrorString(status));
		aur_cudnn_attention_destroy(attention);
	}
	return AUR_OK;
}

void aur_cudnn_attention_destroy(struct aur_cudnn_attention **attention)
{
	struct aur_cudnn_attention *of = *attention;
	if (!of)
		return;
	for (int i = 0; i < of->count; i++)
		if (of->plans[i].engine)
			(void)cudnnBackendDestroyDescriptor(of->plans[i].engine);
	if (of->device.handle)
		(void)cudnnDestroy(of->device.handle);
	free(of);
	*attention = NULL;
}

void aur_cudnn_attention_name(char *name, size_t bytes)
{
	const size_t version = cudnnGetVersion();
	snprintf(name, bytes, "cuDNN %zu.%zu.%zu", version / 10000, version / 100 % 100, version % 100);
}

static int64_t round_up(int64_t n, int64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* The most sequences, dividing the batch, whose gradients of scores fit; 0 when not even one's do. cuDNN pads them to
 * whole tiles. Its operands begin at multiples of 16 bytes, so each slice's log-sum-exps must: four fp32. */
static int64_t slice_of(const struct aur_cudnn_attention_shape *shape)
{
	const int64_t bytes = shape->n_head * round_up(shape->positions, 64) * round_up(shape->positions, 128) * 2;
	for (int64_t slice = shape->batch; slice > 0; slice--) {
		const int aligned = slice == shape->batch || slice * shape->positions * shape->n_head % 4 == 0;
		if (shape->batch % slice == 0 && slice * bytes <= most_score_bytes && aligned)
			return slice;
	}
	return 0;
}

static void lay_out(struct plan *plan, size_t workspace_bytes, int sum_queries)
{
	const struct aur_cudnn_attention_shape *shape = &plan->shape;
	const int64_t rows = plan->pass == BACKWARD ? plan->slice * shape->n_head * shape->positions : 0;
	plan->row_sum = 0;
	plan->query_sum = static_cast<size_t>(round_up(rows * 4, 256));
	plan->workspace =
		plan->query_sum + static_cast<size_t>(sum_queries ? round_up(rows * shape->head_size * 4, 256) : 0);
	plan->bytes = plan->workspace + workspace_bytes;
}

/* Whether the sums of gradients of queries have a place of their own: the fast engines add to it. */
static int sums_queries(const struct aur_cudnn_attention *attention, enum pass pass)
{
	return pass == BACKWARD && !attention->deterministic;
}

/* How many sequences a call of cuDNN takes; 0: it has no room for one. */
static int64_t slice_for(
	const struct aur_cudnn_attention *attention, const struct aur_cudnn_attention_shape *shape, enum pass pass)
{
	return pass == BACKWARD && !sums_queries(attention, pass) ? slice_of(shape) : shape->batch;
}

/* Leaves plan->engine NULL when cuDNN does not serve the shape. That an engine carries no note of being
 * non-deterministic is not enough: version 9.19 gives none to those that sum gradients of queries by atomics. */
static void make_plan(const struct aur_cudnn_attention *attention, struct plan *plan)
{
	const int sum_queries = sums_queries(attention, plan->pass);
	struct aur_cudnn_attention_shape shape = plan->shape;
	struct aur_cudnn_graph graph = {};
	aur_cudnn_descriptor engines[AUR_CUDNN_ENGINES];
	size_t workspace_bytes = 0;
	plan->slice = slice_for(attention, &shape, plan->pass);
	if (plan->slice == 0)
		return;
	shape.batch = plan->slice;
	if (plan->pass == FORWARD)
		aur_cudnn_attention_forward_graph(&graph, &shape);
	else
		aur_cudnn_attention_backward_graph(&graph, &shape, sum_queries);
	aur_cudnn_graph_finish(&graph, &attention->device);
	const int count = aur_cudnn_graph_engines(&graph, &attention->device, attention->deterministic, engines);
	if (aur_cudnn_plan_make(&attention->device, engines, count, &plan->engine, &workspace_bytes))
		lay_out(plan, workspace_bytes, sum_queries);
	aur_cudnn_graph_free(&graph);
}

/* NULL when the shape is not served. */
static const struct plan *plan_of(
	struct aur_cudnn_attention *attention, const struct aur_cudnn_attention_shape *shape, enum pass pass)
{
	if (shape->head_size % 8 != 0 || shape->head_size > MOST_HEAD_SIZE || shape->head_size == 0)
		return NULL;
	int i = 0;
	while (i < attention->count &&
		   (attention->plans[i].pass != pass || memcmp(&attention->plans[i].shape, shape, sizeof *shape) != 0))
		i++;
	if (i == PLANS)
		return NULL;
	struct plan *plan = &attention->plans[i];
	if (i == attention->count) {
		attention->count++;
		plan->shape = *shape;
		plan->pass = pass;
		make_plan(attention, plan);
	}
	return plan->engine ? plan : NULL;
}

/* A plan for the same heads and positions, whatever the batch; NULL: none was made. */
static const struct plan *plan_like(
	const struct aur_cudnn_attention *attention, const struct aur_cudnn_attention_shape *shape, enum pass pass)
{
	for (int i = 0; i < attention->count; i++) {
		const struct plan *plan = &attention->plans[i];
		struct aur_cudnn_attention_shape other = plan->shape;
		other.batch = shape->batch;
		if (plan->pass == pass && memcmp(&other, shape, sizeof other) == 0)
			return plan;
	}
	return NULL;
}

/* What a shape would take, from a plan for another batch: what cuDNN works in grows with the sequences of a call. */
static int reckon(const struct aur_cudnn_attention *attention, const struct plan *like,
	const struct aur_cudnn_attention_shape *shape, size_t *bytes)
{
	struct plan plan = *like;
	plan.shape = *shape;
	plan.slice = slice_for(attention, shape, like->pass);
	if (!like->engine || plan.slice == 0)
		return 0;
	const double workspace = static_cast<double>(like->bytes - like->workspace);
	lay_out(&plan, static_cast<size_t>(workspace * static_cast<double>(plan.slice) / static_cast<double>(like->slice)),
		sums_queries(attention, like->pass));
	*bytes = plan.bytes;
	return 1;
}

static int bytes_for(struct aur_cudnn_attention *attention, const struct aur_cudnn_attention_shape *shape,
	enum pass pass, int count_only, size_t *bytes)
{
	const struct plan *like = count_only ? plan_like(attention, shape, pass) : NULL;
	if (like)
		return reckon(attention, like, shape, bytes);
	const struct plan *plan = plan_of(attention, shape, pass);
	*bytes = plan ? plan->bytes : 0;
	return plan != NULL;
}

int aur_cudnn_attention_prepare(struct aur_cudnn_attention *attention, int64_t batch, int64_t positions, int64_t n_head,
	int64_t head_size, int training, int count_only, size_t *scratch_bytes)
{
	const struct aur_cudnn_attention_shape shape = {batch, positions, n_head, head_size};
	size_t forward = 0, backward = 0;
	if (!attention || !bytes_for(attention, &shape, FORWARD, count_only, &forward))
		return 0;
	if (training && !bytes_for(attention, &shape, BACKWARD, count_only, &backward))
		return 0;
	*scratch_bytes = backward > forward ? backward : forward;
	return 1;
}

/* Names and memory of a call's tensors, and the numbers that are passed by value. */
struct call {
	int count;
	int64_t names[MOST_TENSORS];
	void *memory[MOST_TENSORS];
	float scale, masked, one;
};

static void pass(struct call *call, enum aur_cudnn_attention_tensor name, const void *memory)
{
	call->names[call->count] = name;
	call->memory[call->count++] = const_cast<void *>(memory);
}

static void pass_packed(
	struct call *call, const enum aur_cudnn_attention_tensor names[3], const void *rows, int64_t width)
{
	const __nv_bfloat16 *first = static_cast<const __nv_bfloat16 *>(rows);
	for (int i = 0; i < 3; i++)
		pass(call, names[i], first + i * width);
}

static cudnnStatus_t fill_pack(aur_cudnn_descriptor pack, const struct call *call, void *workspace)
{
	cudnnStatus_t status =
		cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, call->count, call->names);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendSetAttribute(
			pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, call->count, call->memory);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
	return status == CUDNN_STATUS_SUCCESS ? cudnnBackendFinalize(pack) : status;
}

static aur_status execute(
	const struct aur_cudnn_attention *attention, const char *who, const struct plan *plan, struct call *call)
{
	aur_cudnn_descriptor pack = NULL;
	pass(call, AUR_CUDNN_SCALE, &call->scale);
	pass(call, AUR_CUDNN_MASKED, &call->masked);
	cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
	if (status == CUDNN_STATUS_SUCCESS)
		status = fill_pack(pack, call, attention->cuda->scratch + plan->workspace);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendExecute(attention->device.handle, plan->engine, pack);
	if (pack)
		(void)cudnnBackendDestroyDescriptor(pack);
	return check_cudnn(status, who);
}

/* The plan for these tensors, NULL when they are not served. The log-sum-exps lie in fp32, so their place may suit the
 * own kernels alone. */
static const struct plan *plan_for(struct aur_cudnn_attention *attention, const struct aur_tensor *out,
	const struct aur_tensor *lse, int64_t batch, int64_t positions, int64_t n_head, const struct aur_dropout *dropout,
	enum pass pass)
{
	if (reinterpret_cast<uintptr_t>(lse->data) % 16 != 0)
		return NULL;
	if (!attention || out->dtype != AUR_BF16 || dropout->p > 0.0f || aur_columns(out) % n_head != 0)
		return NULL;
	const struct aur_cudnn_attention_shape shape = {batch, positions, n_head, aur_columns(out) / n_head};
	const struct plan *plan = plan_of(attention, &shape, pass);
	return plan && plan->bytes <= attention->cuda->scratch_bytes ? plan : NULL;
}

static const enum aur_cudnn_attention_tensor inputs[3] = {AUR_CUDNN_Q, AUR_CUDNN_K, AUR_CUDNN_V};
static const enum aur_cudnn_attention_tensor gradients[3] = {AUR_CUDNN_D_Q, AUR_CUDNN_D_K, AUR_CUDNN_D_V};

aur_status aur_cudnn_attention_forward(
	struct aur_cudnn_attention *attention, const struct aur_attention_forward *op, int *served)
{
	const struct plan *plan =
		plan_for(attention, &op->out, &op->lse, op->batch, op->positions, op->n_head, &op->dropout, FORWARD);
	*served = plan != NULL;
	if (!plan)
		return AUR_OK;
	struct call call = {};
	call.scale = op->scale;
	call.masked = attention->masked;
	pass_packed(&call, inputs, op->qkv.data, aur_columns(&op->out));
	pass(&call, AUR_CUDNN_OUT, op->out.data);
	pass(&call, AUR_CUDNN_STATS, op->lse.data);
	return execute(attention, "attention_forward", plan, &call);
}

/* Element `index` of an activation. */
static char *element_of(const struct aur_tensor *tensor, int64_t index)
{
	return static_cast<char *>(tensor->data) + index * static_cast<int64_t>(aur_dtype_bytes(tensor->dtype));
}

/* The sequences [first, first + plan->slice). */
static aur_status run_slice(const struct aur_cudnn_attention *attention, const struct plan *plan,
	const struct aur_attention_backward *op, int64_t first)
{
	static const char who[] = "attention_backward";
	struct aur_cuda *cuda = attention->cuda;
	const int64_t width = aur_columns(&op->out), row = first * op->positions;
	struct call call = {};
	call.scale = op->scale;
	call.masked = attention->masked;
	call.one = 1.0f;
	pass_packed(&call, inputs, element_of(&op->qkv, row * 3 * width), width);
	pass_packed(&call, gradients, element_of(&op->d_qkv, row * 3 * width), width);
	pass(&call, AUR_CUDNN_OUT, element_of(&op->out, row * width));
	pass(&call, AUR_CUDNN_D_OUT, element_of(&op->d_out, row * width));
	pass(&call, AUR_CUDNN_STATS, element_of(&op->lse, row * op->n_head));
	pass(&call, AUR_CUDNN_ROW_SUM, cuda->scratch + plan->row_sum);
	pass(&call, AUR_CUDNN_ONE, &call.one);
	if (plan->workspace > plan->query_sum) {
		/* Versions from 9.6 on clear it themselves. */
		if (cudnnGetVersion() < 90600)
			AUR_TRY(aur_cuda_check(
				cudaMemsetAsync(cuda->scratch + plan->query_sum, 0, plan->workspace - plan->query_sum, cuda->stream),
				who));
		pass(&call, AUR_CUDNN_QUERY_SUM, cuda->scratch + plan->query_sum);
	}
	return execute(attention, who, plan, &call);
}

aur_status aur_cudnn_attention_backward(
	struct aur_cudnn_attention *attention, const struct aur_attention_backward *op, int *served)
{
	const struct plan *plan =
		plan_for(attention, &op->out, &op->lse, op->batch, op->positions, op->n_head, &op->dropout, BACKWARD);
	*served = plan != NULL;
	for (int64_t first = 0; plan && first < op->batch; first += plan->slice)
		AUR_TRY(run_slice(attention, plan, op, first));
	return AUR_OK;
}

#endif
