/*
 * What pool.c (lending) and pool_keeper.c (maintenance) share.  Only they include
 * this.  Everything in struct db_pool is guarded by its lock unless said otherwise;
 * no call that may wait is made under it.
 */
#ifndef ZIGGIE_DB_POOL_STATE_H
#define ZIGGIE_DB_POOL_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "db/driver.h"
#include "db/pool.h"

#define DB_POOL_MAGIC 0x6462706fU

enum slot_state { SLOT_FREE, SLOT_OPENING, SLOT_IDLE, SLOT_USED };

/* One of the max connections that the pool may have. */
struct pool_slot {
	enum slot_state state;
	struct db_conn *db;
	int64_t expires_ns;    /* to be replaced then */
	int64_t idle_since_ns; /* while SLOT_IDLE */
	int64_t borrowed_ns;   /* while SLOT_USED */
	const char *label;     /* while SLOT_USED */
	bool warned;           /* this loan was reported as a leak */
};

/* A borrower in the queue, on its own stack. */
struct pool_waiter {
	struct pool_waiter *next;
	pthread_cond_t wake;
	const char *label;
	struct pool_slot *slot; /* granted */
	enum err refused;       /* or ERR_OK while waiting */
};

/* Written under the lock, read without. */
struct pool_counters {
	_Atomic uint64_t size, in_use, idle, waiting;
	_Atomic uint64_t waits, wait_ns, timeouts;
	_Atomic uint64_t opened, closed, discarded, killed, connect_failures, leaks;
	_Atomic bool available;
};

struct db_pool {
	unsigned magic;
	const struct db_pool_config *config;
	pthread_mutex_t lock;
	pthread_cond_t work;    /* the keeper has something to do */
	pthread_cond_t drained; /* nothing is lent or being opened any more */
	pthread_t keeper;
	bool closing; /* lends no more */
	bool stop;    /* the keeper ends */

	struct pool_slot *slots; /* config->max of them */
	struct pool_slot **idle; /* a stack: the warmest on top, so that the rest can go */
	unsigned idle_count;
	unsigned size; /* slots that are not free */
	unsigned used;
	unsigned opening;
	struct pool_waiter *first;
	struct pool_waiter **last;

	struct db_conn *graveyard; /* discarded; the keeper cancels and closes them */

	bool down;           /* the last attempt to connect failed: only the keeper tries now */
	unsigned failures;   /* in a row */
	int64_t retry_at_ns; /* the keeper's next attempt */

	struct pool_counters counters;
};

/* Adds one to a counter that only holders of the lock write. */
static inline void pool_count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* All need the lock. */
void pool_publish(struct db_pool *pool); /* copies the gauges out */
struct pool_slot *pool_reserve(struct db_pool *pool);
/* A reserved slot got its connection, or did not. */
void pool_opened(struct db_pool *pool, struct pool_slot *slot, struct db_conn *db);
void pool_open_failed(struct db_pool *pool, struct pool_slot *slot, bool database_at_fault);
/* To whoever waits longest, else to the idle ones. */
void pool_put(struct db_pool *pool, struct pool_slot *slot);
/* The slot becomes free and its connection the keeper's; orderly when nothing was wrong with it. */
void pool_discard(struct db_pool *pool, struct pool_slot *slot, bool orderly);
/* Whether the keeper should open a connection. */
bool pool_wants_more(const struct db_pool *pool);

/* The keeper's thread; arg is the pool. */
void *pool_keeper_main(void *arg);
/* Cancels and closes what is in the graveyard; for the end, without the lock. */
void pool_bury_all(struct db_pool *pool);

#endif
