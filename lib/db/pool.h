/*
 * A worker's connections to the database.
 *
 *	struct db_conn *db;
 *	enum err err = db_pool_borrow(pool, &r->deadline, r->route->path, &db, why);
 *	if (err == ERR_OK) {
 *		err = store_users_get(db, …);
 *		db_pool_return(pool, db);
 *	}
 *
 * Borrowers wait in the order of their arrival.  A maintenance thread opens
 * connections ahead, replaces old ones, warns of leaks, cancels what a
 * discarded connection left running on the server, and looks for a dead database
 * so that borrowers need not: while it is away they get ERR_UNAVAILABLE at once.
 *
 * Thread-safe, except db_pool_new() and db_pool_free().  A returned connection must not be
 * touched again.
 */
#ifndef ZIGGIE_DB_POOL_H
#define ZIGGIE_DB_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/deadline.h"
#include "base/error.h"
#include "db/db.h"

struct conf;
struct db_pool;
struct scoreboard;

struct db_pool_config {
	struct db_server server;
	unsigned min;               /* kept open; this worker's share */
	unsigned max;               /* at least 1, and not below min */
	int64_t wait_ms;            /* longest wait for a connection */
	int64_t recycle_ms;         /* age at which one is replaced, ± 10 % */
	int64_t validate_ms;        /* idled longer: asked before use */
	int64_t leak_ms;            /* borrowed longer: logged with the label */
	int64_t connect_timeout_ms; /* for opening one */
	struct scoreboard *board;   /* where slow statements are noted; NULL: nowhere */
};

/*
 * Fills *out from the settings for worker `index` of `count` (0 of 1 alone), whose
 * shares of db_pool_min and db_pool_max differ by one at most.  Reads the password
 * file.  Release it after the pool.
 */
enum err db_pool_config_load(const struct conf *conf, unsigned index, unsigned count,
			     struct db_pool_config *out, struct errmsg *why);
void db_pool_config_release(struct db_pool_config *config);

/*
 * Opens config->min connections, waiting for them until connect_timeout_ms at
 * most; a database that is away is not an error: the pool opens them when it
 * comes back.  config and its texts must live as long as the pool.
 */
enum err db_pool_new(const struct db_pool_config *config, struct db_pool **out, struct errmsg *why);
/* Waits for what is borrowed or being opened (connect_timeout_ms and wait_ms together at most,
 * then it is a bug and aborts) and closes all. */
void db_pool_free(struct db_pool *pool);

/*
 * Lends a connection that carries the deadline.  label says who borrows, for the
 * leak warning, and must live until the return: a route's path.
 * ERR_TIMEOUT when the deadline comes first, ERR_OVERLOADED after wait_ms,
 * ERR_CANCELLED when the client went away, ERR_UNAVAILABLE without a database.
 */
enum err db_pool_borrow(struct db_pool *pool, const struct deadline *deadline, const char *label,
			struct db_conn **out, struct errmsg *why);
/* An open transaction is rolled back; a broken connection is discarded. NULL is fine. */
void db_pool_return(struct db_pool *pool, struct db_conn *db);

/* db_pool_borrow(), db_transaction(), db_pool_return(). */
enum err db_pool_transaction(struct db_pool *pool, const struct deadline *deadline,
			     const char *label, db_work *fn, void *arg, struct errmsg *why);

struct db_pool_stats {
	uint64_t size; /* open: idle and in use */
	uint64_t in_use;
	uint64_t idle;
	uint64_t waiting; /* borrowers in the queue now */
	uint64_t min, max;
	uint64_t waits;    /* borrowers that had to wait, ever */
	uint64_t wait_ns;  /* how long, together */
	uint64_t timeouts; /* of them, those that got none in time */
	uint64_t opened;
	uint64_t closed;           /* in order: too old, or more than needed */
	uint64_t discarded;        /* broken */
	uint64_t killed;           /* statements cancelled on the server */
	uint64_t connect_failures; /* attempts */
	uint64_t leaks;            /* warnings */
	bool available;            /* the database answered last time */
};
/* Reads counters without a lock; each is right, together they may be a moment apart. */
void db_pool_stats(const struct db_pool *pool, struct db_pool_stats *out);
/* Whether the database answered last time; never waits. */
bool db_pool_available(const struct db_pool *pool);

#endif
