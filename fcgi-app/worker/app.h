/*
 * Everything that a worker's requests share, made in order and given back in the
 * reverse.  Nothing here forks; all of it comes after ziggied's fork and exec:
 * settings, scoreboard row, pool (and its thread), cache, accounts, host service,
 * router.
 */
#ifndef ZIGGIE_WORKER_APP_H
#define ZIGGIE_WORKER_APP_H

#include "auth/auth.h"
#include "base/error.h"
#include "db/pool.h"
#include "http/app.h"
#include "worker/engine.h"

struct worker_app {
	struct app app;
	struct db_pool_config pool_config;
	struct router *router;
	unsigned *route_ids;
};

/* Which of how many workers this is; 0 of 1 when it runs alone. */
struct worker_place {
	unsigned index;
	unsigned count;
	unsigned generation;
};

enum err worker_app_init(struct worker_app *w, const struct conf *conf,
			 const struct worker_place *place, struct errmsg *why);
/* Also after a failed init. */
void worker_app_release(struct worker_app *w);

/* What the engine calls, with a struct worker_app as context. */
extern const struct engine_app worker_engine_calls;

#endif
