#include "attention_cudnn_graph.cuh"
#include "libraries.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

extern "C" {
#include <cmocka.h>
}

/* The graphs of attention for a GPU that is described by a file: that cuDNN accepts them and knows engines for them.
 * Whether the engines compute what they should only a GPU shows. */

enum { SKIPPED = 77, JSON_BYTES = 8192 };

static struct aur_cudnn_device h200;

static int describe_device(void **state)
{
	(void)state;
	static char text[JSON_BYTES];
	FILE *file = fopen(H200_JSON, "r");
	assert_non_null(file);
	const size_t bytes = fread(text, 1, sizeof text, file);
	(void)fclose(file);
	assert_in_range(bytes, 1, sizeof text - 1);
	assert_int_equal(
		cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &h200.properties), CUDNN_STATUS_SUCCESS);
	assert_int_equal(cudnnBackendSetAttribute(h200.properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
						 CUDNN_TYPE_CHAR, static_cast<int64_t>(bytes), text),
		CUDNN_STATUS_SUCCESS);
	assert_int_equal(cudnnBackendFinalize(h200.properties), CUDNN_STATUS_SUCCESS);
	return 0;
}

static int forget_device(void **state)
{
	(void)state;
	return cudnnBackendDestroyDescriptor(h200.properties) == CUDNN_STATUS_SUCCESS ? 0 : -1;
}

/* GPT-2's, positions that no tile divides, and the largest and an odd head size. */
static const struct aur_cudnn_attention_shape shapes[] = {
	{16, 1024, 12, 64}, {2, 250, 12, 64}, {4, 256, 6, 128}, {3, 65, 5, 40}, {1, 1024, 4, 8}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

enum pass { FORWARD, BACKWARD, BACKWARD_BY_SUMS, PASSES };

static struct aur_cudnn_graph graph_of(const struct aur_cudnn_attention_shape *shape, int pass)
{
	struct aur_cudnn_graph graph = {};
	if (pass == FORWARD)
		aur_cudnn_attention_forward_graph(&graph, shape);
	else
		aur_cudnn_attention_backward_graph(&graph, shape, pass == BACKWARD_BY_SUMS);
	aur_cudnn_graph_finish(&graph, &h200);
	return graph;
}

static void graphs_are_accepted(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES * PASSES; i++) {
		struct aur_cudnn_graph graph = graph_of(&shapes[i / PASSES], i % PASSES);
		if (graph.status != CUDNN_STATUS_SUCCESS)
			fail_msg(
				"shape %d, pass %d: %s: %s", i / PASSES, i % PASSES, graph.failed, cudnnGetErrorString(graph.status));
		aur_cudnn_graph_free(&graph);
	}
}

/* The first failure must be kept: what comes after it is made of descriptors that are not there. */
static void a_graph_of_an_impossible_shape_says_where_it_failed(void **state)
{
	(void)state;
	const struct aur_cudnn_attention_shape impossible = {1, -1, 1, 64};
	struct aur_cudnn_graph graph = graph_of(&impossible, FORWARD);
	assert_int_not_equal(graph.status, CUDNN_STATUS_SUCCESS);
	assert_string_equal(graph.failed, "a tensor");
	aur_cudnn_graph_free(&graph);
	assert_int_equal(graph.n_owned, 0);
}

static void engines_that_give_equal_bits_are_known_for_each(void **state)
{
	(void)state;
	if (!dlopen("libcuda.so.1", RTLD_NOW)) {
		print_message("SKIP: cuDNN suggests engines only where there is a driver or the toolkit's stub of one\n");
		skip();
	}
	for (int i = 0; i < SHAPES * PASSES; i++) {
		aur_cudnn_descriptor engines[AUR_CUDNN_ENGINES];
		struct aur_cudnn_graph graph = graph_of(&shapes[i / PASSES], i % PASSES);
		const int count = aur_cudnn_graph_engines(&graph, &h200, 1, engines);
		if (count == 0)
			fail_msg("shape %d, pass %d: no engine", i / PASSES, i % PASSES);
		aur_cudnn_graph_free(&graph);
	}
}

int main(void)
{
	char why[256] = "";
	if (!aur_cudnn_open(why, sizeof why)) {
		printf("SKIP: cuDNN cannot be opened: %s\n", why);
		return SKIPPED;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(graphs_are_accepted),
		cmocka_unit_test(a_graph_of_an_impossible_shape_says_where_it_failed),
		cmocka_unit_test(engines_that_give_equal_bits_are_known_for_each),
	};
	return cmocka_run_group_tests_name("graphs of cuDNN's attention", tests, describe_device, forget_device);
}
