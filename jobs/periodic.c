#include "periodic.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/stopper.h"
#include "conf/conf.h"

enum { RETRY_MS = 1000 };

struct periodic {
	struct periodic_work work;
	struct db_server server;
	struct db_conn *db; /* NULL: to be opened */
	pthread_t thread;
	struct stopper stopper;
	enum { UNKNOWN, WORKING, FAILING } last; /* so that a change is told once */
};

static enum err run(struct periodic *p, struct errmsg *why)
{
	const struct deadline limit = deadline_in_ms(PERIODIC_LIMIT_MS);
	enum err err = ERR_OK;
	if (p->db == NULL)
		err = db_connect(&p->server, &limit, &p->db, why);
	if (err != ERR_OK)
		return err;
	db_set_deadline(p->db, &limit);
	return p->work.run(p->work.arg, p->db, why);
}

/* Returns when to do it again.  A connection that failed is replaced. */
static int64_t run_round(struct periodic *p)
{
	int64_t began = clock_mono_ns();
	struct errmsg why = ERRMSG_INIT;
	enum err err = run(p, &why);
	if (err != ERR_OK || !p->work.keep_connection) {
		db_close(p->db);
		p->db = NULL;
	}
	int now = err == ERR_OK ? WORKING : FAILING;
	if (now != (int)p->last)
		p->work.changed(p->work.arg, err == ERR_OK, &why);
	p->last = err == ERR_OK ? WORKING : FAILING;
	int64_t pause_ms = p->work.pause_ms;
	if (err != ERR_OK && pause_ms > RETRY_MS)
		pause_ms = RETRY_MS;
	return began + pause_ms * NS_PER_MS;
}

static void *periodic_main(void *arg)
{
	struct periodic *p = arg;
	while (stopper_sleep_until(&p->stopper, run_round(p)))
		continue;
	const struct deadline limit = deadline_in_ms(PERIODIC_LIMIT_MS);
	if (p->db != NULL && p->work.leave != NULL) {
		db_set_deadline(p->db, &limit);
		p->work.leave(p->work.arg, p->db);
	}
	return NULL;
}

static void release(struct periodic *p)
{
	db_close(p->db);
	db_server_release(&p->server);
	stopper_release(&p->stopper);
	free(p);
}

enum err periodic_start(const struct conf *conf, const struct periodic_work *work,
			struct periodic **out, struct errmsg *why)
{
	struct periodic *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	p->work = *work;
	stopper_init(&p->stopper);
	enum err err = db_server_load(conf, &p->server, why);
	p->server.statement_ms = PERIODIC_LIMIT_MS;
	if (err == ERR_OK && pthread_create(&p->thread, NULL, periodic_main, p) != 0)
		err = err_set(why, ERR_INTERNAL, "can't start a thread for the database");
	if (err != ERR_OK) {
		release(p);
		return err;
	}
	*out = p;
	return ERR_OK;
}

void periodic_stop(struct periodic *p)
{
	if (p == NULL)
		return;
	stopper_ask(&p->stopper);
	pthread_join(p->thread, NULL);
	release(p);
}
