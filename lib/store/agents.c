#include "store/agents.h"

#include "base/assert.h"
#include "base/strbuf.h"
#include "store/record_sql.h"
#include "store/tasks.h"

static const char *const statuses[] = {"created",   "active",     "idle",  "busy",
				       "suspended", "terminated", "error", NULL};
static const char *const levels[] = {"L1", "L2", "L3", NULL};

enum { WRITABLE = FIELD_CREATE | FIELD_PATCH, JSON_MAX = 65536 };

#define NO_TASKS(comma, status) comma "\"" status "\":0"

const struct field agent_fields[AGENT_FIELDS] = {
    RECORD_HEAD_FIELDS,
    [AGENT_DID] = {"did", FIELD_STRING, WRITABLE | FIELD_NULL, 1, 255,
		   .summary = "A decentralized identifier; no two agents share one"},
    [AGENT_NAME] = {"name", FIELD_STRING, WRITABLE | FIELD_REQUIRED, 1, 200,
		    .summary = "What people call it"},
    [AGENT_TYPE] = {"agent_type", FIELD_STRING, WRITABLE, 1, 64, .initial = "\"generic\"",
		    .summary = "What kind of agent it is"},
    [AGENT_STATUS] = {"status", FIELD_WORD, WRITABLE, .words = statuses, .initial = "\"created\"",
		      .summary = "What it is doing"},
    [AGENT_LEVEL] = {"level", FIELD_WORD, WRITABLE | FIELD_NULL, .words = levels,
		     .summary = "Where it stands in the hierarchy; L1 is the top"},
    [AGENT_PARENT_ID] = {"parent_id", FIELD_ID, WRITABLE | FIELD_NULL,
			 .summary = "The agent above it"},
    [AGENT_CONFIGURATION] = {"configuration", FIELD_OBJECT, WRITABLE, .max = JSON_MAX,
			     .initial = "{}", .summary = "Its settings"},
    [AGENT_METADATA] = {"metadata", FIELD_OBJECT, WRITABLE, .max = JSON_MAX, .initial = "{}",
			.summary = "What else is known about it"},
    [AGENT_RESOURCE_LIMITS] = {"resource_limits", FIELD_OBJECT, WRITABLE, .max = JSON_MAX,
			       .initial = "{}", .summary = "What it may use"},
    [AGENT_LAST_HEARTBEAT] = {"last_heartbeat", FIELD_TIME, FIELD_NULL,
			      .summary = "When it was last heard of"},
    [AGENT_TASK_COUNTS] = {"task_counts", FIELD_OBJECT, .of = &task_counts_schema,
			   .initial = "{" TASK_STATUS_ROWS(NO_TASKS) "}",
			   .summary = "How many tasks it has, by status"},
};

/* No row: no task ever, and the field is what it is initially. */
static const char *const computed[] = {"counts"};

static const struct record_order orders[] = {
    RECORD_SORTED("PRIMARY", RECORD_CREATED_AT),
    RECORD_SORTED("agents_updated", RECORD_UPDATED_AT),
    RECORD_SORTED("agents_name", AGENT_NAME),
    RECORD_FILTERED("agents_status", AGENT_STATUS),
    RECORD_FILTERED("agents_type", AGENT_TYPE),
    RECORD_FILTERED("agents_level", AGENT_LEVEL),
    RECORD_FILTERED("agents_parent", AGENT_PARENT_ID),
    RECORD_FILTERED("agents_owner", RECORD_OWNER_ID),
};
static const struct record_reference references[] = {{AGENT_PARENT_ID, "agents", "agent"}};
static const struct record_child children[] = {
    {"agents", "parent_id"}, {"goals", "agent_id"}, {"tasks", "agent_id"}};

const struct record_kind agents = {
    .name = "agent",
    .table = "agents",
    .fields = agent_fields,
    .column_count = AGENT_COLUMNS,
    .field_count = AGENT_FIELDS,
    .computed = computed,
    .join = " LEFT JOIN agent_tasks ON agent_id = id",
    RECORD_ROWS(orders, order_count),
    RECORD_ROWS(references, reference_count),
    RECORD_ROWS(children, child_count),
    .unique = "did",
};

enum err agents_beat(struct db_conn *db, const struct uuid *id, int64_t wall_us, struct errmsg *why)
{
	uint64_t affected;
	enum err err = db_exec(db, "UPDATE agents SET last_heartbeat = ? WHERE id = ?",
			       DB_BINDS(db_time(wall_us), db_blob(id->bytes, sizeof(id->bytes))),
			       &affected, why);
	if (err == ERR_OK && affected == 0)
		return err_set(why, ERR_NOT_FOUND, "there is no such agent");
	return err;
}
