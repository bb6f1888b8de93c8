/*
 * Tasks: pieces of work that agents take, each by one agent at a time.
 *
 * A task that needs others (depends_on) is pending until all of them are completed, and
 * blocked once one of them has failed or was cancelled; then it is ready.  An agent claims the
 * most urgent of the ready ones, by priority and then by age, those first that name it as
 * their agent, never those that name another; and holds it for a lease that its heartbeats
 * extend.  A lease that runs out makes the task ready again, for any agent, with one more
 * of its attempts gone.
 *
 * Leases go by the clock of the database, so that hosts need not agree on the time.
 * Everything that writes belongs into a transaction.
 */
#ifndef ZIGGIE_STORE_TASKS_H
#define ZIGGIE_STORE_TASKS_H

#include "store/record.h"

enum {
	TASK_PLAN_ID = RECORD_HEAD,
	TASK_GOAL_ID,
	TASK_AGENT_ID,
	TASK_DESCRIPTION,
	TASK_TYPE,
	TASK_STATUS,
	TASK_INPUT_DATA,
	TASK_OUTPUT_DATA,
	TASK_ERROR,
	TASK_PRIORITY,
	TASK_ATTEMPTS,
	TASK_STARTED_AT,
	TASK_COMPLETED_AT,
	TASK_LEASE_MS,
	TASK_LEASE_UNTIL,
	TASK_WAITING_ON,
	TASK_DEPENDS_ON,
	TASK_COLUMNS,
	TASK_TASK_ID = TASK_COLUMNS,
	TASK_FIELDS
};

extern const struct field task_fields[TASK_FIELDS];
extern const struct record_kind tasks;

/* All statuses in their order: ROW(what stands between two of them, the status). */
#define TASK_STATUS_ROWS(ROW)                                                                      \
	ROW("", "pending")                                                                         \
	ROW(",", "ready")                                                                          \
	ROW(",", "running")                                                                        \
	ROW(",", "completed")                                                                      \
	ROW(",", "failed")                                                                         \
	ROW(",", "cancelled")                                                                      \
	ROW(",", "blocked")
enum task_status {
	TASK_IS_PENDING,
	TASK_IS_READY,
	TASK_IS_RUNNING,
	TASK_IS_COMPLETED,
	TASK_IS_FAILED,
	TASK_IS_CANCELLED,
	TASK_IS_BLOCKED,
	TASK_STATUSES
};
enum { TASK_DEPENDS_MAX = 100 };
/* Of a word that the database holds; any other is a bug. */
enum task_status task_status_of(const char *word);
/* "pending", "ready", ...; ends with NULL. */
extern const char *const task_statuses[TASK_STATUSES + 1];
/* A number for each status: how many tasks an agent has in it. */
extern const struct schema task_counts_schema;

/*
 * Sets the status of a task that is not stored yet by those it needs, which can't change
 * before the transaction ends, and its depends_on; ERR_INVALID when one of them
 * is not there.
 */
enum err tasks_weigh(struct db_conn *db, struct arena *arena, struct record *task,
		     const struct uuid *needs, size_t count, struct errmsg *why);
/* Notes what it needs, once it is stored. */
enum err tasks_depend(struct db_conn *db, const struct record *task, const struct uuid *needs,
		      size_t count, struct errmsg *why);

/*
 * Adjusts started_at, completed_at and the lease to a new status, and makes a task that
 * is told to be pending ready when it waits for nothing.  ERR_CONFLICT when it is told to be
 * ready and still waits.
 */
enum err task_note_status(const struct record *from, struct record *to, int64_t wall_us,
			  struct errmsg *why);
/* Tells those that need it what has become of a task, once that is stored. */
enum err tasks_tell_dependents(struct db_conn *db, const struct record *from,
			       const struct record *to, struct errmsg *why);

/* Who claims, what (NULL for any type), and for how long without a heartbeat. */
struct task_claim {
	struct uuid agent_id;
	const char *task_type;
	int64_t lease_ms;
};
/* The next ready task, now running; *from is how it was. ERR_NOT_FOUND when there is none. */
enum err tasks_claim(struct db_conn *db, struct arena *arena, const struct task_claim *claim,
		     struct record *from, struct record *to, struct errmsg *why);
/* The tasks that the agent works on stay its own for another lease. */
enum err tasks_extend_leases(struct db_conn *db, const struct uuid *agent, struct errmsg *why);
/* In a transaction of its own: makes tasks whose lease ran out ready again, at most so many;
 * *count says how many. */
enum err tasks_reclaim(struct db_conn *db, unsigned most, uint64_t *count, struct errmsg *why);

#endif
