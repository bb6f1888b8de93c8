/*
 * A process's thread for what no request should wait for: once a second it copies
 * the counters of pool and cache into the scoreboard, notes the resident memory,
 * and asks the database from time to time whether it can be trusted (schema,
 * durability, room for all hosts' connections).
 */
#ifndef ZIGGIE_APP_UPKEEP_H
#define ZIGGIE_APP_UPKEEP_H

#include "app/parts.h"
#include "base/error.h"

struct scoreboard;
struct upkeep;

/* What only some programs want of it. */
struct upkeep_more {
	/* What else is to be copied in each round, on upkeep's thread; NULL: nothing. */
	void (*publish)(const void *context, struct scoreboard *board, unsigned slot);
	const void *context;
	bool keep_heap; /* all else has started: the heap stays as it is, see base/heap.h */
};

/*
 * Makes the first round before it returns, so that readiness is known.  more may be
 * NULL; it is copied.
 */
enum err upkeep_start(struct app_parts *w, const struct upkeep_more *more, struct upkeep **out,
		      struct errmsg *why);
void upkeep_stop(struct upkeep *u); /* NULL is fine */

#endif
