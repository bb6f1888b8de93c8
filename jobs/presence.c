#include "presence.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/conf.h"
#include "periodic.h"
#include "store/hosts.h"

enum { HOSTNAME_SIZE = 65 };

struct presence {
	char hostname[HOSTNAME_SIZE];
	struct host_beat beat;
	struct periodic *periodic;
};

static enum err beat(void *arg, struct db_conn *db, struct errmsg *why)
{
	const struct presence *p = arg;
	return hosts_beat(db, &p->beat, why);
}

static void changed(void *arg, bool works, const struct errmsg *why)
{
	const struct presence *p = arg;
	if (works)
		LOG_EVENT(LOG_INFO, "host_registered", LOG_STR("host", p->beat.id));
	else
		LOG_EVENT(LOG_WARNING, "host_not_registered", LOG_STR("host", p->beat.id),
			  LOG_STR("detail", why->text));
}

enum err presence_start(const struct conf *conf, struct presence **out, struct errmsg *why)
{
	struct presence *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	if (gethostname(p->hostname, sizeof(p->hostname) - 1) != 0)
		p->hostname[0] = '\0';
	p->beat = (struct host_beat){.id = conf_host_id(conf),
				     .hostname = p->hostname,
				     .version = PACKAGE_VERSION,
				     .interval_ms = conf_number(conf, heartbeat_interval)};
	const struct periodic_work work = {
	    .arg = p, .run = beat, .changed = changed, .pause_ms = p->beat.interval_ms};
	enum err err = periodic_start(conf, &work, &p->periodic, why);
	if (err != ERR_OK) {
		free(p);
		return err;
	}
	*out = p;
	return ERR_OK;
}

void presence_stop(struct presence *p)
{
	if (p == NULL)
		return;
	periodic_stop(p->periodic);
	free(p);
}
