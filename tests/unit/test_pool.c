/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "conf/conf.h"
#include "db/pool.h"
#include "support.h"
#include "support_mariadb.h"

enum { PATIENCE_MS = 10000, SLACK_MS = 100, RECOVERY_MS = 1000 };

static struct db_pool_config config;
static struct errmsg why;

static int set_up_server(void **state)
{
	(void)state;
	test_mariadb_start();
	test_mariadb_sql("CREATE TABLE ziggie.counters (id INT PRIMARY KEY, n INT NOT NULL) "
			 "ENGINE=InnoDB");
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	test_mariadb_sql("REPLACE INTO ziggie.counters VALUES (1, 0), (2, 0)");
	config = (struct db_pool_config){
	    .server = *test_mariadb_server(),
	    .min = 1,
	    .max = 3,
	    .wait_ms = PATIENCE_MS,
	    .recycle_ms = 3600000,
	    .validate_ms = 30000,
	    .leak_ms = 30000,
	    .connect_timeout_ms = 2000,
	};
	why.text[0] = '\0';
	return 0;
}

static struct db_pool *make_pool(void)
{
	struct db_pool *pool = NULL;
	if (db_pool_new(&config, &pool, &why) != ERR_OK)
		fail_msg("%s", why.text);
	return pool;
}

static struct db_pool_stats stats(const struct db_pool *pool)
{
	struct db_pool_stats s;
	db_pool_stats(pool, &s);
	return s;
}

static int64_t now_ms(void)
{
	return clock_mono_ns() / NS_PER_MS;
}

static struct db_conn *borrow(struct db_pool *pool, int64_t ms)
{
	struct deadline limit = deadline_in_ms(ms);
	struct db_conn *db = NULL;
	enum err err = db_pool_borrow(pool, &limit, "/test", &db, &why);
	if (err != ERR_OK)
		fail_msg("%s: %s", err_name(err), why.text);
	return db;
}

static enum err borrow_fails(struct db_pool *pool, int64_t ms)
{
	struct deadline limit = deadline_in_ms(ms);
	struct db_conn *db = NULL;
	enum err err = db_pool_borrow(pool, &limit, "/test", &db, &why);
	assert_null(db);
	return err;
}

static int64_t number(struct db_conn *db, const char *sql)
{
	struct arena arena;
	arena_init(&arena, 1024, 16384);
	struct db_result r;
	enum err err = db_query(db, &arena, sql, DB_NO_BINDS, &r, &why);
	if (err != ERR_OK)
		fail_msg("%s: %s: %s", sql, err_name(err), why.text);
	int64_t value = db_col_i64(&r, 0, 0);
	arena_release(&arena);
	return value;
}

static int64_t server_id(struct db_conn *db)
{
	return number(db, "SELECT CONNECTION_ID()");
}

/* Waits until a counter that only the pool's own thread moves got there. */
#define WAIT_FOR(condition)                                                                        \
	do {                                                                                       \
		int64_t waited_from = now_ms();                                                    \
		while (!(condition)) {                                                             \
			if (now_ms() - waited_from > PATIENCE_MS)                                  \
				fail_msg("never: %s", #condition);                                 \
			usleep(5000);                                                              \
		}                                                                                  \
	} while (0)

static void assert_whole(struct db_pool *pool)
{
	struct db_conn *held[8];
	for (unsigned i = 0; i < config.max; i++) {
		held[i] = borrow(pool, PATIENCE_MS);
		assert_int_equal(number(held[i], "SELECT 1"), 1);
	}
	for (unsigned i = 0; i < config.max; i++)
		db_pool_return(pool, held[i]);
	assert_int_equal(stats(pool).in_use, 0);
	assert_int_equal(stats(pool).idle, config.max);
}

/* The server notices on its own time that a connection was closed. */
static uint64_t connections_left_within(int64_t ms)
{
	const struct deadline limit = deadline_in_ms(ms);
	for (;;) {
		uint64_t left = (uint64_t)test_mariadb_number(
		    "SELECT COUNT(*) FROM information_schema.processlist "
		    "WHERE user = 'ziggie' AND command <> 'Killed'");
		if (left == 0 || deadline_passed(&limit))
			return left;
		usleep(10000);
	}
}

static void test_min_are_open_at_the_start(void **state)
{
	(void)state;
	config.min = 2;
	struct db_pool *pool = make_pool();
	struct db_pool_stats s = stats(pool);
	assert_int_equal(s.size, 2);
	assert_int_equal(s.idle, 2);
	assert_int_equal(s.opened, 2);
	assert_true(s.available);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM information_schema.processlist "
					     "WHERE user = 'ziggie'"),
			 2);
	db_pool_free(pool);
	assert_int_equal(connections_left_within(2000), 0);
}

static void test_the_warmest_connection_is_lent_again(void **state)
{
	(void)state;
	struct db_pool *pool = make_pool();
	struct db_conn *db = borrow(pool, PATIENCE_MS);
	int64_t id = server_id(db);
	db_pool_return(pool, db);
	for (int i = 0; i < 5; i++) {
		db = borrow(pool, PATIENCE_MS);
		assert_int_equal(server_id(db), id);
		db_pool_return(pool, db);
	}
	assert_int_equal(stats(pool).opened, 1);
	db_pool_free(pool);
}

static int64_t borrowing_more_than_max(void *context)
{
	(void)context;
	struct db_pool *pool = make_pool();
	struct db_conn *held[3];
	for (int i = 0; i < 3; i++)
		held[i] = borrow(pool, PATIENCE_MS);
	int64_t began = now_ms();
	assert_int_equal(borrow_fails(pool, 200), ERR_TIMEOUT);
	int64_t took = now_ms() - began;
	struct db_pool_stats s = stats(pool);
	assert_int_equal(s.size, 3);
	assert_int_equal(s.in_use, 3);
	assert_int_equal(s.waits, 1);
	assert_int_equal(s.timeouts, 1);
	assert_in_range(s.wait_ns / (uint64_t)NS_PER_MS, 199, took);
	assert_int_equal(s.waiting, 0);
	for (int i = 0; i < 3; i++)
		db_pool_return(pool, held[i]);
	assert_whole(pool);
	db_pool_free(pool);
	return took;
}

static void test_never_more_than_max(void **state)
{
	enum { LIMIT_MS = 200 + SLACK_MS };
	assert_in_range(test_best_ms(borrowing_more_than_max, *state, LIMIT_MS), 199, LIMIT_MS);
}

static int64_t borrowing_past_the_pools_wait(void *context)
{
	(void)context;
	config.max = 1;
	config.wait_ms = 150;
	struct db_pool *pool = make_pool();
	struct db_conn *db = borrow(pool, PATIENCE_MS);
	int64_t began = now_ms();
	assert_int_equal(borrow_fails(pool, PATIENCE_MS), ERR_OVERLOADED);
	int64_t took = now_ms() - began;
	db_pool_return(pool, db);
	db_pool_free(pool);
	return took;
}

static void test_pool_wait_ends_before_a_later_deadline(void **state)
{
	enum { LIMIT_MS = 150 + SLACK_MS };
	assert_in_range(test_best_ms(borrowing_past_the_pools_wait, *state, LIMIT_MS), 149,
			LIMIT_MS);
}

struct borrower {
	struct db_pool *pool;
	pthread_t thread;
	int number;
	atomic_int *served; /* how many were served so far */
	int place;          /* its own place among them */
	enum err err;
	int client_fd;
	int64_t took_ms;
};

static void *borrow_in_turn(void *arg)
{
	struct borrower *b = arg;
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	limit.client_fd = b->client_fd;
	struct db_conn *db = NULL;
	struct errmsg reason = ERRMSG_INIT;
	int64_t began = now_ms();
	b->err = db_pool_borrow(b->pool, &limit, "/turn", &db, &reason);
	b->took_ms = now_ms() - began;
	if (b->err == ERR_OK)
		b->place = atomic_fetch_add(b->served, 1);
	db_pool_return(b->pool, db);
	return NULL;
}

static void test_waiters_are_served_in_their_order(void **state)
{
	(void)state;
	enum { WAITERS = 8 };
	config.max = 1;
	struct db_pool *pool = make_pool();
	struct db_conn *db = borrow(pool, PATIENCE_MS);
	atomic_int served = 0;
	struct borrower waiters[WAITERS];
	for (int i = 0; i < WAITERS; i++) {
		waiters[i] = (struct borrower){
		    .pool = pool, .number = i, .served = &served, .client_fd = -1};
		pthread_create(&waiters[i].thread, NULL, borrow_in_turn, &waiters[i]);
		WAIT_FOR(stats(pool).waiting == (uint64_t)i + 1);
	}
	db_pool_return(pool, db);
	for (int i = 0; i < WAITERS; i++)
		pthread_join(waiters[i].thread, NULL);
	for (int i = 0; i < WAITERS; i++) {
		assert_int_equal(waiters[i].err, ERR_OK);
		assert_int_equal(waiters[i].place, i);
	}
	db_pool_free(pool);
}

static int64_t waiter_whose_client_leaves(void *context)
{
	(void)context;
	config.max = 1;
	struct db_pool *pool = make_pool();
	struct db_conn *db = borrow(pool, PATIENCE_MS);
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	atomic_int served = 0;
	struct borrower b = {.pool = pool, .served = &served, .client_fd = pair[0]};
	pthread_create(&b.thread, NULL, borrow_in_turn, &b);
	WAIT_FOR(stats(pool).waiting == 1);
	close(pair[1]);
	pthread_join(b.thread, NULL);
	close(pair[0]);
	assert_int_equal(b.err, ERR_CANCELLED);
	assert_int_equal(stats(pool).timeouts, 0);
	db_pool_return(pool, db);
	assert_whole(pool);
	db_pool_free(pool);
	return b.took_ms;
}

static void test_a_waiter_leaves_when_its_client_does(void **state)
{
	enum { LIMIT_MS = 50 + SLACK_MS };
	assert_in_range(test_best_ms(waiter_whose_client_leaves, *state, LIMIT_MS), 0, LIMIT_MS);
}

static void test_an_old_connection_is_replaced(void **state)
{
	(void)state;
	config.recycle_ms = 100000;
	struct db_pool *pool = make_pool();
	struct db_conn *db = borrow(pool, PATIENCE_MS);
	int64_t id = server_id(db);
	db_pool_return(pool, db);
	clock_test_shift(80000 * NS_PER_MS); /* not before 90 % */
	db = borrow(pool, PATIENCE_MS);
	assert_int_equal(server_id(db), id);
	db_pool_return(pool, db);
	clock_test_shift(40000 * NS_PER_MS); /* not after 110 % */
	db = borrow(pool, PATIENCE_MS);
	assert_int_not_equal(server_id(db), id);
	db_pool_return(pool, db);
	assert_int_equal(stats(pool).closed, 1);
	assert_int_equal(stats(pool).discarded, 0);
	db_pool_free(pool);
}

static void test_recycle_ages_are_spread(void **state)
{
	(void)state;
	enum { MANY = 20 };
	config.min = config.max = MANY;
	config.recycle_ms = 100000;
	struct db_pool *pool = make_pool();
	clock_test_shift(100000 * NS_PER_MS);
	WAIT_FOR(stats(pool).closed > 0);
	usleep(700000); /* more than a round of the pool's own thread */
	assert_in_range(stats(pool).closed, 2, MANY - 2);
	db_pool_free(pool);
}

static void kill_all_of_ours(void)
{
	int64_t newest = test_mariadb_number("SELECT CAST(MAX(id) AS SIGNED) FROM"
					     " information_schema.processlist WHERE"
					     " user = 'ziggie'");
	test_mariadb_sql("KILL HARD USER ziggie@localhost");
	/* The server forgets a connection when it has closed it. */
	WAIT_FOR(test_mariadb_number("SELECT CAST(COALESCE(MIN(id), 1 << 40) AS SIGNED) FROM"
				     " information_schema.processlist WHERE user = 'ziggie'") >
		 newest);
}

static void test_a_connection_that_the_server_closed_is_not_lent(void **state)
{
	(void)state;
	struct db_pool *pool = make_pool();
	kill_all_of_ours();
	struct db_conn *db = borrow(pool, PATIENCE_MS);
	assert_int_equal(number(db, "SELECT 7"), 7);
	db_pool_return(pool, db);
	assert_int_equal(stats(pool).discarded, 1);
	db_pool_free(pool);
}

static void test_an_idle_connection_is_asked_before_use(void **state)
{
	(void)state;
	config.max = 1;
	struct db_pool *pool = make_pool();
	const char *pings = "SELECT CAST(variable_value AS SIGNED) FROM "
			    "information_schema.global_status WHERE variable_name = "
			    "'Com_admin_commands'";
	int64_t before = test_mariadb_number(pings);
	db_pool_return(pool, borrow(pool, PATIENCE_MS));
	assert_int_equal(test_mariadb_number(pings), before);
	clock_test_shift(31 * NS_PER_S);
	db_pool_return(pool, borrow(pool, PATIENCE_MS));
	assert_int_equal(test_mariadb_number(pings), before + 1);
	assert_int_equal(stats(pool).discarded, 0);
	db_pool_free(pool);
}

static void test_surplus_goes_after_a_while(void **state)
{
	(void)state;
	struct db_pool *pool = make_pool();
	assert_whole(pool);
	clock_test_shift(61 * NS_PER_S);
	WAIT_FOR(stats(pool).size == 1);
	assert_int_equal(stats(pool).closed, 2);
	db_pool_free(pool);
}

static void test_a_leak_is_reported_once_with_its_borrower(void **state)
{
	(void)state;
	char path[128];
	snprintf(path, sizeof(path), "%s/leaks", test_mariadb_dir());
	assert_int_equal(log_open("test", path, LOG_INFO, &why), ERR_OK);
	config.leak_ms = 100;
	struct db_pool *pool = make_pool();
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	struct db_conn *db;
	assert_int_equal(db_pool_borrow(pool, &limit, "/api/forgetful", &db, &why), ERR_OK);
	WAIT_FOR(stats(pool).leaks == 1);
	usleep(700000);
	assert_int_equal(stats(pool).leaks, 1);
	db_pool_return(pool, db);
	db_pool_free(pool);
	assert_int_equal(log_open("test", NULL, LOG_INFO, &why), ERR_OK);
	STRBUF_CLEANUP text = STRBUF_INIT;
	assert_int_equal(io_read_file(path, 65536, &text, &why), ERR_OK);
	assert_non_null(strstr(text.data, "\"event\":\"db_connection_leak\""));
	assert_non_null(strstr(text.data, "\"borrower\":\"/api/forgetful\""));
}

static void test_an_open_transaction_is_rolled_back(void **state)
{
	(void)state;
	config.max = 1;
	struct db_pool *pool = make_pool();
	struct db_conn *db = borrow(pool, PATIENCE_MS);
	int64_t id = server_id(db);
	assert_int_equal(db_command(db, "START TRANSACTION", &why), ERR_OK);
	assert_int_equal(db_command(db, "UPDATE counters SET n = 99", &why), ERR_OK);
	db_pool_return(pool, db);
	assert_int_equal(test_mariadb_number("SELECT COUNT(*) FROM ziggie.counters WHERE n = 99 "
					     "FOR UPDATE"),
			 0);
	db = borrow(pool, PATIENCE_MS);
	assert_int_equal(server_id(db), id);
	db_pool_return(pool, db);
	db_pool_free(pool);
}

/* A foreign session holds a row's lock while all of the pool's connections want it. */
struct stuck {
	struct db_pool *pool;
	pthread_t thread;
	struct deadline limit;
	enum err err;
	int64_t began_ms; /* when the limit was set */
	int64_t took_ms;
	bool transaction;
};

static enum err update_locked(struct db_conn *db, void *arg, struct errmsg *reason)
{
	(void)arg;
	return db_exec(db, "UPDATE counters SET n = n + 1 WHERE id = ?", DB_BINDS(db_i64(1)), NULL,
		       reason);
}

static void *get_stuck(void *arg)
{
	struct stuck *s = arg;
	struct errmsg reason = ERRMSG_INIT;
	if (s->transaction) {
		s->err =
		    db_pool_transaction(s->pool, &s->limit, "/stuck", update_locked, NULL, &reason);
	} else {
		struct db_conn *db;
		s->err = db_pool_borrow(s->pool, &s->limit, "/stuck", &db, &reason);
		if (s->err == ERR_OK) {
			s->err = update_locked(db, NULL, &reason);
			db_pool_return(s->pool, db);
		}
	}
	s->took_ms = now_ms() - s->began_ms;
	return NULL;
}

static struct db_conn *lock_the_row(void)
{
	struct db_conn *foreign = test_mariadb_connect(test_mariadb_root());
	assert_int_equal(db_command(foreign, "USE ziggie", &why), ERR_OK);
	assert_int_equal(db_command(foreign, "START TRANSACTION", &why), ERR_OK);
	assert_int_equal(db_command(foreign, "UPDATE counters SET n = 0 WHERE id = 1", &why),
			 ERR_OK);
	return foreign;
}

static void assert_nothing_runs_within(int64_t ms)
{
	int64_t began = now_ms();
	while (test_mariadb_running() > 0) {
		if (now_ms() - began > ms)
			fail_msg("statements of ours still run after %d ms", (int)ms);
		usleep(10000);
	}
}

enum { STUCK_MS = 600 };

/* Of those that got stuck, the one that took longest. */
static int64_t stuck_at_a_row_lock(void *context)
{
	(void)context;
	enum { STUCK = 6 };
	int64_t longest = 0;
	config.server.statement_ms = 0; /* nothing but our cancelling ends them */
	struct db_pool *pool = make_pool();
	struct db_conn *foreign = lock_the_row();
	/* Three hold the connections and wait for the row, three wait for a connection. */
	struct stuck stuck[STUCK];
	for (int i = 0; i < STUCK; i++) {
		stuck[i] = (struct stuck){.pool = pool,
					  .began_ms = now_ms(),
					  .limit = deadline_in_ms(STUCK_MS),
					  .transaction = i % 2 == 1};
		pthread_create(&stuck[i].thread, NULL, get_stuck, &stuck[i]);
	}
	for (int i = 0; i < STUCK; i++)
		pthread_join(stuck[i].thread, NULL);
	for (int i = 0; i < STUCK; i++) {
		assert_int_equal(stuck[i].err, ERR_TIMEOUT);
		assert_true(stuck[i].took_ms >= STUCK_MS - 50);
		longest = stuck[i].took_ms > longest ? stuck[i].took_ms : longest;
	}
	/* The lock is still held. */
	assert_nothing_runs_within(RECOVERY_MS);
	assert_whole(pool);
	struct db_pool_stats s = stats(pool);
	/* One that waited may have got a new connection in its last moment. */
	assert_in_range(s.killed, 3, STUCK);
	assert_true(s.discarded >= s.killed);
	db_close(foreign);
	assert_int_equal(test_mariadb_number("SELECT n FROM ziggie.counters WHERE id = 1"), 0);
	db_pool_free(pool);
	return longest;
}

static void test_a_row_lock_ends_at_the_deadline_and_leaves_nothing(void **state)
{
	enum { LIMIT_MS = STUCK_MS + SLACK_MS };
	assert_in_range(test_best_ms(stuck_at_a_row_lock, *state, LIMIT_MS), 0, LIMIT_MS);
}

static int64_t stuck_when_the_client_hangs_up(void *context)
{
	(void)context;
	struct db_pool *pool = make_pool();
	struct db_conn *foreign = lock_the_row();
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	struct stuck s = {.pool = pool, .limit = deadline_in_ms(PATIENCE_MS)};
	s.limit.client_fd = pair[0];
	pthread_create(&s.thread, NULL, get_stuck, &s);
	WAIT_FOR(test_mariadb_running() == 1);
	int64_t began = now_ms();
	close(pair[1]);
	pthread_join(s.thread, NULL);
	int64_t took = now_ms() - began;
	close(pair[0]);
	assert_int_equal(s.err, ERR_CANCELLED);
	assert_nothing_runs_within(RECOVERY_MS);
	db_close(foreign);
	assert_whole(pool);
	db_pool_free(pool);
	return took;
}

static void test_the_clients_hang_up_cancels(void **state)
{
	assert_in_range(test_best_ms(stuck_when_the_client_hangs_up, *state, SLACK_MS), 0,
			SLACK_MS);
}

static void test_what_was_stuck_is_cancelled_at_the_end_too(void **state)
{
	(void)state;
	struct db_pool *pool = make_pool();
	struct db_conn *foreign = lock_the_row();
	struct stuck s = {.pool = pool, .limit = deadline_in_ms(200)};
	pthread_create(&s.thread, NULL, get_stuck, &s);
	pthread_join(s.thread, NULL);
	db_pool_free(pool);
	assert_nothing_runs_within(RECOVERY_MS);
	db_close(foreign);
}

static int64_t borrowing_from_a_dead_database(void *context)
{
	struct db_pool *pool = context;
	int64_t began = now_ms();
	for (int i = 0; i < 100; i++)
		assert_int_equal(borrow_fails(pool, PATIENCE_MS), ERR_UNAVAILABLE);
	return now_ms() - began;
}

static void test_a_dead_database_is_said_at_once_and_heals(void **state)
{
	(void)state;
	config.min = 2;
	struct db_pool *pool = make_pool();
	test_mariadb_kill();
	WAIT_FOR(!db_pool_available(pool));
	assert_in_range(test_best_ms(borrowing_from_a_dead_database, pool, SLACK_MS), 0, SLACK_MS);
	assert_int_equal(stats(pool).size, 0);
	test_mariadb_revive();
	WAIT_FOR(stats(pool).idle == 2);
	assert_true(db_pool_available(pool));
	assert_whole(pool);
	db_pool_free(pool);
}

static int64_t waiting_for_a_dead_database(void *context)
{
	(void)context;
	config.max = 1;
	struct db_pool *pool = make_pool();
	struct db_conn *db = borrow(pool, PATIENCE_MS);
	atomic_int served = 0;
	struct borrower b = {.pool = pool, .served = &served, .client_fd = -1};
	pthread_create(&b.thread, NULL, borrow_in_turn, &b);
	WAIT_FOR(stats(pool).waiting == 1);
	test_mariadb_kill();
	int64_t began = now_ms();
	assert_int_equal(db_ping(db, &why), ERR_UNAVAILABLE);
	db_pool_return(pool, db);
	pthread_join(b.thread, NULL);
	int64_t took = now_ms() - began;
	test_mariadb_revive();
	assert_int_equal(b.err, ERR_UNAVAILABLE);
	db_pool_free(pool);
	return took;
}

static void test_waiters_hear_of_a_dead_database(void **state)
{
	assert_in_range(test_best_ms(waiting_for_a_dead_database, *state, SLACK_MS), 0, SLACK_MS);
}

static void test_a_quick_restart_is_not_even_noticed(void **state)
{
	(void)state;
	struct db_pool *pool = make_pool();
	assert_whole(pool);
	test_mariadb_kill();
	test_mariadb_revive();
	WAIT_FOR(db_pool_available(pool));
	assert_whole(pool);
	db_pool_free(pool);
}

static int64_t starting_a_pool(void *context)
{
	(void)context;
	int64_t began = now_ms();
	struct db_pool *pool = make_pool();
	int64_t took = now_ms() - began;
	db_pool_free(pool);
	return took;
}

static void test_a_pool_starts_without_a_database(void **state)
{
	(void)state;
	test_mariadb_kill();
	assert_in_range(test_best_ms(starting_a_pool, NULL, SLACK_MS), 0, SLACK_MS);
	struct db_pool *pool = make_pool();
	assert_false(db_pool_available(pool));
	assert_int_equal(borrow_fails(pool, PATIENCE_MS), ERR_UNAVAILABLE);
	test_mariadb_revive();
	WAIT_FOR(stats(pool).idle == 1);
	assert_whole(pool);
	db_pool_free(pool);
}

/* By how much more than they may the two borrowers waited. */
static int64_t borrowing_from_a_frozen_database(void *context)
{
	(void)context;
	config.connect_timeout_ms = 300;
	struct db_pool *pool = make_pool();
	struct db_conn *db = borrow(pool, 400);
	test_mariadb_freeze();
	struct arena arena;
	arena_init(&arena, 1024, 16384);
	struct db_result r;
	enum err err = db_query(db, &arena, "SELECT 1", DB_NO_BINDS, &r, &why);
	db_pool_return(pool, db);
	int64_t began = now_ms();
	enum err second = borrow_fails(pool, PATIENCE_MS);
	int64_t second_took = now_ms() - began;
	began = now_ms();
	enum err third = borrow_fails(pool, PATIENCE_MS);
	int64_t third_took = now_ms() - began;
	test_mariadb_thaw();
	arena_release(&arena);
	assert_int_equal(err, ERR_TIMEOUT);
	assert_int_equal(second, ERR_UNAVAILABLE);
	assert_int_equal(third, ERR_UNAVAILABLE);
	WAIT_FOR(db_pool_available(pool));
	assert_whole(pool);
	db_pool_free(pool);
	int64_t over = second_took - 2 * 300 - SLACK_MS, third_over = third_took - SLACK_MS / 2;
	return third_over > over ? third_over : over;
}

static void test_a_frozen_database_costs_each_borrower_no_more_than_its_time(void **state)
{
	assert_true(test_best_ms(borrowing_from_a_frozen_database, *state, 0) <= 0);
}

static void test_too_many_connections_let_waiters_have_what_there_is(void **state)
{
	(void)state;
	struct db_pool *pool = make_pool();
	struct db_conn *db = borrow(pool, PATIENCE_MS);
	test_mariadb_sql("SET GLOBAL max_connections = 10");
	struct db_conn *others[10] = {NULL};
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	for (int i = 0; i < 10; i++)
		if (db_connect(test_mariadb_server(), &limit, &others[i], NULL) != ERR_OK)
			break;
	assert_int_equal(borrow_fails(pool, PATIENCE_MS), ERR_UNAVAILABLE);
	atomic_int served = 0;
	struct borrower b = {.pool = pool, .served = &served, .client_fd = -1};
	pthread_create(&b.thread, NULL, borrow_in_turn, &b);
	WAIT_FOR(stats(pool).waiting == 1);
	db_pool_return(pool, db);
	pthread_join(b.thread, NULL);
	for (int i = 0; i < 10; i++)
		db_close(others[i]);
	test_mariadb_sql("SET GLOBAL max_connections = 100");
	assert_int_equal(b.err, ERR_OK);
	WAIT_FOR(db_pool_available(pool));
	assert_whole(pool);
	db_pool_free(pool);
}

struct worker {
	struct db_pool *pool;
	pthread_t thread;
	unsigned seed;
	int done;
	int timeouts;
	enum err err;
	struct errmsg why;
};

static enum err count_up(struct db_conn *db, void *arg, struct errmsg *reason)
{
	unsigned first = *(unsigned *)arg & 1;
	for (unsigned i = 0; i < 2; i++) {
		enum err err = db_exec(db, "UPDATE counters SET n = n + 1 WHERE id = ?",
				       DB_BINDS(db_i64((i ^ first) + 1)), NULL, reason);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

static enum err one_piece_of_work(struct worker *w, int kind)
{
	struct deadline limit = deadline_in_ms(PATIENCE_MS);
	if (kind == 0)
		return db_pool_transaction(w->pool, &limit, "/count", count_up, &w->seed, &w->why);
	if (kind == 1)
		limit = deadline_in_ms(1);
	struct db_conn *db;
	enum err err = db_pool_borrow(w->pool, &limit, "/read", &db, &w->why);
	if (err != ERR_OK)
		return err;
	struct arena arena;
	arena_init(&arena, 1024, 16384);
	struct db_result r;
	err = db_query(db, &arena, "SELECT n, ? FROM counters WHERE id = ?",
		       DB_BINDS(db_text("text"), db_i64(1)), &r, &w->why);
	if (err == ERR_OK && r.row_count != 1)
		err = ERR_INTERNAL;
	arena_release(&arena);
	db_pool_return(w->pool, db);
	return err;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	for (int i = 0; i < 60 && w->err == ERR_OK; i++) {
		int kind = rand_r(&w->seed) % 4;
		enum err err = one_piece_of_work(w, kind);
		w->done += kind == 0 && err == ERR_OK;
		if (kind == 1 && err == ERR_TIMEOUT)
			w->timeouts++;
		else
			w->err = err;
	}
	return NULL;
}

static void test_twenty_threads_share_five_connections(void **state)
{
	(void)state;
	enum { THREADS = 20 };
	config.min = 2;
	config.max = 5;
	struct db_pool *pool = make_pool();
	struct worker workers[THREADS];
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.pool = pool, .seed = i * 7919};
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	int done = 0;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].err != ERR_OK)
			fail_msg("%s: %s", err_name(workers[i].err), workers[i].why.text);
		done += workers[i].done;
	}
	assert_nothing_runs_within(RECOVERY_MS);
	assert_int_equal(test_mariadb_number("SELECT n FROM ziggie.counters WHERE id = 1"), done);
	assert_int_equal(test_mariadb_number("SELECT n FROM ziggie.counters WHERE id = 2"), done);
	assert_true(stats(pool).size <= 5);
	assert_whole(pool);
	db_pool_free(pool);
}

static void test_shares_add_up_to_the_hosts_numbers(void **state)
{
	(void)state;
	struct conf conf;
	assert_int_equal(conf_init(&conf, &why), ERR_OK);
	for (unsigned workers = 1; workers <= 7; workers++) {
		unsigned min = 0, max = 0, least = 1000, most = 0;
		for (unsigned i = 0; i < workers; i++) {
			struct db_pool_config c;
			assert_int_equal(db_pool_config_load(&conf, i, workers, &c, &why), ERR_OK);
			min += c.min;
			max += c.max;
			least = c.max < least ? c.max : least;
			most = c.max > most ? c.max : most;
			db_pool_config_release(&c);
		}
		assert_int_equal(min, 5);
		assert_int_equal(max, 40);
		assert_true(most - least <= 1);
	}
	struct db_pool_config last;
	assert_int_equal(db_pool_config_load(&conf, 63, 64, &last, &why), ERR_OK);
	assert_int_equal(last.max, 1);
	assert_int_equal(last.min, 0);
	db_pool_config_release(&last);
	conf_release(&conf);
}

static void test_the_password_comes_from_its_file(void **state)
{
	(void)state;
	char path[128];
	snprintf(path, sizeof(path), "%s/password", test_mariadb_dir());
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(io_write_all(fd, "se cret\n", 8), ERR_OK);
	close(fd);
	struct conf conf;
	assert_int_equal(conf_init(&conf, &why), ERR_OK);
	assert_int_equal(conf_set(&conf, CONF_db_password_file, path, "test", &why), ERR_OK);
	struct db_server server;
	assert_int_equal(db_server_load(&conf, &server, &why), ERR_OK);
	assert_string_equal(server.password, "se cret");
	db_server_release(&server);
	unlink(path);
	assert_int_not_equal(db_server_load(&conf, &server, &why), ERR_OK);
	assert_non_null(strstr(why.text, path));
	conf_release(&conf);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_min_are_open_at_the_start),
	    TEST(test_the_warmest_connection_is_lent_again),
	    TEST(test_never_more_than_max),
	    TEST(test_pool_wait_ends_before_a_later_deadline),
	    TEST(test_waiters_are_served_in_their_order),
	    TEST(test_a_waiter_leaves_when_its_client_does),
	    TEST(test_an_old_connection_is_replaced),
	    TEST(test_recycle_ages_are_spread),
	    TEST(test_a_connection_that_the_server_closed_is_not_lent),
	    TEST(test_an_idle_connection_is_asked_before_use),
	    TEST(test_surplus_goes_after_a_while),
	    TEST(test_a_leak_is_reported_once_with_its_borrower),
	    TEST(test_an_open_transaction_is_rolled_back),
	    TEST(test_a_row_lock_ends_at_the_deadline_and_leaves_nothing),
	    TEST(test_the_clients_hang_up_cancels),
	    TEST(test_what_was_stuck_is_cancelled_at_the_end_too),
	    TEST(test_a_dead_database_is_said_at_once_and_heals),
	    TEST(test_waiters_hear_of_a_dead_database),
	    TEST(test_a_quick_restart_is_not_even_noticed),
	    TEST(test_a_pool_starts_without_a_database),
	    TEST(test_a_frozen_database_costs_each_borrower_no_more_than_its_time),
	    TEST(test_too_many_connections_let_waiters_have_what_there_is),
	    TEST(test_twenty_threads_share_five_connections),
	    TEST(test_shares_add_up_to_the_hosts_numbers),
	    TEST(test_the_password_comes_from_its_file),
	};
	return cmocka_run_group_tests(tests, set_up_server, test_mariadb_tear_down);
}
