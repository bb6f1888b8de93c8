/*
 * A database pool in still time (still_time.h) on the fake driver (fake_driver.h): what
 * it does, and when, is the same in every run.  The pool's thread, the keeper, always
 * sleeps when a function here returns, unless it says otherwise.
 */
#ifndef ZIGGIE_TESTS_STILL_POOL_H
#define ZIGGIE_TESTS_STILL_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "db/pool.h"
#include "fake_driver.h"
#include "still_time.h"

/* One connection is kept, three are allowed; a minute for the wait. */
extern struct db_pool_config still_config;
enum {
	STILL_WAIT_MS = 60000,
	STILL_RECYCLE_MS = 3600000,
	STILL_VALIDATE_MS = 30000,
	STILL_LEAK_MS = 120000,
	STILL_CONNECT_MS = 2000,
	TICK_MS = 500, /* the keeper's pause when nothing is to be done */
};

/* cmocka's setup of each test, and the teardown of a group. */
int still_pool_set_up(void **state);
int still_pool_tear_down(void **state);

/* What getrandom() gives to the pool for each connection's age; -1 fails. */
extern int still_random_bits;
/* The calloc() that fails, counted from 1; 0 for none. */
extern unsigned still_calloc_fails;
extern bool still_thread_fails;

/* The journal is empty after these two, whatever they did. */
struct db_pool *still_pool_new(void);
struct db_pool_stats still_stats(const struct db_pool *pool);

/* Lends one without a wait. */
struct db_conn *still_borrow(struct db_pool *pool);
enum err still_borrow_fails(struct db_pool *pool, int64_t ms, struct errmsg *why);

/* A thread that borrows, and keeps what it got. */
struct borrower {
	struct db_pool *pool;
	struct deadline limit;
	pthread_t thread;
	enum err err;
	struct errmsg why;
	struct db_conn *db;
};
/* The keeper and `asleep` - 1 borrowers sleep when it returns; 0 does not wait for that. */
void borrower_start(struct borrower *b, struct db_pool *pool, int64_t ms, unsigned asleep);
/* With a client, whose hang-up ends the wait. */
void borrower_start_for(struct borrower *b, struct db_pool *pool, const struct deadline *limit,
			unsigned asleep);
/* Within 10 s, or the test fails. */
enum err borrower_end(struct borrower *b);

/* db_pool_free() in a thread; the same bound. */
struct closer {
	struct db_pool *pool;
	pthread_t thread;
};
void closer_start(struct closer *c, struct db_pool *pool);
void closer_end(struct closer *c);

/* How many lines of the log since the test's beginning have this text. */
unsigned still_logged(const char *text);

#endif
