/* What the pool lends, to whom and when, in still time on the fake driver. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "still_pool.h"

static struct errmsg why;

static int set_up(void **state)
{
	why.text[0] = '\0';
	return still_pool_set_up(state);
}

/* Opening, and what is kept */

static void test_min_are_opened_before_the_first_borrower(void **state)
{
	(void)state;
	still_config.min = 2;
	struct db_pool *pool = still_pool_new();
	fake_driver_did("open 1 (2000 ms); open 2 (2000 ms); ");
	struct db_pool_stats s = still_stats(pool);
	assert_int_equal(s.size, 2);
	assert_int_equal(s.idle, 2);
	assert_int_equal(s.in_use, 0);
	assert_int_equal(s.opened, 2);
	assert_true(s.available);
	db_pool_free(pool);
	fake_driver_did("close 2; close 1; ");
}

static void test_min_share_one_time_limit(void **state)
{
	(void)state;
	still_config.min = 2;
	fake_answers.connect_takes_ms = 1500;
	struct db_pool *pool = still_pool_new();
	fake_driver_did("open 1 (2000 ms); open 2 (500 ms); ");
	db_pool_free(pool);
}

static void test_a_start_without_a_database_is_left_to_the_keeper(void **state)
{
	(void)state;
	still_config.min = 2;
	fake_answers.connect = ERR_UNAVAILABLE;
	struct db_pool *pool = still_pool_new();
	fake_driver_did("no connection (2000 ms); ");
	assert_false(db_pool_available(pool));
	struct db_pool_stats s = still_stats(pool);
	assert_false(s.available);
	assert_int_equal(s.size, 0);
	assert_int_equal(s.connect_failures, 1);
	assert_int_equal(still_logged("\"event\":\"database_down\""), 1);
	fake_answers.connect = ERR_OK;
	still_time_pass_ms(100);
	still_time_await(1);
	fake_driver_did("open 1 (2000 ms); open 2 (2000 ms); ");
	assert_true(db_pool_available(pool));
	db_pool_free(pool);
}

static void test_the_settings_are_logged(void **state)
{
	(void)state;
	still_config.wait_ms = 1001;
	still_config.recycle_ms = 1002;
	still_config.validate_ms = 1003;
	still_config.connect_timeout_ms = 1004;
	struct db_pool *pool = still_pool_new();
	assert_int_equal(still_logged("\"event\":\"db_pool\""), 1);
	assert_int_equal(still_logged("\"min\":1,\"max\":3,\"wait_ms\":1001.000,"
				      "\"recycle_ms\":1002.000,\"validate_ms\":1003.000,"
				      "\"connect_timeout_ms\":1004.000"),
			 1);
	db_pool_free(pool);
}

static void test_the_warmest_is_lent_again(void **state)
{
	(void)state;
	still_config.min = 2;
	struct db_pool *pool = still_pool_new();
	for (int i = 0; i < 3; i++) {
		struct db_conn *db = still_borrow(pool);
		assert_int_equal(fake_conn_number(db), 2);
		db_pool_return(pool, db);
	}
	assert_int_equal(still_stats(pool).waits, 0);
	db_pool_free(pool);
	fake_driver_did("open 1 (2000 ms); open 2 (2000 ms); close 2; close 1; ");
}

static void test_a_borrower_opens_what_is_missing_up_to_max(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *held[3];
	for (unsigned i = 0; i < 3; i++) {
		held[i] = still_borrow(pool);
		assert_int_equal(fake_conn_number(held[i]), i + 1);
	}
	fake_driver_did("open 1 (2000 ms); open 2 (2000 ms); open 3 (2000 ms); ");
	struct db_pool_stats s = still_stats(pool);
	assert_int_equal(s.size, 3);
	assert_int_equal(s.in_use, 3);
	struct borrower b;
	borrower_start(&b, pool, 1000, 2);
	db_pool_return(pool, held[1]);
	assert_int_equal(borrower_end(&b), ERR_OK);
	assert_ptr_equal(b.db, held[1]);
	fake_driver_did("");
	for (unsigned i = 0; i < 3; i++)
		db_pool_return(pool, held[i]);
	assert_int_equal(still_stats(pool).idle, 3);
	db_pool_free(pool);
}

static void test_opening_has_no_more_time_than_its_borrower(void **state)
{
	(void)state;
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	struct deadline limit = deadline_in_ms(700);
	struct db_conn *db;
	assert_int_equal(db_pool_borrow(pool, &limit, "/test", &db, &why), ERR_OK);
	fake_driver_did("open 1 (700 ms); ");
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_what_was_opened_has_the_borrowers_time_and_not_the_openings(void **state)
{
	(void)state;
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	assert_int_equal(db_ping(db, &why), ERR_OK);
	fake_driver_did("open 1 (2000 ms); ping 1 (60000 ms); ");
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_what_is_being_opened_is_not_counted_as_open(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_driver_hold();
	struct borrower b;
	borrower_start(&b, pool, 1000, 0);
	fake_driver_await_held(1);
	db_pool_return(pool, db);
	struct db_pool_stats s = still_stats(pool);
	assert_int_equal(s.size, 1);
	assert_int_equal(s.idle, 1);
	fake_driver_let_go();
	assert_int_equal(borrower_end(&b), ERR_OK);
	assert_int_equal(still_stats(pool).size, 2);
	db_pool_return(pool, b.db);
	db_pool_free(pool);
}

/* What is lent is good */

static void test_a_connection_is_asked_only_after_it_idled_for_long(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	fake_driver_did("open 1 (2000 ms); ");
	still_time_pass_ms(STILL_VALIDATE_MS);
	still_time_await(1);
	db_pool_return(pool, still_borrow(pool));
	fake_driver_did("");
	still_time_pass_ns(STILL_VALIDATE_MS * NS_PER_MS + 1);
	still_time_await(1);
	db_pool_return(pool, still_borrow(pool));
	fake_driver_did("ping 1 (2000 ms); ");
	assert_int_equal(still_stats(pool).discarded, 0);
	db_pool_free(pool);
}

static void test_those_that_do_not_answer_are_not_lent(void **state)
{
	(void)state;
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	struct db_conn *held[2] = {still_borrow(pool), still_borrow(pool)};
	for (int i = 0; i < 2; i++)
		db_pool_return(pool, held[i]);
	still_time_pass_ms(STILL_VALIDATE_MS + 1);
	still_time_await(1);
	fake_answers.ping = ERR_UNAVAILABLE;
	struct db_conn *db = still_borrow(pool);
	assert_int_equal(fake_conn_number(db), 3);
	assert_int_equal(still_stats(pool).discarded, 2);
	assert_int_equal(still_stats(pool).closed, 0);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_one_that_says_something_unasked_is_not_lent(void **state)
{
	(void)state;
	still_config.max = 1;
	struct db_pool *pool = still_pool_new();
	fake_conn_disturb(1);
	struct db_conn *db = still_borrow(pool);
	assert_int_equal(fake_conn_number(db), 2);
	assert_int_equal(still_stats(pool).discarded, 1);
	assert_int_equal(still_stats(pool).closed, 0);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

/* Age */

/* A connection whose lifetime was chosen with these bits lives for this long. */
static void assert_lives_for(int bits, int64_t ms)
{
	fake_driver_reset();
	still_random_bits = bits;
	still_config.recycle_ms = 1000;
	struct db_pool *pool = still_pool_new();
	still_time_live_ns(ms * NS_PER_MS - 1, 1);
	db_pool_return(pool, still_borrow(pool));
	fake_driver_did("open 1 (2000 ms); ");
	still_time_pass_ns(1);
	struct db_conn *db = still_borrow(pool);
	assert_int_equal(fake_conn_number(db), 2);
	assert_int_equal(still_stats(pool).closed, 1);
	assert_int_equal(still_stats(pool).discarded, 0);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_lifetimes_are_spread_over_a_fifth(void **state)
{
	(void)state;
	assert_lives_for(0, 900);
	assert_lives_for(UINT16_MAX / 5, 940);
	assert_lives_for(UINT16_MAX, 1100);
}

static void test_without_random_numbers_the_lifetime_is_the_middle(void **state)
{
	(void)state;
	assert_lives_for(-1, 999);
}

static void test_one_that_grew_old_while_lent_is_closed_when_it_returns(void **state)
{
	(void)state;
	still_config.recycle_ms = 1000;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	still_time_live_ns(1100 * NS_PER_MS - 1, 1);
	db_pool_return(pool, db);
	assert_int_equal(still_stats(pool).idle, 1);
	db = still_borrow(pool);
	still_time_pass_ns(1);
	db_pool_return(pool, db);
	still_time_await(1);
	assert_int_equal(still_stats(pool).closed, 1);
	assert_int_equal(still_stats(pool).discarded, 0);
	fake_driver_did("open 1 (2000 ms); close 1; open 2 (2000 ms); ");
	db_pool_free(pool);
}

/* What returns */

static void test_an_open_transaction_ends_with_the_loan(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_conn_begin_transaction(1);
	db_pool_return(pool, db);
	fake_driver_did("open 1 (2000 ms); ROLLBACK on 1 (1000 ms); ");
	db_pool_return(pool, still_borrow(pool));
	fake_driver_did("");
	assert_int_equal(still_stats(pool).discarded, 0);
	db_pool_free(pool);
}

static void test_one_that_can_not_be_rolled_back_is_discarded(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_conn_begin_transaction(1);
	fake_answers.command = ERR_INTERNAL;
	db_pool_return(pool, db);
	still_time_await(1);
	fake_driver_did("open 1 (2000 ms); ROLLBACK on 1 (1000 ms); close 1; open 2 (2000 ms); ");
	assert_int_equal(still_stats(pool).discarded, 1);
	assert_int_equal(still_stats(pool).closed, 0);
	db_pool_free(pool);
}

static void test_a_broken_one_is_discarded_without_a_word(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_conn_begin_transaction(1);
	fake_conn_break(db);
	db_pool_return(pool, db);
	still_time_await(1);
	fake_driver_did("open 1 (2000 ms); close 1; open 2 (2000 ms); ");
	assert_int_equal(still_stats(pool).discarded, 1);
	assert_int_equal(still_stats(pool).closed, 0);
	db_pool_return(pool, NULL);
	db_pool_free(pool);
}

static enum err work(struct db_conn *db, void *arg, struct errmsg *reason)
{
	(void)reason;
	*(uint64_t *)arg = fake_conn_number(db);
	return ERR_NOT_FOUND;
}

static void test_a_transaction_borrows_and_returns(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct deadline limit = deadline_in_ms(1000);
	uint64_t number = 0;
	assert_int_equal(db_pool_transaction(pool, &limit, "/test", work, &number, &why),
			 ERR_NOT_FOUND);
	assert_int_equal(number, 1);
	assert_int_equal(still_stats(pool).in_use, 0);
	struct deadline past = deadline_in_ms(0);
	struct db_conn *db = still_borrow(pool);
	number = 0;
	assert_int_equal(db_pool_transaction(pool, &past, "/test", work, &number, &why),
			 ERR_TIMEOUT);
	assert_int_equal(number, 0);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

/* Waiting */

enum { QUEUE = 4 };

/* A pool of one connection, lent to *db. */
static struct db_pool *pool_of_one(struct db_conn **db)
{
	still_config.max = 1;
	struct db_pool *pool = still_pool_new();
	*db = still_borrow(pool);
	return pool;
}

static void assert_next_is(struct db_pool *pool, struct db_conn *db, struct borrower *b)
{
	db_pool_return(pool, db);
	assert_int_equal(borrower_end(b), ERR_OK);
	assert_ptr_equal(b->db, db);
}

static void test_waiters_are_served_as_they_came(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	struct borrower b[QUEUE];
	for (unsigned i = 0; i < 3; i++) {
		borrower_start(&b[i], pool, 5000, i + 2);
		assert_int_equal(still_stats(pool).waiting, i + 1);
	}
	assert_next_is(pool, db, &b[0]);
	borrower_start(&b[3], pool, 5000, 4);
	for (unsigned i = 1; i < QUEUE; i++)
		assert_next_is(pool, db, &b[i]);
	assert_int_equal(still_stats(pool).waiting, 0);
	assert_int_equal(still_stats(pool).waits, QUEUE);
	assert_int_equal(still_stats(pool).timeouts, 0);
	borrower_start(&b[0], pool, 5000, 2);
	assert_next_is(pool, db, &b[0]);
	db_pool_return(pool, db);
	assert_int_equal(still_stats(pool).idle, 1);
	db_pool_free(pool);
}

static void test_the_queue_closes_behind_those_who_leave(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	struct borrower b[QUEUE];
	borrower_start(&b[0], pool, 5000, 2);
	borrower_start(&b[1], pool, 100, 3);
	borrower_start(&b[2], pool, 5000, 4);
	still_time_pass_ms(100);
	assert_int_equal(borrower_end(&b[1]), ERR_TIMEOUT);
	borrower_start(&b[3], pool, 100, 4);
	still_time_pass_ms(100);
	assert_int_equal(borrower_end(&b[3]), ERR_TIMEOUT);
	borrower_start(&b[1], pool, 5000, 4);
	assert_next_is(pool, db, &b[0]);
	assert_next_is(pool, db, &b[2]);
	assert_next_is(pool, db, &b[1]);
	db_pool_return(pool, db);
	assert_int_equal(still_stats(pool).timeouts, 2);
	db_pool_free(pool);
}

static void test_a_waiter_has_its_own_time(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	struct borrower b;
	borrower_start(&b, pool, 400, 2);
	assert_int_equal(still_time_next_ns(), 400 * NS_PER_MS);
	still_time_pass_ns(400 * NS_PER_MS - 1);
	still_time_await(2);
	still_time_pass_ns(1);
	assert_int_equal(borrower_end(&b), ERR_TIMEOUT);
	assert_string_equal(b.why.text, "the time ran out while waiting for a database connection");
	struct db_pool_stats s = still_stats(pool);
	assert_int_equal(s.waits, 1);
	assert_int_equal(s.timeouts, 1);
	assert_int_equal(s.wait_ns, 400 * NS_PER_MS);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_the_pool_lets_nobody_wait_longer_than_its_setting(void **state)
{
	(void)state;
	struct db_conn *db;
	still_config.wait_ms = 300;
	struct db_pool *pool = pool_of_one(&db);
	struct borrower b;
	borrower_start(&b, pool, 5000, 2);
	still_time_pass_ms(300);
	assert_int_equal(borrower_end(&b), ERR_OVERLOADED);
	assert_string_equal(b.why.text, "no database connection was free in time");
	assert_int_equal(still_stats(pool).timeouts, 1);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_who_comes_too_late_does_not_wait(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	assert_int_equal(still_borrow_fails(pool, 0, &why), ERR_TIMEOUT);
	assert_string_equal(why.text, "the time ran out before the database was asked");
	assert_int_equal(still_stats(pool).waits, 0);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_the_deadline_goes_along_with_the_loan(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	struct borrower b;
	borrower_start(&b, pool, 5000, 2);
	still_time_pass_ms(100);
	still_time_await(2);
	assert_next_is(pool, db, &b);
	fake_driver_did("open 1 (2000 ms); ");
	assert_int_equal(db_ping(db, &why), ERR_OK);
	fake_driver_did("ping 1 (4900 ms); ");
	db_pool_return(pool, db);
	db_pool_free(pool);
}

/* Clients that go away */

static void test_a_waiter_looks_for_its_client_every_50_ms(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	struct deadline limit = deadline_in_ms(5000);
	limit.client_fd = pair[0];
	struct borrower b;
	borrower_start_for(&b, pool, &limit, 2);
	assert_int_equal(still_time_next_ns(), 50 * NS_PER_MS);
	still_time_pass_ms(50);
	still_time_await(2);
	close(pair[1]);
	still_time_pass_ns(50 * NS_PER_MS - 1);
	still_time_await(2);
	still_time_pass_ns(1);
	assert_int_equal(borrower_end(&b), ERR_CANCELLED);
	assert_string_equal(b.why.text, "the client went away");
	assert_int_equal(still_stats(pool).timeouts, 0);
	assert_int_equal(still_stats(pool).wait_ns, 100 * NS_PER_MS);
	close(pair[0]);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_a_waiter_with_a_client_still_ends_in_time(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	struct deadline limit = deadline_in_ms(70);
	limit.client_fd = pair[0];
	struct borrower b;
	borrower_start_for(&b, pool, &limit, 2);
	still_time_pass_ms(50);
	still_time_await(2);
	assert_int_equal(still_time_next_ns(), 20 * NS_PER_MS);
	still_time_pass_ms(20);
	assert_int_equal(borrower_end(&b), ERR_TIMEOUT);
	close(pair[0]);
	close(pair[1]);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_a_client_may_have_descriptor_0(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	int before = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(pair[0], STDIN_FILENO);
	close(pair[0]);
	struct deadline limit = deadline_in_ms(5000);
	limit.client_fd = STDIN_FILENO;
	struct borrower b;
	borrower_start_for(&b, pool, &limit, 2);
	close(pair[1]);
	still_time_pass_ms(50);
	enum err err = borrower_end(&b);
	if (before >= 0) {
		dup2(before, STDIN_FILENO);
		close(before);
	}
	assert_int_equal(err, ERR_CANCELLED);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

/* Without a database */

static void test_a_failed_opening_says_unavailable_and_is_logged_once(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_answers.connect = ERR_UNAVAILABLE;
	assert_int_equal(still_borrow_fails(pool, 1000, &why), ERR_UNAVAILABLE);
	still_time_await(1);
	fake_driver_did("open 1 (2000 ms); no connection (1000 ms); ");
	assert_int_equal(still_stats(pool).connect_failures, 1);
	assert_int_equal(still_stats(pool).size, 1);
	assert_false(db_pool_available(pool));
	assert_int_equal(still_logged("\"event\":\"database_down\""), 1);
	assert_int_equal(still_logged("\"reason\":\"the fake has no connection\""), 1);
	assert_int_equal(still_logged("\"event\":\"database_up\""), 0);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_two_failed_openings_at_once_are_one_piece_of_news(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_answers.connect = ERR_UNAVAILABLE;
	fake_driver_hold();
	struct borrower b[2];
	borrower_start(&b[0], pool, 1000, 0);
	borrower_start(&b[1], pool, 1000, 0);
	fake_driver_await_held(2);
	fake_driver_let_go();
	assert_int_equal(borrower_end(&b[0]), ERR_UNAVAILABLE);
	assert_int_equal(borrower_end(&b[1]), ERR_UNAVAILABLE);
	assert_int_equal(still_stats(pool).connect_failures, 2);
	assert_int_equal(still_logged("\"event\":\"database_down\""), 1);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_a_reason_may_be_unwanted(void **state)
{
	(void)state;
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	fake_answers.connect = ERR_UNAVAILABLE;
	assert_int_equal(still_borrow_fails(pool, 1000, NULL), ERR_UNAVAILABLE);
	assert_int_equal(still_logged("\"event\":\"database_down\""), 1);
	db_pool_free(pool);
}

/* What opening answers to a borrower with a second's time when the driver answers so. */
static enum err opening_fails(struct db_pool *pool, enum err answer, int64_t after_ms)
{
	fake_answers.connect = answer;
	fake_answers.connect_takes_ms = after_ms;
	enum err err = still_borrow_fails(pool, 3000, &why);
	fake_answers = (struct fake_answers){.connect = ERR_OK};
	return err;
}

static void test_the_borrowers_own_time_is_not_the_databases_fault(void **state)
{
	(void)state;
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	assert_int_equal(opening_fails(pool, ERR_TIMEOUT, 3000), ERR_TIMEOUT);
	assert_int_equal(opening_fails(pool, ERR_CANCELLED, 100), ERR_CANCELLED);
	assert_int_equal(opening_fails(pool, ERR_NOMEM, 100), ERR_NOMEM);
	assert_true(db_pool_available(pool));
	assert_int_equal(still_stats(pool).connect_failures, 0);
	assert_int_equal(still_logged("\"event\":\"database_down\""), 0);
	db_pool_free(pool);
}

static void test_the_pools_limit_for_opening_is_the_databases_fault(void **state)
{
	(void)state;
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	assert_int_equal(opening_fails(pool, ERR_TIMEOUT, STILL_CONNECT_MS), ERR_UNAVAILABLE);
	assert_int_equal(still_stats(pool).connect_failures, 1);
	db_pool_free(pool);
}

static void test_without_hope_nobody_waits(void **state)
{
	(void)state;
	still_config.min = 0;
	struct db_pool *pool = still_pool_new();
	fake_answers.connect = ERR_UNAVAILABLE;
	assert_int_equal(still_borrow_fails(pool, 1000, &why), ERR_UNAVAILABLE);
	still_time_await(1);
	unsigned connects = fake_driver_connects();
	assert_int_equal(still_borrow_fails(pool, 1000, &why), ERR_UNAVAILABLE);
	assert_string_equal(why.text, "the database is not available");
	assert_int_equal(fake_driver_connects(), connects);
	assert_int_equal(still_stats(pool).waits, 0);
	db_pool_free(pool);
}

/* A pool with one connection lent, that can open no other. */
static struct db_pool *pool_cut_off(struct db_conn **db)
{
	struct db_pool *pool = still_pool_new();
	*db = still_borrow(pool);
	fake_answers.connect = ERR_UNAVAILABLE;
	assert_int_equal(still_borrow_fails(pool, 1000, NULL), ERR_UNAVAILABLE);
	still_time_await(1);
	return pool;
}

static void test_without_a_database_what_is_lent_is_waited_for(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_cut_off(&db);
	struct borrower b;
	borrower_start(&b, pool, 5000, 2);
	still_time_live_ns(1000 * NS_PER_MS, 2);
	assert_next_is(pool, db, &b);
	db_pool_return(pool, db);
	assert_ptr_equal(still_borrow(pool), db);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

static void test_waiters_hear_when_the_last_connection_breaks(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_cut_off(&db);
	struct borrower b[2];
	borrower_start(&b[0], pool, 5000, 2);
	borrower_start(&b[1], pool, 5000, 3);
	fake_conn_break(db);
	db_pool_return(pool, db);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(borrower_end(&b[i]), ERR_UNAVAILABLE);
		assert_string_equal(b[i].why.text, "the database is not available");
	}
	struct db_pool_stats s = still_stats(pool);
	assert_int_equal(s.waiting, 0);
	assert_int_equal(s.timeouts, 0);
	db_pool_free(pool);
}

static void test_waiters_hear_when_the_last_opening_fails(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	struct borrower b;
	borrower_start(&b, pool, 5000, 2);
	fake_answers.connect = ERR_UNAVAILABLE;
	fake_conn_break(db);
	db_pool_return(pool, db);
	assert_int_equal(borrower_end(&b), ERR_UNAVAILABLE);
	db_pool_free(pool);
}

static void test_a_broken_one_is_replaced_for_those_who_wait(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	struct borrower b;
	borrower_start(&b, pool, 5000, 2);
	fake_conn_break(db);
	db_pool_return(pool, db);
	assert_int_equal(borrower_end(&b), ERR_OK);
	assert_int_equal(fake_conn_number(b.db), 2);
	db_pool_return(pool, b.db);
	db_pool_free(pool);
}

/* Beginning and end */

static void test_a_pool_needs_memory_and_a_thread(void **state)
{
	(void)state;
	struct db_pool *pool = NULL;
	for (unsigned i = 1; i <= 3; i++) {
		still_calloc_fails = i;
		assert_int_equal(db_pool_new(&still_config, &pool, &why), ERR_NOMEM);
		assert_null(pool);
		still_calloc_fails = 0;
	}
	fake_driver_did("");
	still_thread_fails = true;
	assert_int_equal(db_pool_new(&still_config, &pool, &why), ERR_IO);
	assert_null(pool);
	fake_driver_did("open 1 (2000 ms); close 1; ");
}

static void test_the_end_waits_for_what_is_lent(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *first = still_borrow(pool);
	struct db_conn *second = still_borrow(pool);
	struct closer c;
	closer_start(&c, pool);
	still_time_await(2);
	assert_int_equal(still_borrow_fails(pool, 1000, &why), ERR_UNAVAILABLE);
	assert_string_equal(why.text, "the database pool is closing");
	db_pool_return(pool, first);
	still_time_await(2);
	fake_driver_did("open 1 (2000 ms); open 2 (2000 ms); ");
	db_pool_return(pool, second);
	closer_end(&c);
	fake_driver_did("close 2; close 1; ");
}

static void test_the_end_waits_for_one_lent_and_one_being_opened(void **state)
{
	(void)state;
	struct db_pool *pool = still_pool_new();
	struct db_conn *db = still_borrow(pool);
	fake_driver_hold();
	struct borrower b;
	borrower_start(&b, pool, 1000, 0);
	fake_driver_await_held(1);
	struct closer c;
	closer_start(&c, pool);
	still_time_await(2);
	fake_driver_let_go();
	assert_int_equal(borrower_end(&b), ERR_OK);
	db_pool_return(pool, db);
	still_time_await(2);
	db_pool_return(pool, b.db);
	closer_end(&c);
}

static void test_nothing_is_opened_when_the_end_has_begun(void **state)
{
	(void)state;
	still_config.min = 2;
	struct db_pool *pool = still_pool_new();
	struct db_conn *held[2] = {still_borrow(pool), still_borrow(pool)};
	struct closer c;
	closer_start(&c, pool);
	still_time_await(2);
	fake_driver_did("open 1 (2000 ms); open 2 (2000 ms); ");
	fake_conn_break(held[0]);
	db_pool_return(pool, held[0]);
	still_time_await(2);
	fake_driver_did("close 2; ");
	db_pool_return(pool, held[1]);
	closer_end(&c);
	fake_driver_did("close 1; ");
}

static void test_the_end_refuses_those_who_wait(void **state)
{
	(void)state;
	struct db_conn *db;
	struct db_pool *pool = pool_of_one(&db);
	struct borrower b;
	borrower_start(&b, pool, 5000, 2);
	struct closer c;
	closer_start(&c, pool);
	assert_int_equal(borrower_end(&b), ERR_UNAVAILABLE);
	db_pool_return(pool, db);
	closer_end(&c);
	db_pool_free(NULL);
}

static void test_the_end_waits_for_what_is_being_opened(void **state)
{
	(void)state;
	for (int fails = 0; fails <= 1; fails++) {
		fake_driver_reset();
		still_config.min = 0;
		struct db_pool *pool = still_pool_new();
		fake_driver_hold();
		struct borrower b;
		borrower_start(&b, pool, 1000, 0);
		fake_driver_await_held(1);
		struct closer c;
		closer_start(&c, pool);
		still_time_await(2);
		enum err answer = fails ? ERR_UNAVAILABLE : ERR_OK;
		fake_answers.connect = answer;
		fake_driver_let_go();
		assert_int_equal(borrower_end(&b), answer);
		if (answer == ERR_OK)
			db_pool_return(pool, b.db);
		closer_end(&c);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_min_are_opened_before_the_first_borrower),
	    TEST(test_min_share_one_time_limit),
	    TEST(test_a_start_without_a_database_is_left_to_the_keeper),
	    TEST(test_the_settings_are_logged),
	    TEST(test_the_warmest_is_lent_again),
	    TEST(test_a_borrower_opens_what_is_missing_up_to_max),
	    TEST(test_opening_has_no_more_time_than_its_borrower),
	    TEST(test_what_was_opened_has_the_borrowers_time_and_not_the_openings),
	    TEST(test_what_is_being_opened_is_not_counted_as_open),
	    TEST(test_a_connection_is_asked_only_after_it_idled_for_long),
	    TEST(test_those_that_do_not_answer_are_not_lent),
	    TEST(test_one_that_says_something_unasked_is_not_lent),
	    TEST(test_lifetimes_are_spread_over_a_fifth),
	    TEST(test_without_random_numbers_the_lifetime_is_the_middle),
	    TEST(test_one_that_grew_old_while_lent_is_closed_when_it_returns),
	    TEST(test_an_open_transaction_ends_with_the_loan),
	    TEST(test_one_that_can_not_be_rolled_back_is_discarded),
	    TEST(test_a_broken_one_is_discarded_without_a_word),
	    TEST(test_a_transaction_borrows_and_returns),
	    TEST(test_waiters_are_served_as_they_came),
	    TEST(test_the_queue_closes_behind_those_who_leave),
	    TEST(test_a_waiter_has_its_own_time),
	    TEST(test_the_pool_lets_nobody_wait_longer_than_its_setting),
	    TEST(test_who_comes_too_late_does_not_wait),
	    TEST(test_the_deadline_goes_along_with_the_loan),
	    TEST(test_a_waiter_looks_for_its_client_every_50_ms),
	    TEST(test_a_waiter_with_a_client_still_ends_in_time),
	    TEST(test_a_client_may_have_descriptor_0),
	    TEST(test_a_failed_opening_says_unavailable_and_is_logged_once),
	    TEST(test_two_failed_openings_at_once_are_one_piece_of_news),
	    TEST(test_a_reason_may_be_unwanted),
	    TEST(test_the_borrowers_own_time_is_not_the_databases_fault),
	    TEST(test_the_pools_limit_for_opening_is_the_databases_fault),
	    TEST(test_without_hope_nobody_waits),
	    TEST(test_without_a_database_what_is_lent_is_waited_for),
	    TEST(test_waiters_hear_when_the_last_connection_breaks),
	    TEST(test_waiters_hear_when_the_last_opening_fails),
	    TEST(test_a_broken_one_is_replaced_for_those_who_wait),
	    TEST(test_a_pool_needs_memory_and_a_thread),
	    TEST(test_the_end_waits_for_what_is_lent),
	    TEST(test_the_end_waits_for_one_lent_and_one_being_opened),
	    TEST(test_nothing_is_opened_when_the_end_has_begun),
	    TEST(test_the_end_refuses_those_who_wait),
	    TEST(test_the_end_waits_for_what_is_being_opened),
	};
	return cmocka_run_group_tests(tests, NULL, still_pool_tear_down);
}
