#if defined(AUR_WITH_CUDNN) && !defined(AURELIUS_EMULATED)

#include "cudnn_graph.cuh"

/* Records the first failure; 1 while there is none. */
static int holds(struct aur_cudnn_graph *graph, cudnnStatus_t status, const char *what)
{
	if (graph->status == CUDNN_STATUS_SUCCESS && status != CUDNN_STATUS_SUCCESS) {
		graph->status = status;
		graph->failed = what;
	}
	return graph->status == CUDNN_STATUS_SUCCESS;
}

static aur_cudnn_descriptor make(struct aur_cudnn_graph *graph, cudnnBackendDescriptorType_t type)
{
	aur_cudnn_descriptor made = NULL;
	if (graph->status != CUDNN_STATUS_SUCCESS)
		return NULL;
	if (graph->n_owned == AUR_CUDNN_DESCRIPTORS) {
		holds(graph, CUDNN_STATUS_INTERNAL_ERROR, "a graph of more descriptors than it has room for");
		return NULL;
	}
	if (holds(graph, cudnnBackendCreateDescriptor(type, &made), "a new descriptor"))
		graph->owned[graph->n_owned++] = made;
	return made;
}

static void set(struct aur_cudnn_graph *graph, aur_cudnn_descriptor of, cudnnBackendAttributeName_t name,
	cudnnBackendAttributeType_t type, int64_t count, const void *value)
{
	if (graph->status == CUDNN_STATUS_SUCCESS)
		holds(graph, cudnnBackendSetAttribute(of, name, type, count, value), "an attribute");
}

static void set_descriptor(struct aur_cudnn_graph *graph, aur_cudnn_descriptor of, cudnnBackendAttributeName_t name,
	aur_cudnn_descriptor value)
{
	if (value)
		set(graph, of, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void finish(struct aur_cudnn_graph *graph, aur_cudnn_descriptor made, const char *what)
{
	if (graph->status == CUDNN_STATUS_SUCCESS)
		holds(graph, cudnnBackendFinalize(made), what);
}

static void finish_operation(struct aur_cudnn_graph *graph, aur_cudnn_descriptor operation, const char *what)
{
	finish(graph, operation, what);
	if (graph->status == CUDNN_STATUS_SUCCESS && graph->n_operations < AUR_CUDNN_OPERATIONS)
		graph->operations[graph->n_operations++] = operation;
	else
		holds(graph, CUDNN_STATUS_INTERNAL_ERROR, "a graph of more operations than it has room for");
}

enum place { IN_MEMORY, BY_VALUE, VIRTUAL };

static aur_cudnn_descriptor describe(struct aur_cudnn_graph *graph, int64_t name, cudnnDataType_t type,
	const struct aur_cudnn_shape *shape, enum place place)
{
	const int64_t alignment = 16;
	const bool yes = true;
	aur_cudnn_descriptor tensor = make(graph, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
	set(graph, tensor, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	set(graph, tensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, AUR_CUDNN_DIMENSIONS, shape->size);
	set(graph, tensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, AUR_CUDNN_DIMENSIONS, shape->stride);
	set(graph, tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &name);
	set(graph, tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
	if (place == VIRTUAL)
		set(graph, tensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &yes);
	if (place == BY_VALUE)
		set(graph, tensor, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &yes);
	finish(graph, tensor, "a tensor");
	return tensor;
}

aur_cudnn_descriptor aur_cudnn_tensor(
	struct aur_cudnn_graph *graph, int64_t name, cudnnDataType_t type, const struct aur_cudnn_shape *shape)
{
	return describe(graph, name, type, shape, IN_MEMORY);
}

aur_cudnn_descriptor aur_cudnn_scalar(struct aur_cudnn_graph *graph, int64_t name)
{
	const struct aur_cudnn_shape one = {{1, 1, 1, 1}, {1, 1, 1, 1}};
	return describe(graph, name, CUDNN_DATA_FLOAT, &one, BY_VALUE);
}

aur_cudnn_descriptor aur_cudnn_virtual(
	struct aur_cudnn_graph *graph, cudnnDataType_t type, const struct aur_cudnn_shape *shape)
{
	enum { FIRST_VIRTUAL = 1000 };
	return describe(graph, FIRST_VIRTUAL + graph->next_name++, type, shape, VIRTUAL);
}

/* Operands of a pointwise operation, NULL where there is none. */
struct operands {
	aur_cudnn_descriptor x, b, mask, y;
};

static void add_pointwise(struct aur_cudnn_graph *graph, cudnnPointwiseMode_t mode, cudnnDataType_t computed,
	const int64_t *axis, struct operands operands)
{
	aur_cudnn_descriptor what = make(graph, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
	set(graph, what, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
	set(graph, what, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &computed);
	if (axis)
		set(graph, what, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, axis);
	finish(graph, what, "a pointwise mode");
	aur_cudnn_descriptor operation = make(graph, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, operands.x);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, operands.b);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, operands.mask);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, operands.y);
	finish_operation(graph, operation, "a pointwise operation");
}

void aur_cudnn_pointwise(struct aur_cudnn_graph *graph, cudnnPointwiseMode_t mode, aur_cudnn_descriptor x,
	aur_cudnn_descriptor b, aur_cudnn_descriptor y)
{
	add_pointwise(graph, mode, CUDNN_DATA_FLOAT, NULL, {x, b, NULL, y});
}

void aur_cudnn_index(struct aur_cudnn_graph *graph, int64_t axis, aur_cudnn_descriptor x, aur_cudnn_descriptor y)
{
	add_pointwise(graph, CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_FLOAT, &axis, {x, NULL, NULL, y});
}

void aur_cudnn_at_least(
	struct aur_cudnn_graph *graph, aur_cudnn_descriptor a, aur_cudnn_descriptor b, aur_cudnn_descriptor y)
{
	add_pointwise(graph, CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN, NULL, {a, b, NULL, y});
}

void aur_cudnn_select(struct aur_cudnn_graph *graph, aur_cudnn_descriptor x, aur_cudnn_descriptor otherwise,
	aur_cudnn_descriptor mask, aur_cudnn_descriptor y)
{
	add_pointwise(graph, CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, NULL, {x, otherwise, mask, y});
}

void aur_cudnn_matmul(
	struct aur_cudnn_graph *graph, aur_cudnn_descriptor a, aur_cudnn_descriptor b, aur_cudnn_descriptor c)
{
	const cudnnDataType_t type = CUDNN_DATA_FLOAT;
	aur_cudnn_descriptor what = make(graph, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
	set(graph, what, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	finish(graph, what, "a product's type");
	aur_cudnn_descriptor operation = make(graph, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_MATMUL_DESC, what);
	finish_operation(graph, operation, "a product");
}

void aur_cudnn_reduce(
	struct aur_cudnn_graph *graph, cudnnReduceTensorOp_t how, aur_cudnn_descriptor x, aur_cudnn_descriptor y)
{
	const cudnnDataType_t type = CUDNN_DATA_FLOAT;
	aur_cudnn_descriptor what = make(graph, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
	set(graph, what, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &how);
	set(graph, what, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	finish(graph, what, "a reduction's type");
	aur_cudnn_descriptor operation = make(graph, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_REDUCTION_DESC, what);
	finish_operation(graph, operation, "a reduction");
}

void aur_cudnn_reshape(struct aur_cudnn_graph *graph, aur_cudnn_descriptor x, aur_cudnn_descriptor y)
{
	aur_cudnn_descriptor operation = make(graph, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
	set_descriptor(graph, operation, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
	finish_operation(graph, operation, "a reshape");
}

void aur_cudnn_graph_finish(struct aur_cudnn_graph *graph, const struct aur_cudnn_device *device)
{
	graph->graph = make(graph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
	if (device->handle)
		set(graph, graph->graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &device->handle);
	set(graph, graph->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, graph->n_operations,
		graph->operations);
	finish(graph, graph->graph, "the graph");
}

void aur_cudnn_graph_free(struct aur_cudnn_graph *graph)
{
	while (graph->n_owned > 0)
		(void)cudnnBackendDestroyDescriptor(graph->owned[--graph->n_owned]);
}

static int is_deterministic(struct aur_cudnn_graph *graph, aur_cudnn_descriptor configuration)
{
	cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
	int64_t count = 0;
	aur_cudnn_descriptor engine = make(graph, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
	if (!engine || cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR,
					   1, &count, &engine) != CUDNN_STATUS_SUCCESS)
		return 0;
	if (cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
			CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes) != CUDNN_STATUS_SUCCESS)
		return 0;
	for (int64_t i = 0; i < count; i++)
		if (notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)
			return 0;
	return 1;
}

int aur_cudnn_graph_engines(struct aur_cudnn_graph *graph, const struct aur_cudnn_device *device, int deterministic,
	aur_cudnn_descriptor engines[AUR_CUDNN_ENGINES])
{
	const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
	aur_cudnn_descriptor found[AUR_CUDNN_ENGINES];
	aur_cudnn_descriptor heuristic = make(graph, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
	set_descriptor(graph, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph->graph);
	set(graph, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
	set_descriptor(graph, heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device->properties);
	finish(graph, heuristic, "the choice of engines");
	for (int i = 0; i < AUR_CUDNN_ENGINES; i++)
		found[i] = make(graph, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
	int64_t count = 0;
	if (graph->status == CUDNN_STATUS_SUCCESS)
		holds(graph,
			cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
				AUR_CUDNN_ENGINES, &count, found),
			"the list of engines");
	int kept = 0;
	for (int64_t i = 0; graph->status == CUDNN_STATUS_SUCCESS && i < count && i < AUR_CUDNN_ENGINES; i++)
		if (!deterministic || is_deterministic(graph, found[i]))
			engines[kept++] = found[i];
	return graph->status == CUDNN_STATUS_SUCCESS ? kept : 0;
}

static cudnnStatus_t compile(const struct aur_cudnn_device *device, aur_cudnn_descriptor engine,
	aur_cudnn_descriptor plan, int64_t *workspace_bytes)
{
	int64_t count = 0;
	cudnnStatus_t status = cudnnBackendSetAttribute(
		plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engine);
	if (status == CUDNN_STATUS_SUCCESS && device->handle)
		status =
			cudnnBackendSetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &device->handle);
	if (status == CUDNN_STATUS_SUCCESS && device->properties)
		status = cudnnBackendSetAttribute(
			plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device->properties);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendFinalize(plan);
	if (status == CUDNN_STATUS_SUCCESS)
		status = cudnnBackendGetAttribute(
			plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, workspace_bytes);
	return status;
}

int aur_cudnn_plan_make(const struct aur_cudnn_device *device, const aur_cudnn_descriptor *engines, int count,
	aur_cudnn_descriptor *plan, size_t *workspace_bytes)
{
	*plan = NULL;
	for (int i = 0; i < count; i++) {
		int64_t bytes = 0;
		aur_cudnn_descriptor made = NULL;
		if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &made) != CUDNN_STATUS_SUCCESS)
			return 0;
		if (compile(device, engines[i], made, &bytes) == CUDNN_STATUS_SUCCESS && bytes >= 0) {
			*plan = made;
			*workspace_bytes = static_cast<size_t>(bytes);
			return 1;
		}
		(void)cudnnBackendDestroyDescriptor(made);
	}
	return 0;
}

#endif
