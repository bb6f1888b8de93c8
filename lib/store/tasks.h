/*
 * Tasks: pieces of work that agents take, one agent each.
 */
#ifndef ZIGGIE_STORE_TASKS_H
#define ZIGGIE_STORE_TASKS_H

#include "store/record.h"

enum { TASK_STATUSES = 7 };
/* "pending", "ready", ...; ends with NULL. */
extern const char *const task_statuses[TASK_STATUSES + 1];
/* A number for each status: how many tasks an agent or a goal has in it. */
extern const struct schema task_counts_schema;

#endif
