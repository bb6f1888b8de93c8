/*
 * What db.c and pool.c need from the one file that knows the client library.
 * Only lib/db includes this.
 */
#ifndef ZIGGIE_DB_DRIVER_H
#define ZIGGIE_DB_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/deadline.h"
#include "base/error.h"
#include "db/db.h"

struct deferred;
struct scoreboard;

#define DB_CONN_MAGIC 0x6462636eU

enum { DRIVER_BINDS_MAX = 64 };

/* The part of a connection that every driver has; the driver's own follows it. */
struct db_conn {
	unsigned magic;
	enum err broken;           /* ERR_OK while usable, else what every further call returns */
	bool interrupted;          /* given up while the server may still be working on it */
	struct deferred *deferred; /* of the transaction under way, of db_transaction() */
	bool sent;         /* the last statement reached the server before the connection broke */
	uint64_t id;       /* the server's number for it, for KILL */
	int64_t opened_ns; /* monotonic */
	struct deadline deadline;
	struct scoreboard *board; /* where slow statements are noted; NULL: nowhere */
	unsigned route;           /* whose statements they are, in the scoreboard */
	struct db_conn *next;     /* the pool's */
	void *owner;              /* the pool's */
};

enum err driver_connect(const struct db_server *server, const struct deadline *deadline,
			struct db_conn **out, struct errmsg *why);
void driver_close(struct db_conn *db);

/* Runs a prepared statement; arena is NULL when no rows are expected. */
enum err driver_run(struct db_conn *db, struct arena *arena, const char *sql,
		    const struct db_value *values, size_t value_count, struct db_result *out,
		    struct errmsg *why);
/* The same without rows for what must not be given up half-way: the client's hang-up does not end
 * the wait, and the server has no other time limit for it than the session's. */
enum err driver_finish(struct db_conn *db, const char *sql, const struct db_value *values,
		       size_t value_count, struct errmsg *why);
/* Runs a statement as text, without rows.  Unless cancellable, the client's hang-up does not end
 * the wait. */
enum err driver_command(struct db_conn *db, const char *sql, bool cancellable, struct errmsg *why);
enum err driver_ping(struct db_conn *db, struct errmsg *why);

/* Whether nothing arrived on an idle connection: what the server says unasked is good-bye. */
bool driver_quiet(const struct db_conn *db);
/* Whether the server says that a transaction is open. */
bool driver_in_transaction(const struct db_conn *db);

#endif
