#include "app/upkeep.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/stack.h"
#include "cache/cache.h"
#include "conf/conf.h"
#include "host/host.h"
#include "host/service.h"
#include "shm/scoreboard.h"
#include "store/api_keys.h"
#include "store/migrate.h"

enum {
	ROUND_MS = 1000,
	CHECK_EVERY_MS = 10000, /* while the database is trusted; every round while it is not */
	CHECK_LIMIT_MS = 2000,
	USED_KEYS_A_ROUND = 64,
	GIVE_BACK_EVERY_MS = 10000,
};

struct upkeep {
	struct app_parts *w;
	struct upkeep_more more;
	struct heap heap;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	int64_t next_check_ns;
	int64_t next_give_back_ns;
	struct errmsg last_complaint;
};

static void publish_pool(const struct upkeep *u, unsigned slot)
{
	struct scoreboard *board = u->w->app.scoreboard;
	struct db_pool_stats s;
	db_pool_stats(u->w->app.pool, &s);
	scoreboard_set_counter(board, slot, COUNTER_pool_waits, s.waits);
	scoreboard_set_counter(board, slot, COUNTER_pool_wait_us, s.wait_ns / NS_PER_US);
	scoreboard_set_counter(board, slot, COUNTER_pool_timeouts, s.timeouts);
	scoreboard_set_counter(board, slot, COUNTER_pool_opened, s.opened);
	scoreboard_set_counter(board, slot, COUNTER_pool_open_failures, s.connect_failures);
	scoreboard_set_counter(board, slot, COUNTER_pool_recycled, s.closed);
	scoreboard_set_counter(board, slot, COUNTER_pool_discarded, s.discarded);
	scoreboard_set_counter(board, slot, COUNTER_pool_leaks, s.leaks);
	scoreboard_set_counter(board, slot, COUNTER_db_killed, s.killed);
	scoreboard_set_gauge(board, slot, GAUGE_pool_in_use, (int64_t)s.in_use);
	scoreboard_set_gauge(board, slot, GAUGE_pool_idle, (int64_t)s.idle);
	scoreboard_set_gauge(board, slot, GAUGE_pool_waiting, (int64_t)s.waiting);
	scoreboard_set_gauge(board, slot, GAUGE_pool_max, (int64_t)s.max);
}

static void publish_cache(const struct upkeep *u, unsigned slot)
{
	struct scoreboard *board = u->w->app.scoreboard;
	struct cache_stats s;
	cache_stats_read(u->w->app.cache, &s);
	scoreboard_set_counter(board, slot, COUNTER_cache_l1_hits, s.hits);
	scoreboard_set_counter(board, slot, COUNTER_cache_l1_misses, s.misses);
	scoreboard_set_counter(board, slot, COUNTER_cache_l1_evictions, s.evictions);
	scoreboard_set_counter(board, slot, COUNTER_cache_hits, s.memcached_hits);
	scoreboard_set_counter(board, slot, COUNTER_cache_misses, s.memcached_misses);
	scoreboard_set_counter(board, slot, COUNTER_cache_errors, s.memcached_errors);
	scoreboard_set_counter(board, slot, COUNTER_cache_skipped, s.memcached_skipped);
	scoreboard_set_gauge(board, slot, GAUGE_cache_l1_bytes, (int64_t)s.bytes);
	scoreboard_set_gauge(board, slot, GAUGE_cache_l1_entries, (int64_t)s.entries);
	scoreboard_set_gauge(board, slot, GAUGE_cache_unavailable,
			     !cache_available(u->w->app.cache));

	struct host_service_stats host;
	host_service_stats_read(u->w->app.host, &host);
	scoreboard_set_counter(board, slot, COUNTER_host_stale, host.stale);
	scoreboard_set_counter(board, slot, COUNTER_host_collected, host.collected);
}

static void publish_auth(const struct upkeep *u, unsigned slot)
{
	struct scoreboard *board = u->w->app.scoreboard;
	struct auth_stats s;
	auth_stats_read(u->w->app.auth, &s);
	scoreboard_set_counter(board, slot, COUNTER_token_hits, s.remembered);
	scoreboard_set_counter(board, slot, COUNTER_token_reads, s.read);
	scoreboard_set_counter(board, slot, COUNTER_token_grace, s.grace);
	scoreboard_set_counter(board, slot, COUNTER_token_unknown, s.refused);
	scoreboard_set_gauge(board, slot, GAUGE_token_entries, (int64_t)s.entries);
}

static enum err check_schema(struct db_conn *db, struct errmsg *why)
{
	unsigned pending;
	enum err err = migrate_pending(db, migrations, &pending, why);
	if (err != ERR_OK)
		return err == ERR_CONFLICT ? ERR_INVALID : err;
	if (pending > 0)
		return err_set(why, ERR_INVALID,
			       "%u migrations are missing; run: ziggiectl migrate", pending);
	return ERR_OK;
}

static enum err check_database(const struct upkeep *u, struct errmsg *why)
{
	const struct db_demand demand = db_demand_load(u->w->app.conf);
	struct deadline limit = deadline_in_ms(CHECK_LIMIT_MS);
	struct db_conn *db;
	enum err err = db_pool_borrow(u->w->app.pool, &limit, "upkeep", &db, why);
	if (err != ERR_OK)
		return err;
	err = check_schema(db, why);
	if (err == ERR_OK)
		err = db_check_durability(db, why);
	if (err == ERR_OK)
		err = db_check_capacity(db, &demand, why);
	db_pool_return(u->w->app.pool, db);
	return err;
}

/* The API keys that were used: off the way of the requests that used them. */
static void note_used_keys(const struct upkeep *u)
{
	struct uuid used[USED_KEYS_A_ROUND];
	size_t count = auth_take_used_keys(u->w->app.auth, used, USED_KEYS_A_ROUND);
	if (count == 0)
		return;
	struct deadline limit = deadline_in_ms(CHECK_LIMIT_MS);
	struct db_conn *db;
	/* What fails is noted when the key is used again. */
	if (db_pool_borrow(u->w->app.pool, &limit, "upkeep", &db, NULL) != ERR_OK)
		return;
	for (size_t i = 0; i < count; i++)
		(void)api_keys_note_use(db, &used[i], clock_wall_us(), NULL);
	db_pool_return(u->w->app.pool, db);
}

/* Says a complaint once, and once more when it is over. */
static void judge_database(struct upkeep *u)
{
	struct errmsg why = ERRMSG_INIT;
	if (!db_pool_available(u->w->app.pool))
		return;
	enum err err = check_database(u, &why);
	if (err == ERR_OK || err == ERR_INVALID)
		atomic_store(&u->w->app.database_trusted, err == ERR_OK);
	if (strcmp(why.text, u->last_complaint.text) == 0)
		return;
	if (err == ERR_OK)
		LOG_EVENT(LOG_INFO, "database_accepted", LOG_STR("was", u->last_complaint.text));
	else
		LOG_EVENT(LOG_ERROR, "database_refused", LOG_STR("detail", why.text));
	u->last_complaint = why;
}

/*
 * What busy moments leave free in the heap stays there otherwise, and so do the pages of shared
 * memory that were looked at once; docs/decisions/0011.
 */
static void give_back_memory(struct upkeep *u, int64_t now)
{
	if (now < u->next_give_back_ns)
		return;
	heap_give_back(&u->heap);
	scoreboard_let_go(u->w->app.scoreboard);
	u->next_give_back_ns = now + GIVE_BACK_EVERY_MS * NS_PER_MS;
}

static void run_round(struct upkeep *u)
{
	struct scoreboard *board = u->w->app.scoreboard;
	unsigned slot = u->w->spare_slot;
	int64_t now = clock_mono_ns();
	/* First, so that the shared pages that a round uses are there at the end of each. */
	give_back_memory(u, now);
	if (u->more.publish != NULL)
		u->more.publish(u->more.context, board, slot);
	scoreboard_set_counter(board, slot, COUNTER_log_lost, log_lost());
	publish_pool(u, slot);
	/* So that health knows how memcached is, even when no request asks it anything. */
	cache_check(u->w->app.cache, NULL);
	cache_sweep(u->w->app.cache);
	publish_cache(u, slot);
	publish_auth(u, slot);
	note_used_keys(u);
	if (now >= u->next_check_ns || !atomic_load(&u->w->app.database_trusted)) {
		judge_database(u);
		u->next_check_ns = now + CHECK_EVERY_MS * NS_PER_MS;
	}
	scoreboard_set_rss(board, host_own_rss());
}

static void *upkeep_main(void *context)
{
	struct upkeep *u = context;
	stack_touch();
	pthread_mutex_lock(&u->lock);
	while (!u->stop) {
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += ROUND_MS / MS_PER_S;
		if (pthread_cond_timedwait(&u->wake, &u->lock, &until) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&u->lock);
		run_round(u);
		pthread_mutex_lock(&u->lock);
	}
	pthread_mutex_unlock(&u->lock);
	return NULL;
}

enum err upkeep_start(struct app_parts *w, const struct upkeep_more *more, struct upkeep **out,
		      struct errmsg *why)
{
	struct upkeep *u = calloc(1, sizeof(*u));
	if (u == NULL)
		return err_set(why, ERR_NOMEM, "out of memory starting the upkeep thread");
	u->w = w;
	if (more != NULL)
		u->more = *more;
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&u->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&u->lock, NULL);
	run_round(u);
	if (u->more.keep_heap)
		heap_keep(&u->heap);
	int failed = pthread_create(&u->thread, NULL, upkeep_main, u);
	if (failed != 0) {
		pthread_cond_destroy(&u->wake);
		pthread_mutex_destroy(&u->lock);
		free(u);
		errno = failed;
		return err_errno(why, "can't start the upkeep thread");
	}
	*out = u;
	return ERR_OK;
}

void upkeep_stop(struct upkeep *u)
{
	if (u == NULL)
		return;
	pthread_mutex_lock(&u->lock);
	u->stop = true;
	pthread_cond_signal(&u->wake);
	pthread_mutex_unlock(&u->lock);
	pthread_join(u->thread, NULL);
	pthread_cond_destroy(&u->wake);
	pthread_mutex_destroy(&u->lock);
	free(u);
}
