/* Threads that each do a whole piece of work: every member once a round, failures with their message, no thread left.
 */

#include "core/crew.h"
#include "core/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { MEMBERS = 5, ROUNDS = 200 };

struct counts {
	int done[MEMBERS], threads[MEMBERS];
	int failing; /* members that fail, a bit each */
};

static aur_status count(void *context, int member)
{
	struct counts *counts = context;
	counts->done[member]++;
	counts->threads[member] = aur_threads_now();
	if (counts->failing >> member & 1)
		return aur_fail(AUR_INPUT, "member %d cannot", member);
	return AUR_OK;
}

static struct aur_crew *crew_of(int members, int threads_each)
{
	struct aur_crew *crew = NULL;
	assert_int_equal(aur_crew_create(members, threads_each, &crew), AUR_OK);
	return crew;
}

static void every_member_works_once_a_round(void **state)
{
	(void)state;
	struct counts counts = {0};
	struct aur_crew *crew = crew_of(MEMBERS, 1);
	for (int round = 1; round <= ROUNDS; round++) {
		assert_int_equal(aur_crew_run(crew, count, &counts), AUR_OK);
		for (int i = 0; i < MEMBERS; i++)
			assert_int_equal(counts.done[i], round);
	}
	aur_crew_destroy(&crew);
	assert_null(crew);
}

/* The caller's own number of threads must stay: it runs the loops between two rounds. */
static void members_have_threads_of_their_own(void **state)
{
	(void)state;
	const int before = aur_threads_now();
	struct counts counts = {0};
	struct aur_crew *crew = crew_of(MEMBERS, 3);
	assert_int_equal(aur_crew_run(crew, count, &counts), AUR_OK);
	for (int i = 0; i < MEMBERS; i++)
		assert_int_equal(counts.threads[i], 3);
	assert_int_equal(aur_threads_now(), before);
	aur_crew_destroy(&crew);
}

static void the_first_failure_is_returned_with_its_message(void **state)
{
	(void)state;
	struct counts counts = {.failing = 1 << 2 | 1 << 4};
	struct aur_crew *crew = crew_of(MEMBERS, 1);
	assert_int_equal(aur_crew_run(crew, count, &counts), AUR_INPUT);
	assert_string_equal(aur_error_message(), "member 2 cannot");
	for (int i = 0; i < MEMBERS; i++)
		assert_int_equal(counts.done[i], 1);
	counts.failing = 0;
	assert_int_equal(aur_crew_run(crew, count, &counts), AUR_OK);
	aur_crew_destroy(&crew);
}

static void one_that_never_worked_and_none_can_be_destroyed(void **state)
{
	(void)state;
	struct aur_crew *crew = crew_of(2, 1);
	aur_crew_destroy(&crew);
	aur_crew_destroy(&crew);
	aur_crew_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_works_once_a_round),
		cmocka_unit_test(members_have_threads_of_their_own),
		cmocka_unit_test(the_first_failure_is_returned_with_its_message),
		cmocka_unit_test(one_that_never_worked_and_none_can_be_destroyed),
	};
	return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
