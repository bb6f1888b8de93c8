#include "store/tasks.h"

#include "base/assert.h"

const char *const task_statuses[TASK_STATUSES + 1] = {
    "pending", "ready", "running", "completed", "failed", "cancelled", "blocked", NULL};

#define COUNT(name)                                                                                \
	{                                                                                          \
		name, FIELD_INT, FIELD_REQUIRED, 0, INT64_MAX, .summary = "Tasks in this status"   \
	}
static const struct field count_fields[] = {COUNT("pending"),   COUNT("ready"),  COUNT("running"),
					    COUNT("completed"), COUNT("failed"), COUNT("cancelled"),
					    COUNT("blocked")};
_Static_assert(ARRAY_LEN(count_fields) == TASK_STATUSES, "a count for each status");

const struct schema task_counts_schema = SCHEMA("TaskCounts", count_fields);
