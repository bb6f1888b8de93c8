/*
 * How many tasks an agent has in each status: what it shows as task_counts, kept in the
 * transactions that change tasks so that reading it takes no counting.
 *
 * Who counts holds the agent's row of counts until the transaction ends, and so comes last in
 * it; those of several agents are taken in the order of their ids.
 */
#ifndef ZIGGIE_STORE_AGENT_TASKS_H
#define ZIGGIE_STORE_AGENT_TASKS_H

#include "store/record.h"

/* record_tally() of tasks. */
enum err agent_tasks_tally(struct db_conn *db, const struct record *from, const struct record *to,
			   struct errmsg *why);

/*
 * So many tasks of an agent came to (or, below 0, left) each status, in the order of
 * task_statuses.
 */
enum err agent_tasks_add(struct db_conn *db, const struct uuid *agent, const int changes[],
			 struct errmsg *why);

#endif
