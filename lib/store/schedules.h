/*
 * One scheduler for each database, however many hosts share it: whoever holds the lease
 * "scheduler", which is a row.  Its holder makes the jobs that are due, in a transaction that
 * locks the lease: who has lost it makes none, even if it does not know yet.
 */
#ifndef ZIGGIE_STORE_SCHEDULES_H
#define ZIGGIE_STORE_SCHEDULES_H

#include "base/uuid.h"
#include "db/db.h"
#include "store/job_types.h"

/* Takes the lease when it is free, and renews it when it is the holder's; *held says whether. */
enum err lease_take(struct db_conn *db, const char *name, const struct uuid *holder,
		    int64_t lease_ms, bool *held, struct errmsg *why);
/* Lets the next one have it at once. */
enum err lease_give_up(struct db_conn *db, const char *name, const struct uuid *holder,
		       struct errmsg *why);

/*
 * In a transaction of its own: a job of each of these types that is due; of a type that has one
 * that is not done yet none is made.  ERR_CONFLICT when the lease is lost.
 */
enum err schedules_run(struct db_conn *db, const struct uuid *holder, const struct job_type *types,
		       size_t count, uint64_t *made, struct errmsg *why);

#endif
