/*
 * Plans: the tasks that are to reach a goal.
 */
#ifndef ZIGGIE_STORE_PLANS_H
#define ZIGGIE_STORE_PLANS_H

#include "store/record.h"

/* So many of its tasks does a plan show. */
#define PLAN_TASKS_MAX 200

enum {
	PLAN_GOAL_ID = RECORD_HEAD,
	PLAN_STATUS,
	PLAN_COLUMNS,
	PLAN_TASKS = PLAN_COLUMNS,
	PLAN_FIELDS
};

extern const struct field plan_fields[PLAN_FIELDS];
extern const struct record_kind plans;

#endif
