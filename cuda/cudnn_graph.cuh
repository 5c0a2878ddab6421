#ifndef AUR_CUDA_CUDNN_GRAPH_CUH
#define AUR_CUDA_CUDNN_GRAPH_CUH

/* Operation graphs of cuDNN 9's backend C API, a line an operation. The first call that fails is kept in `status` and
 * those after it do nothing, so that a graph is written down without a check a line and checked once at its end. */

#include <cudnn_graph.h>
#include <stddef.h>
#include <stdint.h>

typedef cudnnBackendDescriptor_t aur_cudnn_descriptor;

/* What graphs are made for: a handle on this process's GPU, or, for tests without one, a described device. One of them
 * is NULL. */
struct aur_cudnn_device {
	cudnnHandle_t handle;
	aur_cudnn_descriptor properties;
};

enum { AUR_CUDNN_DIMENSIONS = 4, AUR_CUDNN_DESCRIPTORS = 192, AUR_CUDNN_OPERATIONS = 32 };

struct aur_cudnn_shape {
	int64_t size[AUR_CUDNN_DIMENSIONS], stride[AUR_CUDNN_DIMENSIONS];
};

struct aur_cudnn_graph {
	cudnnStatus_t status;
	const char *failed;                                /* what the first failure was about, a literal */
	aur_cudnn_descriptor owned[AUR_CUDNN_DESCRIPTORS]; /* freed by aur_cudnn_graph_free */
	int n_owned;
	aur_cudnn_descriptor operations[AUR_CUDNN_OPERATIONS];
	int n_operations;
	int64_t next_name; /* of virtual tensors */
	aur_cudnn_descriptor graph;
};

/* A tensor in memory, told at the call by `name`; one number that is passed by value; one that exists only between
 * operations. Tensors begin at multiples of 16 bytes. */
aur_cudnn_descriptor aur_cudnn_tensor(
	struct aur_cudnn_graph *graph, int64_t name, cudnnDataType_t type, const struct aur_cudnn_shape *shape);
aur_cudnn_descriptor aur_cudnn_scalar(struct aur_cudnn_graph *graph, int64_t name);
aur_cudnn_descriptor aur_cudnn_virtual(
	struct aur_cudnn_graph *graph, cudnnDataType_t type, const struct aur_cudnn_shape *shape);

/* y = mode(x, b); b NULL where the mode takes one operand. Computed in fp32. */
void aur_cudnn_pointwise(struct aur_cudnn_graph *graph, cudnnPointwiseMode_t mode, aur_cudnn_descriptor x,
	aur_cudnn_descriptor b, aur_cudnn_descriptor y);
/* y = the index of the element along `axis`; x tells the shape alone. */
void aur_cudnn_index(struct aur_cudnn_graph *graph, int64_t axis, aur_cudnn_descriptor x, aur_cudnn_descriptor y);
/* y = a >= b, a boolean. */
void aur_cudnn_at_least(
	struct aur_cudnn_graph *graph, aur_cudnn_descriptor a, aur_cudnn_descriptor b, aur_cudnn_descriptor y);
/* y = mask ? x : otherwise */
void aur_cudnn_select(struct aur_cudnn_graph *graph, aur_cudnn_descriptor x, aur_cudnn_descriptor otherwise,
	aur_cudnn_descriptor mask, aur_cudnn_descriptor y);
/* c = a b over the last two dimensions, accumulated in fp32. */
void aur_cudnn_matmul(
	struct aur_cudnn_graph *graph, aur_cudnn_descriptor a, aur_cudnn_descriptor b, aur_cudnn_descriptor c);
/* y = x reduced along the dimensions that are 1 in y. */
void aur_cudnn_reduce(
	struct aur_cudnn_graph *graph, cudnnReduceTensorOp_t how, aur_cudnn_descriptor x, aur_cudnn_descriptor y);
/* y = x, looked at with y's sizes and strides: a transpose. */
void aur_cudnn_reshape(struct aur_cudnn_graph *graph, aur_cudnn_descriptor x, aur_cudnn_descriptor y);

/* Closes the graph: `status` says whether cuDNN accepts it. */
void aur_cudnn_graph_finish(struct aur_cudnn_graph *graph, const struct aur_cudnn_device *device);
void aur_cudnn_graph_free(struct aur_cudnn_graph *graph);

/* Engines that cuDNN suggests for a finished graph, best first; with `deterministic` those alone that say of themselves
 * that they give equal bits on a rerun. Returns how many; configurations are owned by the graph. */
enum { AUR_CUDNN_ENGINES = 16 };
int aur_cudnn_graph_engines(struct aur_cudnn_graph *graph, const struct aur_cudnn_device *device, int deterministic,
	aur_cudnn_descriptor engines[AUR_CUDNN_ENGINES]);

/* Compiles a plan for the first of the engines that can. The caller destroys *plan. Returns 0, *plan NULL, when none
 * can. */
int aur_cudnn_plan_make(const struct aur_cudnn_device *device, const aur_cudnn_descriptor *engines, int count,
	aur_cudnn_descriptor *plan, size_t *workspace_bytes);

#endif
