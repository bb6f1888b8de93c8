#include "presence.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/stopper.h"
#include "conf/conf.h"
#include "db/db.h"
#include "store/hosts.h"

enum { BEAT_LIMIT_MS = 2000, RETRY_MS = 1000, HOSTNAME_SIZE = 65 };

struct presence {
	struct db_server server;
	char hostname[HOSTNAME_SIZE];
	struct host_beat beat;
	pthread_t thread;
	struct stopper stopper;
	enum { UNKNOWN, WRITTEN, FAILING } last; /* so that a change is logged once */
};

static enum err write_row(const struct presence *p, struct errmsg *why)
{
	const struct deadline limit = deadline_in_ms(BEAT_LIMIT_MS);
	struct db_conn *db;
	enum err err = db_connect(&p->server, &limit, &db, why);
	if (err != ERR_OK)
		return err;
	err = hosts_beat(db, &p->beat, why);
	db_close(db);
	return err;
}

/* Returns when to do it again. */
static int64_t beat(struct presence *p)
{
	int64_t began = clock_mono_ns();
	struct errmsg why = ERRMSG_INIT;
	enum err err = write_row(p, &why);
	if (err == ERR_OK && p->last != WRITTEN)
		LOG_EVENT(LOG_INFO, "host_registered", LOG_STR("host", p->beat.id));
	if (err != ERR_OK && p->last != FAILING)
		LOG_EVENT(LOG_WARNING, "host_not_registered", LOG_STR("host", p->beat.id),
			  LOG_STR("detail", why.text));
	p->last = err == ERR_OK ? WRITTEN : FAILING;
	return began + (err == ERR_OK ? p->beat.interval_ms : RETRY_MS) * NS_PER_MS;
}

static void *presence_main(void *arg)
{
	struct presence *p = arg;
	while (stopper_sleep_until(&p->stopper, beat(p)))
		continue;
	return NULL;
}

static void presence_release(struct presence *p)
{
	db_server_release(&p->server);
	stopper_release(&p->stopper);
	free(p);
}

enum err presence_start(const struct conf *conf, struct presence **out, struct errmsg *why)
{
	struct presence *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	stopper_init(&p->stopper);
	if (gethostname(p->hostname, sizeof(p->hostname) - 1) != 0)
		p->hostname[0] = '\0';
	p->beat = (struct host_beat){.id = conf_host_id(conf),
				     .hostname = p->hostname,
				     .version = PACKAGE_VERSION,
				     .interval_ms = conf_number(conf, heartbeat_interval)};
	enum err err = db_server_load(conf, &p->server, why);
	p->server.statement_ms = BEAT_LIMIT_MS;
	if (err == ERR_OK && pthread_create(&p->thread, NULL, presence_main, p) != 0)
		err = err_set(why, ERR_INTERNAL, "can't start the thread of the heartbeat");
	if (err != ERR_OK) {
		presence_release(p);
		return err;
	}
	*out = p;
	return ERR_OK;
}

void presence_stop(struct presence *p)
{
	if (p == NULL)
		return;
	stopper_ask(&p->stopper);
	pthread_join(p->thread, NULL);
	presence_release(p);
}
