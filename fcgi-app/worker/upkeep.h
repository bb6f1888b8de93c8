/*
 * A worker's thread for what no request should wait for: it copies the counters of
 * engine, pool and cache into the scoreboard once a second, notes the resident
 * memory, and asks the database from time to time whether it can be trusted
 * (schema, durability, room for all hosts' connections).
 */
#ifndef ZIGGIE_WORKER_UPKEEP_H
#define ZIGGIE_WORKER_UPKEEP_H

#include "base/error.h"
#include "worker/app.h"
#include "worker/engine.h"

struct upkeep;

/* Makes the first round before it returns, so that readiness is known. */
enum err upkeep_start(struct worker_app *w, const struct engine_stats *stats, struct upkeep **out,
		      struct errmsg *why);
void upkeep_stop(struct upkeep *u); /* NULL is fine */

#endif
