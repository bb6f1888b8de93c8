/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdlib.h>

#include "base/clock.h"
#include "metrics/latency.h"

#define NEAR(got, wanted) assert_true((got) > (wanted)-1e-9 && (got) < (wanted) + 1e-9)

static void test_nothing_took_no_time(void **state)
{
	(void)state;
	struct scoreboard_histogram h = {.sum_ns = 0};
	assert_int_equal(latency_count(&h), 0);
	NEAR(latency_mean_ms(&h), 0.0);
	NEAR(latency_quantile_ms(&h, 0.95), 0.0);
}

static void test_a_quantile_lies_within_its_bucket(void **state)
{
	(void)state;
	/* 100 up to 0.1 ms, 80 from 1 to 2.5 ms, 20 from 5 to 10 s. */
	struct scoreboard_histogram h = {
	    .buckets = {[0] = 100, [4] = 80, [15] = 20},
	    .sum_ns = 200 * NS_PER_MS,
	};
	assert_int_equal(latency_count(&h), 200);
	NEAR(latency_mean_ms(&h), 1.0);
	NEAR(latency_quantile_ms(&h, 0.25), 0.05);
	NEAR(latency_quantile_ms(&h, 0.50), 0.1);
	NEAR(latency_quantile_ms(&h, 0.70), 1.75);
	NEAR(latency_quantile_ms(&h, 0.95), 7500.0);
	NEAR(latency_quantile_ms(&h, 1.00), 10000.0);
}

static void test_one_alone_is_half_way_through_its_bucket(void **state)
{
	(void)state;
	struct scoreboard_histogram h = {.buckets = {[3] = 1}, .sum_ns = NS_PER_MS};
	NEAR(latency_mean_ms(&h), 1.0);
	NEAR(latency_quantile_ms(&h, 0.5), 0.75);
}

static void test_what_is_beyond_the_bounds_is_the_last_of_them(void **state)
{
	(void)state;
	struct scoreboard_histogram h = {.buckets = {[SCOREBOARD_BUCKETS - 1] = 1}};
	NEAR(latency_quantile_ms(&h, 0.5), 10000.0);
}

static void test_histograms_add_up(void **state)
{
	(void)state;
	enum { LAST = SCOREBOARD_BUCKETS - 1 };
	struct scoreboard_histogram sum = {.buckets = {[0] = 1}, .sum_ns = 5};
	const struct scoreboard_histogram h = {.buckets = {[0] = 2, [LAST] = 4}, .sum_ns = 7};
	latency_add(&sum, &h);
	assert_int_equal(sum.buckets[0], 3);
	assert_int_equal(sum.buckets[LAST], 4);
	assert_int_equal(sum.sum_ns, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_took_no_time),
	    cmocka_unit_test(test_a_quantile_lies_within_its_bucket),
	    cmocka_unit_test(test_one_alone_is_half_way_through_its_bucket),
	    cmocka_unit_test(test_what_is_beyond_the_bounds_is_the_last_of_them),
	    cmocka_unit_test(test_histograms_add_up),
	};
	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
