#include "store/audit.h"

#include "base/clock.h"

static struct db_value id_or_null(const struct uuid *id)
{
	return id == NULL || uuid_is_nil(id) ? db_null() : db_blob(id->bytes, sizeof(id->bytes));
}

enum err audit_add(struct db_conn *db, const struct audit_entry *entry, struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO audit (id, at, username, user_id, key_id, agent_id, action, resource,"
	    " record_id, before_json, after_json, remote_address, request_id)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
	static const struct principal nobody = {.role = ROLE_NONE};
	struct uuid id;
	uuid_new(&id);
	bool known = entry->who != NULL && entry->who->role != ROLE_NONE;
	const struct principal *who = known ? entry->who : &nobody;
	return db_exec(db, sql,
		       DB_BINDS(db_blob(id.bytes, sizeof(id.bytes)), db_time(clock_wall_us()),
				db_text(known ? who->username : entry->username),
				id_or_null(&who->user_id), id_or_null(&who->key_id),
				id_or_null(&who->agent_id), db_text(entry->action),
				db_text(entry->resource), id_or_null(entry->record),
				db_text(entry->before), db_text(entry->after),
				db_text(entry->remote_addr), db_text(entry->request_id)),
		       NULL, why);
}
