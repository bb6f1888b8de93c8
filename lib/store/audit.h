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

#endif
