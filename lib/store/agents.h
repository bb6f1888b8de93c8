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

/* What the did of an agent begins with that an import brought; its id at the source follows. */
#define AGENT_DID_PREFIX "did:ziggie:"

extern const struct field agent_fields[AGENT_FIELDS];
extern const struct record_kind agents;

/* Notes that it is alive, without a new version; ERR_NOT_FOUND when it is not there. */
enum err agents_beat(struct db_conn *db, const struct uuid *id, int64_t wall_us,
		     struct errmsg *why);

#endif
