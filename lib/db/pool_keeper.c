/*
 * The pool's maintenance thread.  It looks after the pool every TICK_MS, and at
 * once when it is woken: cancel what discarded connections left running on the
 * server, close them, replace the dead and the old, report leaks, open what is
 * missing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/stack.h"
#include "base/wait.h"
#include "db/pool_state.h"

enum {
	TICK_MS = 500,
	KILL_MS = 1000,          /* for one KILL */
	KILL_RETRY_MS = 50,      /* pause when no connection could be had for it */
	KILL_GIVE_UP_MS = 15000, /* by then max_statement_time has ended it */
	KILLER_IDLE_MS = 60000,  /* the spare connection is closed after */
	SURPLUS_IDLE_MS = 60000, /* as are those beyond min */
	LEAKS_MAX = 8,           /* reported in one round */
	LABEL_MAX = 96,
};

struct keeper {
	struct db_pool *pool;
	struct db_conn *killer; /* never lent */
	int64_t killer_used_ns;
	struct db_conn *running; /* what could not be cancelled yet */
};

static void push(struct db_conn **list, struct db_conn *db)
{
	db->next = *list;
	*list = db;
}

static struct db_conn *pop(struct db_conn **list)
{
	struct db_conn *db = *list;
	if (db != NULL)
		*list = db->next;
	return db;
}

/* The spare connection, opened when it is first needed; NULL when it can't be had. */
static struct db_conn *killer(struct keeper *k)
{
	struct deadline limit = deadline_in_ms(KILL_MS);
	if (k->killer != NULL && (k->killer->broken != ERR_OK || !driver_quiet(k->killer))) {
		driver_close(k->killer);
		k->killer = NULL;
	}
	if (k->killer == NULL &&
	    driver_connect(&k->pool->config->server, &limit, &k->killer, NULL) != ERR_OK)
		return NULL;
	db_set_deadline(k->killer, &limit);
	k->killer_used_ns = clock_mono_ns();
	return k->killer;
}

/*
 * KILL ends the connection there, not only the query: a query that the server
 * has yet to read would escape KILL QUERY, and the transaction's locks go at once.
 * That it is unknown means that it has ended by itself.
 */
static bool cancel(struct keeper *k, const struct db_conn *db)
{
	struct db_conn *by = killer(k);
	if (by == NULL)
		return false;
	char sql[64];
	snprintf(sql, sizeof(sql), "KILL CONNECTION %llu", (unsigned long long)db->id);
	enum err err = driver_command(by, sql, false, NULL);
	return by->broken == ERR_OK && (err == ERR_OK || err == ERR_INTERNAL);
}

/* Cancels first and closes then: closing can wait, what runs on the server holds locks. */
static void bury(struct keeper *k, struct db_conn *dead, bool last_chance)
{
	struct db_conn *close = NULL;
	struct db_conn *db;
	int64_t now = clock_mono_ns();
	uint64_t killed = 0;
	while ((db = pop(&dead)) != NULL) {
		if (!db->interrupted) {
			push(&close, db);
		} else if (cancel(k, db)) {
			killed++;
			push(&close, db);
		} else if (last_chance || now - db->deadline.at_ns > KILL_GIVE_UP_MS * NS_PER_MS) {
			LOG_EVENT(LOG_WARNING, "db_cancel_failed", LOG_INT("connection", db->id));
			push(&close, db);
		} else {
			push(&k->running, db);
		}
	}
	atomic_fetch_add_explicit(&k->pool->counters.killed, killed, memory_order_relaxed);
	while ((db = pop(&close)) != NULL)
		driver_close(db);
}

static void close_killer(struct keeper *k)
{
	if (k->killer != NULL)
		driver_close(k->killer);
	k->killer = NULL;
}

void pool_bury_all(struct db_pool *pool)
{
	struct keeper k = {.pool = pool};
	struct db_conn *dead = pool->graveyard;
	pool->graveyard = NULL;
	bury(&k, dead, true);
	close_killer(&k);
}

/* Drops idle connections that are dead, old or more than needed.  From the bottom of the stack,
 * where they idle longest. */
static void tend_idle(struct db_pool *pool)
{
	int64_t now = clock_mono_ns();
	unsigned kept = 0;
	unsigned count = pool->idle_count;
	for (unsigned i = 0; i < count; i++) {
		struct pool_slot *slot = pool->idle[i];
		bool surplus = pool->size > pool->config->min &&
			       now - slot->idle_since_ns > SURPLUS_IDLE_MS * NS_PER_MS;
		bool old = slot->expires_ns <= now;
		if (!old && !surplus && driver_quiet(slot->db)) {
			pool->idle[kept++] = slot;
			continue;
		}
		pool->idle_count--;
		pool_discard(pool, slot, old || surplus);
	}
	pool_publish(pool);
}

struct leak {
	char label[LABEL_MAX];
	int64_t held_ns;
};

/* Copies them out, so that nobody waits for the log. */
static unsigned find_leaks(struct db_pool *pool, struct leak leaks[LEAKS_MAX])
{
	int64_t now = clock_mono_ns();
	unsigned count = 0;
	for (unsigned i = 0; i < pool->config->max && count < LEAKS_MAX; i++) {
		struct pool_slot *slot = &pool->slots[i];
		int64_t held = now - slot->borrowed_ns;
		if (slot->state != SLOT_USED || slot->warned ||
		    held <= pool->config->leak_ms * NS_PER_MS)
			continue;
		slot->warned = true;
		pool_count(&pool->counters.leaks);
		snprintf(leaks[count].label, LABEL_MAX, "%s", slot->label);
		leaks[count++].held_ns = held;
	}
	return count;
}

static void report_leaks(struct db_pool *pool)
{
	struct leak leaks[LEAKS_MAX];
	unsigned count = find_leaks(pool, leaks);
	if (count == 0)
		return;
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < count; i++)
		LOG_EVENT(LOG_WARNING, "db_connection_leak", LOG_STR("borrower", leaks[i].label),
			  LOG_MS("held_ms", leaks[i].held_ns));
	pthread_mutex_lock(&pool->lock);
}

/* Opens what is missing, one after the other, until it fails. */
static void open_missing(struct db_pool *pool)
{
	while (!pool->stop && pool_wants_more(pool) && clock_mono_ns() >= pool->retry_at_ns) {
		struct pool_slot *slot = pool_reserve(pool);
		bool was_down = pool->down;
		pthread_mutex_unlock(&pool->lock);
		struct deadline limit = deadline_in_ms(pool->config->connect_timeout_ms);
		struct errmsg why = ERRMSG_INIT;
		struct db_conn *db;
		enum err err = driver_connect(&pool->config->server, &limit, &db, &why);
		if (err != ERR_OK && !was_down)
			LOG_EVENT(LOG_ERROR, "database_down", LOG_STR("reason", why.text));
		pthread_mutex_lock(&pool->lock);
		if (err != ERR_OK) {
			pool_open_failed(pool, slot, true);
			return;
		}
		pool_opened(pool, slot, db);
		pool_put(pool, slot);
		if (pool->used + pool->opening == 0)
			pthread_cond_signal(&pool->drained);
	}
}

static struct db_conn *take_graveyard(struct keeper *k)
{
	struct db_conn *dead = k->running;
	k->running = NULL;
	struct db_conn *db;
	while ((db = pop(&k->pool->graveyard)) != NULL)
		push(&dead, db);
	return dead;
}

static void bury_unlocked(struct keeper *k)
{
	struct db_pool *pool = k->pool;
	struct db_conn *dead = take_graveyard(k);
	if (dead == NULL)
		return;
	bool last_chance = pool->stop;
	pthread_mutex_unlock(&pool->lock);
	bury(k, dead, last_chance);
	pthread_mutex_lock(&pool->lock);
}

/* When something will have to be done, as far as is known now. */
static struct deadline next_round(const struct keeper *k)
{
	const struct db_pool *pool = k->pool;
	if (pool->graveyard != NULL)
		return deadline_in_ms(0);
	struct deadline next = deadline_in_ms(k->running != NULL ? KILL_RETRY_MS : TICK_MS);
	if (pool_wants_more(pool) && pool->retry_at_ns < next.at_ns)
		next.at_ns = pool->retry_at_ns;
	return next;
}

static void rest(struct keeper *k)
{
	struct deadline next = next_round(k);
	wait_until(&k->pool->work, &k->pool->lock, &next);
}

void *pool_keeper_main(void *arg)
{
	struct db_pool *pool = arg;
	CHECK_MAGIC(pool, DB_POOL_MAGIC);
	struct keeper k = {.pool = pool};
	stack_touch();
	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		bury_unlocked(&k);
		tend_idle(pool);
		report_leaks(pool);
		open_missing(pool);
		if (k.killer != NULL &&
		    clock_mono_ns() - k.killer_used_ns > KILLER_IDLE_MS * NS_PER_MS)
			close_killer(&k);
		if (!pool->stop)
			rest(&k);
	}
	bury_unlocked(&k);
	pthread_mutex_unlock(&pool->lock);
	close_killer(&k);
	return NULL;
}
