/*
 * A thread that does something in the database again and again.  A database that is away costs
 * nobody anything: it is tried again each second, and the change is told once.
 */
#ifndef ZIGGIE_JOBS_PERIODIC_H
#define ZIGGIE_JOBS_PERIODIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "db/db.h"

struct conf;
struct periodic;

struct periodic_work {
	void *arg;
	/* Both on the thread.  The connection's deadline is PERIODIC_LIMIT_MS away. */
	enum err (*run)(void *arg, struct db_conn *db, struct errmsg *why);
	/* After the first time, and whenever it begins or ceases to fail. */
	void (*changed)(void *arg, bool works, const struct errmsg *why);
	/* At the end, when there is a connection; may be NULL. */
	void (*leave)(void *arg, struct db_conn *db);
	int64_t pause_ms;
	bool keep_connection; /* else each time opens one */
};

enum { PERIODIC_LIMIT_MS = 2000 };

/* conf is borrowed.  Reads the database's password file. */
enum err periodic_start(const struct conf *conf, const struct periodic_work *work,
			struct periodic **out, struct errmsg *why);
/* Waits for what is under way, two seconds at most.  NULL is fine. */
void periodic_stop(struct periodic *p);

#endif
