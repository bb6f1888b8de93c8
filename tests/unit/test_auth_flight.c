/* Single flight on one thread: what a crowd makes of it is in test_auth_cache.c. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/flight.h"
#include "support.h"

/* A key for each shard. */
static struct token_key key_of(size_t shard)
{
	return (struct token_key){{shard, shard}};
}

static struct flight *lead(struct flights *all, size_t shard)
{
	const struct token_key key = key_of(shard);
	const struct deadline enough = deadline_in_ms(60000);
	struct flight *flight = NULL;
	struct flight_result result;
	assert_true(flight_join(all, &key, 1, &enough, &flight, &result));
	assert_non_null(flight);
	return flight;
}

/* Joins another's flight, but has no time to wait for its end. */
static void join_in_vain(struct flights *all, size_t shard)
{
	const struct token_key key = key_of(shard);
	const struct deadline passed = deadline_in_ms(-1);
	struct flight *flight = NULL;
	struct flight_result result = {.err = ERR_OK, .why = ERRMSG_INIT};
	assert_false(flight_join(all, &key, 1, &passed, &flight, &result));
	assert_int_equal(result.err, ERR_TIMEOUT);
	assert_string_not_equal(result.why.text, "");
	assert_null(flight);
}

static void test_every_shard_works_in_memory_that_was_used(void **state)
{
	(void)state;
	const struct flight_result landed = {.err = ERR_UNAVAILABLE};
	struct flight *flights[FLIGHT_SHARDS];
	struct flights all;
	memset(&all, 0xa5, sizeof(all));
	flights_init(&all);
	for (size_t i = 0; i < FLIGHT_SHARDS; i++)
		flights[i] = lead(&all, i);
	for (size_t i = 0; i < FLIGHT_SHARDS; i++)
		join_in_vain(&all, i);
	for (size_t i = 0; i < FLIGHT_SHARDS; i++)
		flight_land(&all, flights[i], &landed);
	flights_release(&all);
}

static void test_who_waits_no_longer_keeps_no_flight(void **state)
{
	(void)state;
	const struct flight_result landed = {.err = ERR_UNAVAILABLE};
	struct flights all;
	flights_init(&all);
	size_t before = test_heap_bytes();
	for (int i = 0; i < 1000; i++) {
		struct flight *flight = lead(&all, 0);
		join_in_vain(&all, 0);
		flight_land(&all, flight, &landed);
	}
	assert_in_range(test_heap_bytes(), 0, before + 64 * 1024);
	flights_release(&all);
}

/* Two that share a shard, and either half of their keys. */
static void test_half_a_key_is_another_flight(void **state)
{
	(void)state;
	static const struct token_key keys[] = {{{1, 1}}, {{2, 1}}, {{1, 1 + FLIGHT_SHARDS}}};
	enum { COUNT = sizeof(keys) / sizeof(keys[0]) };
	const struct flight_result landed = {.err = ERR_UNAVAILABLE};
	const struct deadline passed = deadline_in_ms(-1);
	struct flight *flights[COUNT];
	struct flights all;
	flights_init(&all);
	for (size_t i = 0; i < COUNT; i++) {
		struct flight_result result;
		assert_true(flight_join(&all, &keys[i], 1, &passed, &flights[i], &result));
	}
	for (size_t i = 0; i < COUNT; i++)
		flight_land(&all, flights[i], &landed);
	flights_release(&all);
}

/* malloc would keep some for every thread that ended one. */
static void test_a_flight_that_ended_serves_the_next(void **state)
{
	(void)state;
	const struct flight_result landed = {.err = ERR_UNAVAILABLE};
	struct flights all;
	flights_init(&all);
	struct flight *first = lead(&all, 0);
	flight_land(&all, first, &landed);
	struct flight *second = lead(&all, 0);
	assert_ptr_equal(second, first);
	flight_land(&all, second, &landed);
	flights_release(&all);
}

/* Whether the program ends itself, in a process of its own. */
static bool release_aborts(struct flights *all)
{
	const struct rlimit no_core = {0};
	int status = 0;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		close(STDERR_FILENO);
		flights_release(all);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_no_flight_is_released_before_it_has_landed(void **state)
{
	(void)state;
	const struct flight_result landed = {.err = ERR_UNAVAILABLE};
	struct flights all;
	flights_init(&all);
	assert_false(release_aborts(&all));
	for (size_t i = 0; i < FLIGHT_SHARDS; i++) {
		struct flight *flight = lead(&all, i);
		assert_true(release_aborts(&all));
		flight_land(&all, flight, &landed);
	}
	flights_release(&all);
}

static void test_nothing_beyond_the_shards_is_touched(void **state)
{
	(void)state;
	struct {
		struct flights all;
		unsigned char behind[sizeof(struct flights) / FLIGHT_SHARDS];
	} memory;
	memset(&memory, 0xa5, sizeof(memory));
	flights_init(&memory.all);
	flights_release(&memory.all);
	for (size_t i = 0; i < sizeof(memory.behind); i++)
		assert_int_equal(memory.behind[i], 0xa5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_shard_works_in_memory_that_was_used),
	    cmocka_unit_test(test_nothing_beyond_the_shards_is_touched),
	    cmocka_unit_test(test_half_a_key_is_another_flight),
	    cmocka_unit_test(test_who_waits_no_longer_keeps_no_flight),
	    cmocka_unit_test(test_a_flight_that_ended_serves_the_next),
	    cmocka_unit_test(test_no_flight_is_released_before_it_has_landed),
	};
	return cmocka_run_group_tests_name("auth_flight", tests, NULL, NULL);
}
