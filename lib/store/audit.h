/*
 * The audit: who did what to which record, and where from.
 *
 * Whoever writes adds a row inside the same transaction, so that there is neither a
 * write without its row nor a row without its write:
 *
 *	err = tasks_update(db, &task, why);
 *	if (err == ERR_OK)
 *		err = audit_add(db, &(struct audit_entry){.who = &r->principal,
 *		    .action = "update", .resource = "task", .record = &task.id,
 *		    .before = before, .after = after}, why);
 *
 * A handler calls http_audit() of http/audit.h, which knows the request.
 */
#ifndef ZIGGIE_STORE_AUDIT_H
#define ZIGGIE_STORE_AUDIT_H

#include "auth/principal.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"
#include "db/db.h"

/* What is NULL is not known.  Texts are borrowed until the call returns. */
struct audit_entry {
	const struct principal *who; /* with ROLE_NONE nobody is known */
	const char *username;        /* in place of who: a name that was only claimed */
	const char *action;   /* "create", "update", "delete", "login": up to 32 characters */
	const char *resource; /* "task": the kind of record, up to 32 characters */
	const struct uuid *record;
	const char *before, *after; /* JSON objects: what the write changed; never a secret */
	const char *remote_addr;
	const char *request_id;
};

/* Adds the row, with an id and the time of now. */
enum err audit_add(struct db_conn *db, const struct audit_entry *entry, struct errmsg *why);

/* A row as it is read; texts belong to the arena, ids that are not known are nil. */
struct audit_row {
	struct uuid id;
	int64_t at_us;
	const char *username;
	struct uuid user_id, key_id, agent_id;
	const char *action;
	const char *resource;
	struct uuid record;
	const char *before, *after;
	const char *remote_addr;
	const char *request_id;
};

/* Which rows, the newest first.  NULL and 0 ask for all. */
struct audit_query {
	const char *resource;
	const char *username;
	const struct uuid *record;
	int64_t from_us, to_us;       /* from included, to not */
	const struct uuid *continues; /* the last row of the page before */
	uint64_t skip, limit;
};

struct audit_list {
	struct audit_row *rows;
	size_t count;
	uint64_t total;
	bool total_is_min; /* there are at least so many: AUDIT_TOTAL_MAX */
};
enum { AUDIT_TOTAL_MAX = 1000 };

enum err audit_list(struct db_conn *db, struct arena *arena, const struct audit_query *query,
		    struct audit_list *out, struct errmsg *why);

/* The statement of that list, for the test that looks at how the server would run it. */
struct strbuf;
void audit_list_sql(const struct audit_query *query, struct strbuf *out);

/* Deletes at most `most` rows from before that time, the oldest first. */
enum err audit_remove_before(struct db_conn *db, int64_t wall_us, unsigned most, uint64_t *removed,
			     struct errmsg *why);

#endif
