/*
 * The hosts table: who belongs to the fleet and when each was last seen, by the
 * database's clock, so that the hosts' own clocks don't matter.  Errors as in db/db.h.
 */
#ifndef ZIGGIE_STORE_HOSTS_H
#define ZIGGIE_STORE_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/deadline.h"
#include "base/error.h"
#include "db/db.h"
#include "host/others.h"

/* Texts belong to the arena that the host was read into. */
struct host_entry {
	const char *id;
	const char *hostname;
	const char *version;
	int64_t first_seen_us;
	int64_t last_seen_us;
	bool is_up; /* fewer than three of the heartbeats that it promised are missing */
};

/* Says that a host is here, and that it will say so again after interval_ms. */
struct host_beat {
	const char *id;
	const char *hostname;
	const char *version;
	int64_t interval_ms;
};
enum err hosts_beat(struct db_conn *db, const struct host_beat *beat, struct errmsg *why);

/* Some of them, by id: at most `limit` behind the id `after` ("" for the first), `skip` left out.
 */
struct host_page {
	const char *after;
	uint64_t skip;
	uint64_t limit;
};
/* *out is an array in the arena; *total counts all hosts. */
enum err hosts_list(struct db_conn *db, struct arena *arena, const struct host_page *page,
		    struct host_entry **out, size_t *count, uint64_t *total, struct errmsg *why);

/* ERR_NOT_FOUND when there is none. */
enum err hosts_by_id(struct db_conn *db, struct arena *arena, const char *id,
		     struct host_entry *out, struct errmsg *why);
/* Until it says again that it is here; ERR_NOT_FOUND when there is none. */
enum err hosts_remove(struct db_conn *db, const char *id, struct errmsg *why);

/* A host_find: hosts_by_id() on a connection of the struct db_pool that context is. */
enum err hosts_find(void *context, const char *id, const struct deadline *deadline,
		    struct host_sighting *out, struct errmsg *why);

#endif
