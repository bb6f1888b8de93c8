/*
 * Plans: the tasks that are to reach a goal.
 */
#ifndef ZIGGIE_STORE_PLANS_H
#define ZIGGIE_STORE_PLANS_H

#include "store/record.h"

enum {
	PLAN_GOAL_ID = RECORD_HEAD,
	PLAN_STATUS,
	PLAN_COLUMNS,
	PLAN_TASKS = PLAN_COLUMNS,
	PLAN_FIELDS
};

extern const struct field plan_fields[PLAN_FIELDS];
extern const struct record_kind plans;

/* A task of a plan, in the order in which they were made. */
struct plan_task {
	struct uuid plan_id;
	struct uuid task_id;
	const char *status;
};
/* Of all the plans together, PLAN_TASKS_MAX at most; *out is an array in the arena. */
enum { PLAN_TASKS_MAX = 2000 };
enum err plans_tasks(struct db_conn *db, struct arena *arena, const struct record *list,
		     size_t count, struct plan_task **out, size_t *out_count, struct errmsg *why);

#endif
