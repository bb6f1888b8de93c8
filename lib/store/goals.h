/*
 * Goals: what is to be reached, by an agent, for a project.  Plans to reach one have
 * the same statuses.
 */
#ifndef ZIGGIE_STORE_GOALS_H
#define ZIGGIE_STORE_GOALS_H

#include "store/record.h"

enum {
	GOAL_AGENT_ID = RECORD_HEAD,
	GOAL_PROJECT_ID,
	GOAL_PARENT_GOAL_ID,
	GOAL_DESCRIPTION,
	GOAL_SUCCESS_CRITERIA,
	GOAL_STATUS,
	GOAL_PRIORITY,
	GOAL_COMPLETED_AT,
	GOAL_FIELDS
};

extern const struct field goal_fields[GOAL_FIELDS];
extern const struct record_kind goals;
/* "pending", "active", "completed", "failed", "cancelled"; ends with NULL. */
extern const char *const goal_statuses[];
extern const struct record_state goal_states[];

/* Notes when a goal came to an end, or that it goes on. */
void goal_note_end(struct record *goal, int64_t wall_us);

#endif
