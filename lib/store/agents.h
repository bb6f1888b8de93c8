/*
 * Agents: who works on goals and tasks.
 */
#ifndef ZIGGIE_STORE_AGENTS_H
#define ZIGGIE_STORE_AGENTS_H

#include "store/record.h"

enum {
	AGENT_DID = RECORD_HEAD,
	AGENT_NAME,
	AGENT_TYPE,
	AGENT_STATUS,
	AGENT_LEVEL,
	AGENT_PARENT_ID,
	AGENT_CONFIGURATION,
	AGENT_METADATA,
	AGENT_RESOURCE_LIMITS,
	AGENT_LAST_HEARTBEAT,
	AGENT_COLUMNS,
	AGENT_TASK_COUNTS = AGENT_COLUMNS,
	AGENT_FIELDS
};

extern const struct field agent_fields[AGENT_FIELDS];
extern const struct record_kind agents;

/* How many tasks an agent has in each status; the names are those of the statuses. */
struct agent_tasks {
	struct uuid agent_id;
	const char *status;
	int64_t count;
};
/* For all of the agents in one statement; *out is an array in the arena. */
enum err agents_count_tasks(struct db_conn *db, struct arena *arena, const struct record *list,
			    size_t count, struct agent_tasks **out, size_t *out_count,
			    struct errmsg *why);

/* Notes that it is alive, without a new version; ERR_NOT_FOUND when it is not there. */
enum err agents_beat(struct db_conn *db, const struct uuid *id, int64_t wall_us,
		     struct errmsg *why);

#endif
