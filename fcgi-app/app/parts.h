/*
 * Everything that the requests of one process share, made in order and given back in
 * the reverse.  Nothing here forks; in a worker all of it comes after ziggied's fork
 * and exec: scoreboard row, pool (and its thread), accounts, cache, host service,
 * router, description.
 */
#ifndef ZIGGIE_APP_PARTS_H
#define ZIGGIE_APP_PARTS_H

#include "auth/auth.h"
#include "base/error.h"
#include "db/pool.h"
#include "http/app.h"

struct app_parts {
	struct app app;
	struct db_pool_config pool_config;
	struct router *router;
	struct description *description;
	unsigned *route_ids;
	unsigned spare_slot; /* in the scoreboard, behind those of the threads: upkeep's */
};

/* Which process this is. */
struct app_place {
	unsigned index; /* of count workers; 0 of 1 when it runs alone */
	unsigned count;
	unsigned generation;
	unsigned threads;        /* that serve requests */
	unsigned db_connections; /* kept open, and no more; 0 for a share of the host's */
};

enum err app_parts_init(struct app_parts *w, const struct conf *conf, const struct app_place *place,
			struct errmsg *why);
/* Also after a failed init. */
void app_parts_release(struct app_parts *w);

#endif
