/* Stretches of host time that a profiler shows: named, one within another, and closed whatever fails. */

#include "model_helpers.h"

#include "cpu/cpu.h"

#include <string.h>

enum { POSITIONS = 8, VOCABULARY = 5, TEXT = 64 };

static char seen[TEXT];
static int depth;

static void begin(const char *name)
{
	depth++;
	strncat(seen, name, TEXT - 1 - strlen(seen));
	strncat(seen, "(", TEXT - 1 - strlen(seen));
}

static void end(void)
{
	depth--;
	strncat(seen, ")", TEXT - 1 - strlen(seen));
}

static const struct aur_backend_marks marks = {.begin = begin, .end = end};

struct rig {
	struct aur_model *model;
	struct aur_backend *backend;
	struct aur_workspace *workspace;
};

static struct rig rig_of(void)
{
	struct rig rig = {.model = model_of(bigram(VOCABULARY))};
	assert_int_equal(aur_cpu_factory.open(&rig.backend), AUR_OK);
	rig.backend->marks = &marks;
	assert_int_equal(
		aur_workspace_create(rig.model, rig.backend, 1, POSITIONS, 1, AUR_F32, &rig.workspace, NULL), AUR_OK);
	seen[0] = '\0';
	depth = 0;
	return rig;
}

static void clear_rig(struct rig *rig)
{
	aur_workspace_destroy(&rig->workspace);
	aur_backend_close(&rig->backend);
	aur_model_destroy(&rig->model);
}

static aur_status run(struct rig *rig, int32_t first_token)
{
	const int32_t tokens[POSITIONS] = {first_token, 1, 2, 3, 4, 0, 1, 2};
	float weights[64] = {0}, gradients[64] = {0};
	double loss;
	assert_true(aur_model_parameters(rig->model)->count <= 64);
	const struct aur_micro_batch batch = {
		.tokens = tokens,
		.targets = tokens,
		.batch = 1,
		.positions = POSITIONS,
		.weights = weights,
		.loss = &loss,
		.gradients = gradients,
		.gradient_scale = 1.0f,
	};
	return aur_model_run(rig->workspace, &batch);
}

static void passes_are_marked_by_name(void **state)
{
	(void)state;
	struct rig rig = rig_of();
	assert_int_equal(run(&rig, 0), AUR_OK);
	assert_string_equal(seen, "forward()backward()");
	clear_rig(&rig);
}

static void a_failure_closes_its_mark(void **state)
{
	(void)state;
	struct rig rig = rig_of();
	assert_int_not_equal(run(&rig, VOCABULARY), AUR_OK);
	assert_int_equal(depth, 0);
	assert_string_equal(seen, "forward()backward()");
	clear_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes_are_marked_by_name),
		cmocka_unit_test(a_failure_closes_its_mark),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
