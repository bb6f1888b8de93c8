#include "db/pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/wait.h"
#include "db/pool_state.h"
#include "shm/scoreboard.h"

enum {
	CLIENT_POLL_MS = 50, /* how soon a waiting borrower notices that its client went away */
	ROLLBACK_MS = 1000,
};

void pool_publish(struct db_pool *pool)
{
	struct pool_counters *c = &pool->counters;
	atomic_store_explicit(&c->size, pool->size - pool->opening, memory_order_relaxed);
	atomic_store_explicit(&c->in_use, pool->used, memory_order_relaxed);
	atomic_store_explicit(&c->idle, pool->idle_count, memory_order_relaxed);
	atomic_store_explicit(&c->available, !pool->down, memory_order_relaxed);
}

static void refuse_waiters(struct db_pool *pool, enum err err)
{
	for (struct pool_waiter *w = pool->first; w != NULL; w = w->next) {
		w->refused = err;
		pthread_cond_signal(&w->wake);
	}
	pool->first = NULL;
	pool->last = &pool->first;
}

/* Nothing will come back and nothing can be opened: waiting has no sense. */
static bool hopeless(const struct db_pool *pool)
{
	return pool->down && pool->used == 0 && pool->idle_count == 0;
}

struct pool_slot *pool_reserve(struct db_pool *pool)
{
	struct pool_slot *slot = pool->slots;
	while (slot->state != SLOT_FREE)
		slot++;
	AN_INVARIANT(slot < pool->slots + pool->config->max);
	*slot = (struct pool_slot){.state = SLOT_OPENING};
	pool->size++;
	pool->opening++;
	return slot;
}

/* 90 to 110 % of the recycle age, so that connections opened together don't end together. */
static int64_t recycle_ns(const struct db_pool *pool)
{
	uint16_t bits = 0;
	if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
		bits = UINT16_MAX / 2;
	int64_t ms = pool->config->recycle_ms;
	return (ms - ms / 10 + ms / 5 * bits / UINT16_MAX) * NS_PER_MS;
}

void pool_opened(struct db_pool *pool, struct pool_slot *slot, struct db_conn *db)
{
	db->owner = slot;
	db->board = pool->config->board;
	slot->db = db;
	slot->expires_ns = db->opened_ns + recycle_ns(pool);
	pool->opening--;
	pool_count(&pool->counters.opened);
	if (pool->down)
		LOG_EVENT(LOG_INFO, "database_up", LOG_INT("failures", pool->failures));
	pool->down = false;
	pool->failures = 0;
	pool->retry_at_ns = 0;
}

void pool_open_failed(struct db_pool *pool, struct pool_slot *slot, bool database_at_fault)
{
	enum { RETRY_FIRST_MS = 100, RETRY_MAX_MS = 1000 };
	slot->state = SLOT_FREE;
	pool->size--;
	pool->opening--;
	if (database_at_fault) {
		int64_t pause = RETRY_FIRST_MS << (pool->failures < 4 ? pool->failures : 4);
		pause = pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS;
		pool->retry_at_ns = clock_mono_ns() + pause * NS_PER_MS;
		pool->failures++;
		pool->down = true;
		pool_count(&pool->counters.connect_failures);
	}
	if (hopeless(pool))
		refuse_waiters(pool, ERR_UNAVAILABLE);
	if (pool->used + pool->opening == 0)
		pthread_cond_signal(&pool->drained);
	pthread_cond_signal(&pool->work);
	pool_publish(pool);
}

static void lend(struct db_pool *pool, struct pool_slot *slot, const char *label)
{
	slot->state = SLOT_USED;
	slot->label = label;
	slot->borrowed_ns = clock_mono_ns();
	slot->warned = false;
	pool->used++;
	pool_publish(pool);
}

void pool_put(struct db_pool *pool, struct pool_slot *slot)
{
	struct pool_waiter *w = pool->first;
	if (w != NULL) {
		pool->first = w->next;
		if (pool->first == NULL)
			pool->last = &pool->first;
		lend(pool, slot, w->label);
		w->slot = slot;
		pthread_cond_signal(&w->wake);
		return;
	}
	slot->state = SLOT_IDLE;
	slot->idle_since_ns = clock_mono_ns();
	pool->idle[pool->idle_count++] = slot;
	pool_publish(pool);
}

void pool_discard(struct db_pool *pool, struct pool_slot *slot, bool orderly)
{
	pool_count(orderly ? &pool->counters.closed : &pool->counters.discarded);
	struct db_conn *db = slot->db;
	db->owner = NULL;
	db->next = pool->graveyard;
	pool->graveyard = db;
	*slot = (struct pool_slot){.state = SLOT_FREE};
	pool->size--;
	if (hopeless(pool))
		refuse_waiters(pool, ERR_UNAVAILABLE);
	pool_publish(pool);
	pthread_cond_signal(&pool->work);
}

bool pool_wants_more(const struct db_pool *pool)
{
	if (pool->closing || pool->size >= pool->config->max)
		return false;
	/* While it is down, one is tried even where none is missing: to see it come back. */
	return pool->size < pool->config->min || pool->down || pool->first != NULL;
}

static void end_loan(struct db_pool *pool)
{
	pool->used--;
	if (pool->used + pool->opening == 0)
		pthread_cond_signal(&pool->drained);
}

/* Opening */

/* The borrower's own time and client are not the database's fault. */
static bool database_at_fault(enum err err, const struct deadline *deadline)
{
	return err == ERR_UNAVAILABLE || (err == ERR_TIMEOUT && !deadline_passed(deadline));
}

/* Opens a connection for a borrower, in its own time. */
static enum err open_for(struct db_pool *pool, struct pool_slot *slot,
			 const struct deadline *deadline, const char *label, struct db_conn **out,
			 struct errmsg *why)
{
	struct deadline limit = deadline_min_ms(deadline, pool->config->connect_timeout_ms);
	struct db_conn *db = NULL;
	enum err err = driver_connect(&pool->config->server, &limit, &db, why);
	pthread_mutex_lock(&pool->lock);
	if (err == ERR_OK) {
		pool_opened(pool, slot, db);
		lend(pool, slot, label);
		*out = db;
	} else {
		bool fault = database_at_fault(err, deadline);
		bool news = fault && !pool->down;
		pool_open_failed(pool, slot, fault);
		if (news)
			LOG_EVENT(LOG_ERROR, "database_down",
				  LOG_STR("reason", why != NULL ? why->text : NULL));
		if (fault)
			err = ERR_UNAVAILABLE;
	}
	pthread_mutex_unlock(&pool->lock);
	return err;
}

/* Waiting */

static bool client_gone(const struct deadline *deadline)
{
	struct pollfd client = {.fd = deadline->client_fd, .events = POLLRDHUP};
	return client.fd >= 0 && poll(&client, 1, 0) > 0;
}

static void leave_queue(struct db_pool *pool, struct pool_waiter *w)
{
	struct pool_waiter **at = &pool->first;
	while (*at != w) {
		AN_INVARIANT(*at != NULL);
		at = &(*at)->next;
	}
	*at = w->next;
	if (w->next == NULL)
		pool->last = at;
}

/* Until granted, refused, out of time or without a client; the first two come first. */
static enum err wait_in_queue(struct db_pool *pool, struct pool_waiter *w,
			      const struct deadline *deadline, const struct deadline *limit,
			      struct errmsg *why)
{
	for (;;) {
		if (w->slot != NULL)
			return ERR_OK;
		if (w->refused != ERR_OK)
			return err_set(why, w->refused, "the database is not available");
		if (deadline_passed(limit) || client_gone(deadline))
			break;
		struct deadline slice = *limit;
		if (limit->client_fd >= 0)
			slice = deadline_min_ms(limit, CLIENT_POLL_MS);
		wait_until(&w->wake, &pool->lock, &slice);
	}
	leave_queue(pool, w);
	if (!deadline_passed(limit))
		return err_set(why, ERR_CANCELLED, "the client went away");
	pool_count(&pool->counters.timeouts);
	if (!deadline_passed(deadline))
		return err_set(why, ERR_OVERLOADED, "no database connection was free in time");
	return err_set(why, ERR_TIMEOUT,
		       "the time ran out while waiting for a database connection");
}

static void count_waiting(struct db_pool *pool, int by)
{
	uint64_t now = atomic_load_explicit(&pool->counters.waiting, memory_order_relaxed);
	atomic_store_explicit(&pool->counters.waiting, now + (uint64_t)(int64_t)by,
			      memory_order_relaxed);
}

/* The caller holds the lock. */
static enum err queue_up(struct db_pool *pool, const struct deadline *deadline, const char *label,
			 struct pool_slot **out, struct errmsg *why)
{
	struct pool_waiter w = {.label = label, .refused = ERR_OK};
	wait_init(&w.wake);
	*pool->last = &w;
	pool->last = &w.next;
	pool_count(&pool->counters.waits);
	count_waiting(pool, 1);
	int64_t began = clock_mono_ns();
	struct deadline limit = deadline_min_ms(deadline, pool->config->wait_ms);
	enum err err = wait_in_queue(pool, &w, deadline, &limit, why);
	atomic_fetch_add_explicit(&pool->counters.wait_ns, (uint64_t)(clock_mono_ns() - began),
				  memory_order_relaxed);
	count_waiting(pool, -1);
	pthread_cond_destroy(&w.wake);
	*out = w.slot;
	return err;
}

/* Borrowing */

/* Whether an idle connection, already lent, is still good. */
static bool usable(const struct db_pool *pool, const struct pool_slot *slot, int64_t idle_since_ns,
		   const struct deadline *deadline)
{
	int64_t now = clock_mono_ns();
	if (slot->expires_ns <= now || !driver_quiet(slot->db))
		return false;
	if (now - idle_since_ns <= pool->config->validate_ms * NS_PER_MS)
		return true;
	struct deadline limit = deadline_min_ms(deadline, pool->config->connect_timeout_ms);
	db_set_deadline(slot->db, &limit);
	return driver_ping(slot->db, NULL) == ERR_OK;
}

/* Takes idle connections until one is good; NULL when there is none. */
static struct pool_slot *take_idle(struct db_pool *pool, const struct deadline *deadline,
				   const char *label)
{
	while (pool->idle_count > 0 && pool->first == NULL) {
		struct pool_slot *slot = pool->idle[--pool->idle_count];
		int64_t idle_since_ns = slot->idle_since_ns;
		lend(pool, slot, label);
		pthread_mutex_unlock(&pool->lock);
		bool good = usable(pool, slot, idle_since_ns, deadline);
		pthread_mutex_lock(&pool->lock);
		if (good)
			return slot;
		end_loan(pool);
		pool_discard(pool, slot, slot->expires_ns <= clock_mono_ns());
	}
	return NULL;
}

enum err db_pool_borrow(struct db_pool *pool, const struct deadline *deadline, const char *label,
			struct db_conn **out, struct errmsg *why)
{
	CHECK_MAGIC(pool, DB_POOL_MAGIC);
	*out = NULL;
	enum err err = ERR_OK;
	pthread_mutex_lock(&pool->lock);
	struct pool_slot *slot = pool->closing ? NULL : take_idle(pool, deadline, label);
	if (slot != NULL) {
		/* lent already */
	} else if (pool->closing) {
		err = err_set(why, ERR_UNAVAILABLE, "the database pool is closing");
	} else if (deadline_passed(deadline)) {
		err = err_set(why, ERR_TIMEOUT, "the time ran out before the database was asked");
	} else if (hopeless(pool)) {
		err = err_set(why, ERR_UNAVAILABLE, "the database is not available");
	} else if (pool->first == NULL && !pool->down && pool->size < pool->config->max) {
		slot = pool_reserve(pool);
		pthread_mutex_unlock(&pool->lock);
		err = open_for(pool, slot, deadline, label, out, why);
		if (err == ERR_OK)
			db_set_deadline(*out, deadline);
		return err;
	} else {
		err = queue_up(pool, deadline, label, &slot, why);
	}
	pthread_mutex_unlock(&pool->lock);
	if (err == ERR_OK) {
		AN_INVARIANT(slot != NULL);
		*out = slot->db;
		db_set_deadline(*out, deadline);
	}
	return err;
}

/* A handler that returned in the middle of a transaction leaves nothing behind. */
static void clean(struct db_conn *db)
{
	if (db->broken != ERR_OK || !driver_in_transaction(db))
		return;
	db->deadline = deadline_in_ms(ROLLBACK_MS);
	if (driver_command(db, "ROLLBACK", false, NULL) != ERR_OK && db->broken == ERR_OK)
		db->broken = ERR_UNAVAILABLE;
}

void db_pool_return(struct db_pool *pool, struct db_conn *db)
{
	CHECK_MAGIC(pool, DB_POOL_MAGIC);
	if (db == NULL)
		return;
	clean(db);
	db->route = SCOREBOARD_ROUTE_OTHER;
	struct pool_slot *slot = db->owner;
	AN_INVARIANT(slot != NULL && slot->db == db);
	pthread_mutex_lock(&pool->lock);
	AN_INVARIANT(slot->state == SLOT_USED);
	end_loan(pool);
	bool old = slot->expires_ns <= clock_mono_ns();
	if (db->broken != ERR_OK || old)
		pool_discard(pool, slot, db->broken == ERR_OK);
	else
		pool_put(pool, slot);
	pthread_mutex_unlock(&pool->lock);
}

enum err db_pool_transaction(struct db_pool *pool, const struct deadline *deadline,
			     const char *label, db_work *fn, void *arg, struct errmsg *why)
{
	struct db_conn *db;
	enum err err = db_pool_borrow(pool, deadline, label, &db, why);
	if (err != ERR_OK)
		return err;
	err = db_transaction(db, fn, arg, why);
	db_pool_return(pool, db);
	return err;
}

/* Beginning and end */

/* Opens min connections while the caller waits; what fails is left to the keeper. */
static void warm_up(struct db_pool *pool)
{
	struct deadline all = deadline_in_ms(pool->config->connect_timeout_ms);
	enum err err = ERR_OK;
	while (err == ERR_OK && pool->size < pool->config->min) {
		struct errmsg why = ERRMSG_INIT;
		struct db_conn *db;
		struct pool_slot *slot = pool_reserve(pool);
		err = driver_connect(&pool->config->server, &all, &db, &why);
		if (err == ERR_OK) {
			pool_opened(pool, slot, db);
			pool_put(pool, slot);
		} else {
			pool_open_failed(pool, slot, true);
			LOG_EVENT(LOG_ERROR, "database_down", LOG_STR("reason", why.text));
		}
	}
}

static enum err start_keeper(struct db_pool *pool, struct errmsg *why)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&pool->keeper, NULL, pool_keeper_main, pool);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed == 0)
		return ERR_OK;
	errno = failed;
	return err_errno(why, "can't start the database pool's thread");
}

static void release(struct db_pool *pool)
{
	while (pool->idle_count > 0)
		pool_discard(pool, pool->idle[--pool->idle_count], true);
	pool_bury_all(pool);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->drained);
	pthread_mutex_destroy(&pool->lock);
	pool->magic = 0;
	free(pool->slots);
	free(pool->idle);
	free(pool);
}

enum err db_pool_new(const struct db_pool_config *config, struct db_pool **out, struct errmsg *why)
{
	AN_INVARIANT(config->max > 0 && config->min <= config->max);
	struct db_pool *pool = calloc(1, sizeof(*pool));
	struct pool_slot *slots = calloc(config->max, sizeof(*slots));
	struct pool_slot **idle = calloc(config->max, sizeof(struct pool_slot *));
	if (pool == NULL || slots == NULL || idle == NULL) {
		free(pool);
		free(slots);
		free(idle);
		return err_set(why, ERR_NOMEM, "out of memory opening the database pool");
	}
	pool->magic = DB_POOL_MAGIC;
	pool->config = config;
	pool->slots = slots;
	pool->idle = idle;
	pool->last = &pool->first;
	pthread_mutex_init(&pool->lock, NULL);
	wait_init(&pool->work);
	wait_init(&pool->drained);
	LOG_EVENT(LOG_INFO, "db_pool", LOG_INT("min", config->min), LOG_INT("max", config->max),
		  LOG_MS("wait_ms", config->wait_ms * NS_PER_MS),
		  LOG_MS("recycle_ms", config->recycle_ms * NS_PER_MS),
		  LOG_MS("validate_ms", config->validate_ms * NS_PER_MS),
		  LOG_MS("connect_timeout_ms", config->connect_timeout_ms * NS_PER_MS));
	warm_up(pool);
	pool_publish(pool);
	enum err err = start_keeper(pool, why);
	if (err != ERR_OK) {
		release(pool);
		return err;
	}
	*out = pool;
	return ERR_OK;
}

void db_pool_free(struct db_pool *pool)
{
	if (pool == NULL)
		return;
	CHECK_MAGIC(pool, DB_POOL_MAGIC);
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	refuse_waiters(pool, ERR_UNAVAILABLE);
	/* What is being opened for a borrower is then lent. */
	struct deadline limit =
	    deadline_in_ms(pool->config->connect_timeout_ms + pool->config->wait_ms);
	while (pool->used + pool->opening > 0) {
		AN_INVARIANT(!deadline_passed(&limit));
		wait_until(&pool->drained, &pool->lock, &limit);
	}
	pool->stop = true;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	pthread_join(pool->keeper, NULL);
	release(pool);
}

#define READ(field) atomic_load_explicit(&pool->counters.field, memory_order_relaxed)

void db_pool_stats(const struct db_pool *pool, struct db_pool_stats *out)
{
	CHECK_MAGIC(pool, DB_POOL_MAGIC);
	*out = (struct db_pool_stats){
	    .size = READ(size),
	    .in_use = READ(in_use),
	    .idle = READ(idle),
	    .waiting = READ(waiting),
	    .min = pool->config->min,
	    .max = pool->config->max,
	    .waits = READ(waits),
	    .wait_ns = READ(wait_ns),
	    .timeouts = READ(timeouts),
	    .opened = READ(opened),
	    .closed = READ(closed),
	    .discarded = READ(discarded),
	    .killed = READ(killed),
	    .connect_failures = READ(connect_failures),
	    .leaks = READ(leaks),
	    .available = READ(available),
	};
}

bool db_pool_available(const struct db_pool *pool)
{
	CHECK_MAGIC(pool, DB_POOL_MAGIC);
	return READ(available);
}
