#include "chores.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stopper.h"
#include "conf/conf.h"
#include "db/db.h"
#include "store/idempotency.h"
#include "store/tasks.h"

enum {
	LIMIT_MS = 2000,
	PAUSE_MS = 1000,
	TASKS_AT_ONCE = 200,
	ANSWERS_AT_ONCE = 1000,
};
#define KEEP_ANSWERS_US (INT64_C(24) * 3600 * US_PER_S)

struct chores {
	struct db_server server;
	struct db_conn *db; /* NULL: to be opened */
	pthread_t thread;
	struct stopper stopper;
	bool failing; /* so that a change is logged once */
};

static enum err connect_when_needed(struct chores *c, struct errmsg *why)
{
	const struct deadline limit = deadline_in_ms(LIMIT_MS);
	if (c->db == NULL)
		return db_connect(&c->server, &limit, &c->db, why);
	db_set_deadline(c->db, &limit);
	return ERR_OK;
}

static enum err reclaim(struct chores *c, struct errmsg *why)
{
	uint64_t count = 0;
	enum err err = tasks_reclaim(c->db, TASKS_AT_ONCE, &count, why);
	if (err == ERR_OK && count > 0)
		LOG_EVENT(LOG_WARNING, "tasks_reclaimed", LOG_INT("tasks", count));
	return err;
}

static enum err do_all(struct chores *c, struct errmsg *why)
{
	enum err err = connect_when_needed(c, why);
	if (err == ERR_OK)
		err = reclaim(c, why);
	if (err == ERR_OK)
		err = idempotency_remove_old(c->db, clock_wall_us() - KEEP_ANSWERS_US,
					     ANSWERS_AT_ONCE, why);
	return err;
}

/* Returns when to do it again.  A connection that failed is replaced. */
static int64_t work(struct chores *c)
{
	int64_t began = clock_mono_ns();
	struct errmsg why = ERRMSG_INIT;
	enum err err = do_all(c, &why);
	if (err != ERR_OK) {
		db_close(c->db);
		c->db = NULL;
	}
	if (err != ERR_OK && !c->failing)
		LOG_EVENT(LOG_WARNING, "chores_failed", LOG_STR("detail", why.text));
	c->failing = err != ERR_OK;
	return began + PAUSE_MS * NS_PER_MS;
}

static void *chores_main(void *arg)
{
	struct chores *c = arg;
	while (stopper_sleep_until(&c->stopper, work(c)))
		continue;
	return NULL;
}

static void chores_release(struct chores *c)
{
	db_close(c->db);
	db_server_release(&c->server);
	stopper_release(&c->stopper);
	free(c);
}

enum err chores_start(const struct conf *conf, struct chores **out, struct errmsg *why)
{
	struct chores *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	stopper_init(&c->stopper);
	enum err err = db_server_load(conf, &c->server, why);
	c->server.statement_ms = LIMIT_MS;
	if (err == ERR_OK && pthread_create(&c->thread, NULL, chores_main, c) != 0)
		err = err_set(why, ERR_INTERNAL, "can't start the thread of the chores");
	if (err != ERR_OK) {
		chores_release(c);
		return err;
	}
	*out = c;
	return ERR_OK;
}

void chores_stop(struct chores *c)
{
	if (c == NULL)
		return;
	stopper_ask(&c->stopper);
	pthread_join(c->thread, NULL);
	chores_release(c);
}
