/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "worker/codel.h"

/* Milliseconds, of a clock that the tests move. */
enum { TARGET = 200, INTERVAL = 500, TOO_OLD = 2 * TARGET, YOUNG = 115 };

struct replay {
	struct codel codel;
	int64_t now;
	unsigned refused;
};

static void start(struct replay *r)
{
	*r = (struct replay){.now = 1000000};
	codel_init(&r->codel, TARGET, INTERVAL);
}

static bool refuses(struct replay *r, int64_t delay)
{
	bool is_refused = codel_refuses(&r->codel, delay, r->now);
	r->refused += is_refused;
	return is_refused;
}

/* Takes one that waited for delay out of the queue every so often, over ms. */
static void serve(struct replay *r, int64_t ms, int64_t every, int64_t delay)
{
	for (int64_t end = r->now + ms; r->now < end;) {
		r->now += every;
		refuses(r, delay);
	}
}

/* How long a queue in which all are too old is served before the first is refused. */
static int64_t time_to_refusal(struct replay *r, int64_t every)
{
	int64_t began = r->now;
	while (r->refused == 0 && r->now < began + 100 * INTERVAL)
		serve(r, every, every, TOO_OLD + 50);
	return r->now - began;
}

static void test_the_luckiest_of_an_interval_decides(void **state)
{
	(void)state;
	struct replay r;
	start(&r);
	serve(&r, INTERVAL, 10, TOO_OLD + 100);
	assert_int_equal(r.refused, 0); /* within the first interval nothing is known yet */
	serve(&r, 10, 10, TOO_OLD + 100);
	assert_int_equal(r.refused, 1);
	assert_false(refuses(&r, TOO_OLD));
	assert_true(refuses(&r, TOO_OLD + 1));
	assert_false(refuses(&r, TARGET)); /* a lucky one … */
	serve(&r, INTERVAL - 10, 10, TOO_OLD + 100);
	assert_true(refuses(&r, TOO_OLD + 1));
	serve(&r, 10, 10, TOO_OLD + 100); /* … ends it with its interval */
	assert_false(refuses(&r, TOO_OLD + 1));
}

static void test_a_queue_that_stands_is_refused_after_an_interval(void **state)
{
	(void)state;
	struct replay r;
	start(&r);
	serve(&r, 10 * INTERVAL, 1, YOUNG);
	/* The interval that has begun knows the young ones; the next one does not. */
	assert_in_range(time_to_refusal(&r, 1), INTERVAL, 2 * INTERVAL + 2);
}

/* Gaps between two that are served count as a part of the time only, but they count. */
static void test_a_slow_service_is_relieved_too(void **state)
{
	(void)state;
	for (int64_t every = TARGET / 2; every <= INTERVAL; every += 10) {
		struct replay r;
		start(&r);
		serve(&r, 10 * INTERVAL, 1, YOUNG);
		int64_t looks = 2 * INTERVAL / (TARGET / 2) + 1;
		assert_in_range(time_to_refusal(&r, every), INTERVAL, looks * every);
	}
}

/* As measured: the disk stops, all who wait are as old as that, and the queue drains at once. */
static void test_stops_of_the_service_are_no_queue(void **state)
{
	(void)state;
	for (int64_t begun = 1; begun <= 2 * INTERVAL; begun++) {
		struct replay r;
		start(&r);
		serve(&r, 2 * INTERVAL + begun, 1, YOUNG);
		r.now += 470;
		serve(&r, 100, 1, 470 + YOUNG);
		r.now += 300;
		serve(&r, YOUNG, 1, 300 + YOUNG);
		serve(&r, 100, 1, YOUNG);
		r.now += 470;
		serve(&r, 100, 1, 470 + YOUNG);
		r.now += 420;
		serve(&r, YOUNG, 1, 420 + YOUNG);
		serve(&r, 2 * INTERVAL, 1, YOUNG);
		assert_int_equal(r.refused, 0);
	}
}

static void test_a_standstill_is_no_queue(void **state)
{
	(void)state;
	struct replay r;
	start(&r);
	serve(&r, 100 * INTERVAL, INTERVAL + 1, TOO_OLD + 1000);
	assert_int_equal(r.refused, 0);
}

static void test_after_a_pause_the_old_interval_says_nothing(void **state)
{
	(void)state;
	struct replay r;
	start(&r);
	time_to_refusal(&r, 1);
	assert_true(refuses(&r, TOO_OLD + 1));
	r.now += INTERVAL + 1;
	assert_false(refuses(&r, TOO_OLD + 1));
	r.refused = 0;
	assert_in_range(time_to_refusal(&r, 1), INTERVAL, INTERVAL + 1);
}

/* A thread may have read the clock before another one that looked first. */
static void test_a_late_look_moves_no_time(void **state)
{
	(void)state;
	struct replay r;
	start(&r);
	refuses(&r, TOO_OLD + 1);
	for (int i = 0; i < 100 * INTERVAL; i++) {
		r.now += i % 2 == 0 ? 90 : -90;
		refuses(&r, TOO_OLD + 1);
	}
	assert_int_equal(r.refused, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_luckiest_of_an_interval_decides),
	    cmocka_unit_test(test_a_queue_that_stands_is_refused_after_an_interval),
	    cmocka_unit_test(test_a_slow_service_is_relieved_too),
	    cmocka_unit_test(test_stops_of_the_service_are_no_queue),
	    cmocka_unit_test(test_a_standstill_is_no_queue),
	    cmocka_unit_test(test_after_a_pause_the_old_interval_says_nothing),
	    cmocka_unit_test(test_a_late_look_moves_no_time),
	};
	return cmocka_run_group_tests_name("codel", tests, NULL, NULL);
}
