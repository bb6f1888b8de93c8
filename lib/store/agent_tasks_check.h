/*
 * What agents show of their tasks (agent_tasks.h), checked against the tasks themselves.
 */
#ifndef ZIGGIE_STORE_AGENT_TASKS_CHECK_H
#define ZIGGIE_STORE_AGENT_TASKS_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "db/db.h"

/* How far it is; all zeros before the first call. */
struct agent_tasks_check {
	struct uuid last; /* agents up to this id are checked */
	uint64_t agents;  /* so many */
	uint64_t mended;  /* of which the counts were wrong, and are right now */
	bool done;
};

/*
 * Not in a transaction: checks the next agents, at most so many, and mends their counts. Nobody
 * is kept waiting but who changes tasks of an agent whose counts are being mended.
 */
enum err agent_tasks_check_next(struct db_conn *db, struct agent_tasks_check *check, unsigned most,
				struct errmsg *why);

#endif
