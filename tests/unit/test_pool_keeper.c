/* What the pool's own thread does, and when, in still time on the fake driver. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "still_pool.h"

static void pass_ms(int64_t ms)
{
	still_time_pass_ms(ms);
	still_time_await(1);
}

/* Three that are idle. */
static struct db_pool *pool_of_three_idle(void)
{
	struct db_pool *pool = still_pool_new();
	struct db_conn *held[3];
	for (int i = 0; i < 3; i++)
		held[i] = still_borrow(pool);
	for (int i = 0; i < 3; i++)
		db_pool_return(pool, held[i]);
	fake_driver_did("open 1 (2000 ms); open 2 (2000 ms); open 3 (2000 ms); ");
	return pool;
}

/* The idle */

static void test_it_looks_twice_a_second(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(still_time_next_ns(), TICK_MS * NS_PER_MS);
		pass_ms(TICK_MS);
	}
	fake_driver_did("open 1 (2000 ms); ");
	db_pool_free(pool);
}

static void test_the_dead_are_replaced_up_to_min(void **state)
{
	(void)state;
	struct db_pool *pool = pool_of_three_idle();
	fake_conn_disturb(1);
	fake_conn_disturb(2);
	pass_ms(TICK_MS);
	fake_driver_did("close 2; close 1; ");
	assert_int_equal(still_stats(pool).discarded, 2);
	assert_int_equal(still_stats(pool).idle, 1);
	fake_conn_disturb(3);
	pass_ms(TICK_MS);
	fake_driver_did("open 4 (2000 ms); close 3; ");
	assert_int_equal(still_stats(pool).discarded, 3);
	assert_int_equal(still_stats(pool).closed, 0);
	struct db_conn *db = still_borrow(pool);
	assert_int_equal(fake_conn_number(db), 4);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_the_old_are_replaced_before_they_are_lent(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	still_time_pass_ns(STILL_RECYCLE_MS * NS_PER_MS / 10 * 11 - 1);
	still_time_await(1);
	fake_driver_did("open 1 (2000 ms); ");
	pass_ms(TICK_MS);
	fake_driver_did("open 2 (2000 ms); close 1; ");
	assert_int_equal(still_stats(pool).closed, 1);
	assert_int_equal(still_stats(pool).discarded, 0);
	db_pool_free(pool);
}

static void test_one_is_old_to_the_nanosecond(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	pass_ms(STILL_RECYCLE_MS / 10 * 11);
	fake_driver_did("open 1 (2000 ms); open 2 (2000 ms); close 1; ");
	db_pool_free(pool);
}

static void test_what_is_beyond_min_goes_after_a_minute(void **state)
{
	(void)state;
	struct db_pool *pool = pool_of_three_idle();
	pass_ms(60000);
	fake_driver_did("");
	pass_ms(TICK_MS);
	fake_driver_did("close 2; close 1; ");
	struct db_pool_stats s = still_stats(pool);
	assert_int_equal(s.size, 1);
	assert_int_equal(s.idle, 1);
	assert_int_equal(s.closed, 2);
	assert_int_equal(s.discarded, 0);
	struct db_conn *db = still_borrow(pool);
	assert_int_equal(fake_conn_number(db), 3);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_a_minute_is_over_to_the_nanosecond(void **state)
{
	(void)state;
	struct db_pool *pool = pool_of_three_idle();
	still_time_pass_ns(60 * NS_PER_S + 1);
	still_time_await(1);
	fake_driver_did("close 2; close 1; ");
	db_pool_free(pool);
}

static void test_what_is_used_stays(void **state)
{
	(void)state;
	struct db_pool *pool = pool_of_three_idle();
	for (int i = 0; i < 4; i++) {
		pass_ms(20000);
		db_pool_return(pool, still_borrow(pool));
	}
	pass_ms(TICK_MS);
	fake_driver_did("close 2; close 1; ");
	db_pool_free(pool);
}

/* Leaks */

static void test_a_leak_is_said_once_for_each_loan(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	for (unsigned loan = 1; loan <= 2; loan++) {
		pass_ms(STILL_LEAK_MS);
		assert_int_equal(still_stats(pool).leaks, loan - 1);
		pass_ms(TICK_MS);
		assert_int_equal(still_stats(pool).leaks, loan);
		assert_int_equal(still_logged("\"borrower\":\"/test\",\"held_ms\":120500.000"),
				 loan);
		pass_ms(TICK_MS);
		assert_int_equal(still_stats(pool).leaks, loan);
		db_pool_return(pool, db);
		db = still_borrow(pool);
	}
	pass_ms(TICK_MS);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_a_loan_leaks_from_the_nanosecond_after(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	still_time_pass_ns(STILL_LEAK_MS * NS_PER_MS + 1);
	still_time_await(1);
	assert_int_equal(still_stats(pool).leaks, 1);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_eight_leaks_are_said_in_a_round(void **state)
{
	(void)state;
	enum { LOANS = 9 };
	still_config.max = LOANS;
	struct db_pool *pool = still_pool_new();
	struct db_conn *held[LOANS];
	for (int i = 0; i < LOANS; i++)
		held[i] = still_borrow(pool);
	pass_ms(STILL_LEAK_MS + 1);
	assert_int_equal(still_stats(pool).leaks, 8);
	assert_int_equal(still_logged("\"event\":\"db_connection_leak\""), 8);
	pass_ms(TICK_MS);
	assert_int_equal(still_stats(pool).leaks, 9);
	assert_int_equal(still_logged("\"event\":\"db_connection_leak\""), 9);
	for (int i = 0; i < LOANS; i++)
		db_pool_return(pool, held[i]);
	db_pool_free(pool);
}

static void test_a_long_label_is_cut(void **state)
{
	(void)state;
	char label[128];
	memset(label, 'x', sizeof(label));
	label[0] = '/';
	label[sizeof(label) - 1] = '\0';
	struct db_pool *pool = still_pool_new();
	struct deadline limit = deadline_in_ms(1000);
	struct db_conn *db = NULL;
	assert_int_equal(db_pool_borrow(pool, &limit, label, &db, NULL), ERR_OK);
	pass_ms(STILL_LEAK_MS + 1);
	char expected[128];
	snprintf(expected, sizeof(expected), "\"borrower\":\"%.95s\"", label);
	assert_int_equal(still_logged(expected), 1);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

/* The database away and back */

static void test_attempts_are_further_apart_up_to_a_second(void **state)
{
	(void)state;
	static const int64_t pauses_ms[] = {100, 200, 400, 800, 1000, 1000, 1000};
	for (int outage = 0; outage < 2; outage++) {
		fake_driver_reset();
		fake_answers.connect = ERR_UNAVAILABLE;
		struct db_pool *pool = still_pool_new();
		for (unsigned i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
			assert_int_equal(fake_driver_connects(), i + 1);
			still_time_live_ns(pauses_ms[i] * NS_PER_MS - 1, 1);
			assert_int_equal(fake_driver_connects(), i + 1);
			still_time_live_ns(1, 1);
		}
		assert_int_equal(still_stats(pool).connect_failures, 8);
		db_pool_free(pool);
	}
	assert_int_equal(still_logged("\"event\":\"database_down\""), 2);
}

static void test_each_outage_begins_with_a_short_pause(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	for (int outage = 1; outage <= 2; outage++) {
		fake_conn_disturb((uint64_t)outage);
		fake_answers.connect = ERR_UNAVAILABLE;
		pass_ms(TICK_MS);
		assert_false(db_pool_available(pool));
		assert_int_equal(still_logged("\"event\":\"database_down\""), outage);
		assert_int_equal(still_time_next_ns(), 100 * NS_PER_MS);
		pass_ms(100);
		assert_int_equal(still_time_next_ns(), 200 * NS_PER_MS);
		fake_answers.connect = ERR_OK;
		pass_ms(200);
		assert_true(db_pool_available(pool));
		assert_int_equal(still_logged("\"event\":\"database_up\""), outage);
		assert_int_equal(still_stats(pool).connect_failures, 2 * outage);
	}
	assert_int_equal(still_logged("\"failures\":2"), 2);
	assert_int_equal(still_logged("\"event\":\"database_down\""), 2);
	db_pool_free(pool);
}

static void test_while_it_is_away_one_more_is_tried_to_see_it_come_back(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_answers.connect = ERR_UNAVAILABLE;
	assert_int_equal(still_borrow_fails(pool, 1000, NULL), ERR_UNAVAILABLE);
	still_time_await(1);
	fake_answers.connect = ERR_OK;
	pass_ms(100);
	assert_true(db_pool_available(pool));
	fake_driver_did("open 1 (2000 ms); no connection (1000 ms); open 2 (2000 ms); ");
	assert_int_equal(still_stats(pool).idle, 1);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_at_max_there_is_nothing_to_try(void **state)
{
	(void)state;
	still_config.min = still_config.max;
	struct db_pool *pool = still_pool_new();
	fake_driver_did("open 1 (2000 ms); open 2 (2000 ms); open 3 (2000 ms); ");
	pass_ms(TICK_MS);
	fake_driver_did("");
	assert_int_equal(still_time_next_ns(), TICK_MS * NS_PER_MS);
	db_pool_free(pool);
}

static void test_at_max_nothing_is_opened_for_who_waits(void **state)
{
	(void)state;
	still_config.max = 1;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	struct borrower b;
	borrower_start(&b, pool, 5000, 2);
	still_time_pass_ms(TICK_MS);
	still_time_await(2);
	fake_driver_did("open 1 (2000 ms); ");
	db_pool_return(pool, db);
	assert_int_equal(borrower_end(&b), ERR_OK);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_waiters_get_what_it_opens_even_while_another_opens(void **state)
{
	(void)state;
	still_config.max = 2;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_driver_hold();
	struct borrower opens;
	borrower_start(&opens, pool, 5000, 0);
	fake_driver_await_held(1);
	struct borrower waits;
	borrower_start(&waits, pool, 5000, 2);
	fake_conn_break(db);
	db_pool_return(pool, db);
	fake_driver_await_held(2);
	fake_driver_let_go();
	assert_int_equal(borrower_end(&opens), ERR_OK);
	assert_int_equal(borrower_end(&waits), ERR_OK);
	still_time_await(1);
	assert_int_equal(still_stats(pool).opened, 3);
	db_pool_return(pool, opens.db);
	db_pool_return(pool, waits.db);
	db_pool_free(pool);
}

/* What was given up and still runs on the server */

static void interrupt(struct db_pool *pool, struct db_conn *db)
{
	fake_conn_interrupt(db);
	db_pool_return(pool, db);
}

static void test_it_is_cancelled_first_and_closed_then(void **state)
{
	(void)state;
	struct db_pool *pool = pool_of_three_idle();
	struct db_conn *held[3];
	for (int i = 0; i < 3; i++)
		held[i] = still_borrow(pool);
	fake_driver_hold(); /* keeps the keeper from the graveyard until all are in it */
	interrupt(pool, held[0]);
	fake_driver_await_held(1);
	fake_conn_break(held[1]);
	db_pool_return(pool, held[1]);
	interrupt(pool, held[2]);
	fake_driver_let_go();
	still_time_await(1);
	fake_driver_did("open 4 (1000 ms); KILL CONNECTION 3 on 4 (1000 ms); close 3; "
			"open 5 (2000 ms); KILL CONNECTION 1 on 4 (1000 ms); close 1; close 2; ");
	assert_int_equal(still_stats(pool).killed, 2);
	assert_int_equal(still_stats(pool).discarded, 3);
	db_pool_free(pool);
	fake_driver_did("close 4; close 5; ");
}
static void test_one_that_has_ended_by_itself_needs_no_second_try(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_answers.command = ERR_INTERNAL; /* unknown thread id */
	interrupt(pool, db);
	still_time_await(1);
	fake_driver_did("open 1 (2000 ms); open 2 (1000 ms); KILL CONNECTION 1 on 2 (1000 ms); "
			"close 1; open 3 (2000 ms); ");
	assert_int_equal(still_stats(pool).killed, 1);
	db_pool_free(pool);
}

static void test_a_refused_cancelling_is_tried_again_every_50_ms(void **state)
{
	(void)state;
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_answers.command = ERR_OVERLOADED;
	interrupt(pool, db);
	still_time_await(1);
	assert_int_equal(still_time_next_ns(), 50 * NS_PER_MS);
	pass_ms(50);
	fake_driver_did("open 1 (2000 ms); open 2 (1000 ms); KILL CONNECTION 1 on 2 (1000 ms); "
			"KILL CONNECTION 1 on 2 (1000 ms); ");
	assert_int_equal(still_stats(pool).killed, 0);
	fake_answers.command = ERR_OK;
	pass_ms(50);
	fake_driver_did("KILL CONNECTION 1 on 2 (1000 ms); close 1; ");
	assert_int_equal(still_stats(pool).killed, 1);
	assert_int_equal(still_time_next_ns(), TICK_MS * NS_PER_MS);
	assert_int_equal(still_logged("\"event\":\"db_cancel_failed\""), 0);
	db_pool_free(pool);
}

static void test_a_new_connection_cancels_when_the_spare_one_broke(void **state)
{
	(void)state;
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_answers.command = ERR_INTERNAL;
	fake_answers.command_breaks = true;
	interrupt(pool, db);
	still_time_await(1);
	assert_int_equal(still_stats(pool).killed, 0);
	fake_answers = (struct fake_answers){.connect = ERR_OK};
	pass_ms(50);
	fake_driver_did("open 1 (2000 ms); open 2 (1000 ms); KILL CONNECTION 1 on 2 (1000 ms); "
			"close 2; open 3 (1000 ms); KILL CONNECTION 1 on 3 (1000 ms); close 1; ");
	db = still_borrow(pool);
	fake_conn_disturb(3);
	interrupt(pool, db);
	still_time_await(1);
	fake_driver_did("open 4 (2000 ms); close 3; open 5 (1000 ms); "
			"KILL CONNECTION 4 on 5 (1000 ms); close 4; ");
	db_pool_free(pool);
}

/* An interrupted connection that can't be cancelled, 15 s after its deadline and so much more. */
static struct db_pool *pool_that_can_not_cancel(int64_t after_ns)
{
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	struct deadline limit = deadline_in_ms(1000);
	struct db_conn *db;
	assert_int_equal(db_pool_borrow(pool, &limit, "/test", &db, NULL), ERR_OK);
	pass_ms(1000);
	fake_answers.connect = ERR_UNAVAILABLE;
	interrupt(pool, db);
	still_time_await(1);
	fake_driver_did("open 1 (1000 ms); no connection (1000 ms); ");
	still_time_pass_ns(15 * NS_PER_S + after_ns);
	still_time_await(1);
	return pool;
}

static void test_for_15_s_it_tries_to_cancel(void **state)
{
	(void)state;
	struct db_pool *pool = pool_that_can_not_cancel(0);
	fake_driver_did("no connection (1000 ms); ");
	assert_int_equal(still_logged("\"event\":\"db_cancel_failed\""), 0);
	db_pool_free(pool);
	fake_driver_did("no connection (1000 ms); close 1; ");
	assert_int_equal(still_logged("\"event\":\"db_cancel_failed\""), 1);
}

static void test_after_15_s_it_gives_up(void **state)
{
	(void)state;
	struct db_pool *pool = pool_that_can_not_cancel(1);
	fake_driver_did("no connection (1000 ms); close 1; ");
	assert_int_equal(still_logged("\"event\":\"db_cancel_failed\""), 1);
	assert_int_equal(still_logged("\"connection\":1"), 1);
	assert_int_equal(still_stats(pool).killed, 0);
	db_pool_free(pool);
}

/* A pool whose keeper has a spare connection, 2, since now. */
static struct db_pool *pool_with_spare(void)
{
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	interrupt(pool, still_borrow(pool));
	still_time_await(1);
	fake_driver_did("open 1 (2000 ms); open 2 (1000 ms); KILL CONNECTION 1 on 2 (1000 ms); "
			"close 1; ");
	return pool;
}

static void test_the_spare_connection_is_kept_for_a_minute(void **state)
{
	(void)state;
	struct db_pool *pool = pool_with_spare();
	pass_ms(60000);
	fake_driver_did("");
	pass_ms(TICK_MS);
	fake_driver_did("close 2; ");
	db_pool_free(pool);
	fake_driver_did("");
}

static void test_the_minute_of_the_spare_one_is_over_to_the_nanosecond(void **state)
{
	(void)state;
	struct db_pool *pool = pool_with_spare();
	still_time_pass_ns(60 * NS_PER_S + 1);
	still_time_await(1);
	fake_driver_did("close 2; ");
	db_pool_free(pool);
}

/* The end */

static void test_the_end_closes_the_spare_one_too(void **state)
{
	(void)state;
	struct db_pool *pool = pool_with_spare();
	db_pool_free(pool);
	fake_driver_did("close 2; ");
}

static void test_the_end_waits_for_what_the_keeper_opens(void **state)
{
	(void)state;
	for (int fails = 0; fails <= 1; fails++) {
		fake_driver_reset();
		struct db_pool *pool = still_pool_new();
		fake_conn_disturb(1);
		fake_driver_hold();
		still_time_pass_ms(TICK_MS);
		fake_driver_await_held(1);
		struct closer c;
		closer_start(&c, pool);
		still_time_await(1);
		fake_answers.connect = fails ? ERR_UNAVAILABLE : ERR_OK;
		fake_driver_let_go();
		closer_end(&c);
		fake_driver_did(fails ? "open 1 (2000 ms); no connection (2000 ms); close 1; "
				      : "open 1 (2000 ms); open 2 (2000 ms); close 1; close 2; ");
	}
}

static void test_the_end_gives_an_opening_its_time(void **state)
{
	(void)state;
	still_config.wait_ms = 100;
	struct db_pool *pool = still_pool_new();
	fake_conn_disturb(1);
	fake_driver_hold();
	still_time_pass_ms(TICK_MS);
	fake_driver_await_held(1);
	struct closer c;
	closer_start(&c, pool);
	still_time_await(1);
	assert_int_equal(still_time_next_ns(), (STILL_CONNECT_MS + 100) * NS_PER_MS);
	still_time_pass_ms(STILL_CONNECT_MS);
	still_time_await(1);
	fake_answers.connect = ERR_TIMEOUT;
	fake_driver_let_go();
	closer_end(&c);
}

/* db_pool_free() has begun in another thread.  With nothing lent it has told the keeper to end. */
static void await_closing(struct db_pool *pool)
{
	for (int i = 0; i < 10000; i++) {
		if (still_borrow_fails(pool, 0, NULL) == ERR_UNAVAILABLE)
			return;
		usleep(1000);
	}
	fail_msg("the pool does not close");
}

static void test_the_end_comes_while_the_keeper_cancels(void **state)
{
	(void)state;
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_driver_hold();
	interrupt(pool, db);
	fake_driver_await_held(1);
	struct closer c;
	closer_start(&c, pool);
	await_closing(pool);
	fake_driver_let_go();
	closer_end(&c);
	fake_driver_did("open 1 (2000 ms); open 2 (1000 ms); KILL CONNECTION 1 on 2 (1000 ms); "
			"close 1; close 2; ");
}

#define TEST(name) cmocka_unit_test_setup(name, still_pool_set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_it_looks_twice_a_second),
	    TEST(test_the_dead_are_replaced_up_to_min),
	    TEST(test_the_old_are_replaced_before_they_are_lent),
	    TEST(test_one_is_old_to_the_nanosecond),
	    TEST(test_what_is_beyond_min_goes_after_a_minute),
	    TEST(test_a_minute_is_over_to_the_nanosecond),
	    TEST(test_what_is_used_stays),
	    TEST(test_a_leak_is_said_once_for_each_loan),
	    TEST(test_a_loan_leaks_from_the_nanosecond_after),
	    TEST(test_eight_leaks_are_said_in_a_round),
	    TEST(test_a_long_label_is_cut),
	    TEST(test_attempts_are_further_apart_up_to_a_second),
	    TEST(test_each_outage_begins_with_a_short_pause),
	    TEST(test_while_it_is_away_one_more_is_tried_to_see_it_come_back),
	    TEST(test_at_max_there_is_nothing_to_try),
	    TEST(test_at_max_nothing_is_opened_for_who_waits),
	    TEST(test_waiters_get_what_it_opens_even_while_another_opens),
	    TEST(test_it_is_cancelled_first_and_closed_then),
	    TEST(test_one_that_has_ended_by_itself_needs_no_second_try),
	    TEST(test_a_refused_cancelling_is_tried_again_every_50_ms),
	    TEST(test_a_new_connection_cancels_when_the_spare_one_broke),
	    TEST(test_for_15_s_it_tries_to_cancel),
	    TEST(test_after_15_s_it_gives_up),
	    TEST(test_the_spare_connection_is_kept_for_a_minute),
	    TEST(test_the_minute_of_the_spare_one_is_over_to_the_nanosecond),
	    TEST(test_the_end_closes_the_spare_one_too),
	    TEST(test_the_end_waits_for_what_the_keeper_opens),
	    TEST(test_the_end_gives_an_opening_its_time),
	    TEST(test_the_end_comes_while_the_keeper_cancels),
	};
	return cmocka_run_group_tests(tests, NULL, still_pool_tear_down);
}
