#include "store/service_import.h"

#include <string.h>

#include "base/assert.h"
#include "base/strbuf.h"
#include "json/writer.h"

static struct db_value id_value(const struct uuid *id)
{
	return db_blob(id->bytes, sizeof(id->bytes));
}

static struct db_value number_or_null(int64_t number)
{
	return number != 0 ? db_i64(number) : db_null();
}

static void put_number(struct json_writer *w, const char *key, int64_t number)
{
	if (number != 0)
		json_put_int(w, key, number);
	else
		json_put_null(w, key);
}

static void describe(struct strbuf *out, const struct imported_service *s)
{
	struct json_writer w;
	json_init(&w, out);
	json_object(&w);
	json_put_string(&w, "name", s->name);
	json_put_string(&w, "description", s->description);
	json_put_string(&w, "status", s->status);
	json_put_string(&w, "health", s->health);
	put_number(&w, "port", s->port);
	put_number(&w, "pid", s->pid);
	json_put_bool(&w, "is_system", s->is_system);
	json_end(&w);
}

static enum err note(struct db_conn *db, const struct audit_entry *by, const struct uuid *id,
		     const struct imported_service *before, const struct imported_service *after,
		     struct errmsg *why)
{
	STRBUF_CLEANUP old = STRBUF_INIT;
	STRBUF_CLEANUP new = STRBUF_INIT;
	struct audit_entry entry = *by;
	entry.action = before != NULL ? "update" : "create";
	entry.resource = "service";
	entry.record = id;
	if (before != NULL)
		describe(&old, before);
	describe(&new, after);
	if (old.failed || new.failed)
		return err_set(why, ERR_NOMEM, "out of memory for the audit");
	entry.before = before != NULL ? old.data : NULL;
	entry.after = new.data;
	return audit_add(db, &entry, why);
}

static enum err add(struct db_conn *db, const struct imported_service *s,
		    const struct audit_entry *by, struct errmsg *why)
{
	static const char sql[] =
	    "INSERT INTO services (id, name, description, status, health, port, pid, is_system,"
	    " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
	struct uuid id;
	uuid_new(&id);
	enum err err = db_exec(
	    db, sql,
	    DB_BINDS(id_value(&id), db_text(s->name), db_text(s->description), db_text(s->status),
		     db_text(s->health), number_or_null(s->port), number_or_null(s->pid),
		     db_bool(s->is_system), db_time(s->created_us), db_time(s->updated_us)),
	    NULL, why);
	return err == ERR_OK ? note(db, by, &id, NULL, s, why) : err;
}

static enum err change(struct db_conn *db, const struct uuid *id,
		       const struct imported_service *here, const struct imported_service *s,
		       const struct audit_entry *by, struct errmsg *why)
{
	static const char sql[] =
	    "UPDATE services SET description = ?, status = ?, health = ?, port = ?, pid = ?,"
	    " is_system = ?, updated_at = ? WHERE id = ?";
	enum err err =
	    db_exec(db, sql,
		    DB_BINDS(db_text(s->description), db_text(s->status), db_text(s->health),
			     number_or_null(s->port), number_or_null(s->pid), db_bool(s->is_system),
			     db_time(s->updated_us), id_value(id)),
		    NULL, why);
	return err == ERR_OK ? note(db, by, id, here, s, why) : err;
}

static bool is_same(const struct imported_service *a, const struct imported_service *b)
{
	return import_same_text(a->description, b->description) &&
	       import_same_text(a->status, b->status) && import_same_text(a->health, b->health) &&
	       a->port == b->port && a->pid == b->pid && a->is_system == b->is_system;
}

/* Locks the one of that name; *found is false when there is none. */
static enum err find(struct db_conn *db, struct arena *arena, const char *name, bool *found,
		     struct uuid *id, struct imported_service *out, struct errmsg *why)
{
	static const char sql[] = "SELECT id, description, status, health, port, pid, is_system,"
				  " updated_at FROM services WHERE name = ? FOR UPDATE";
	struct db_result rows;
	size_t len;
	enum err err = db_query(db, arena, sql, DB_BINDS(db_text(name)), &rows, why);
	*found = err == ERR_OK && rows.row_count > 0;
	if (!*found)
		return err;
	const void *bytes = db_col_blob(&rows, 0, 0, &len);
	AN_INVARIANT(bytes != NULL && len == sizeof(id->bytes));
	memcpy(id->bytes, bytes, len);
	*out = (struct imported_service){.name = name,
					 .description = db_col_text(&rows, 0, 1),
					 .status = db_col_text(&rows, 0, 2),
					 .health = db_col_text(&rows, 0, 3),
					 .port = db_col_i64(&rows, 0, 4),
					 .pid = db_col_i64(&rows, 0, 5),
					 .is_system = db_col_bool(&rows, 0, 6),
					 .updated_us = db_col_time_us(&rows, 0, 7)};
	return ERR_OK;
}

enum err service_import(struct db_conn *db, struct arena *arena,
			const struct imported_service *source, const struct audit_entry *by,
			enum import_outcome *outcome, struct errmsg *why)
{
	struct imported_service here;
	struct uuid id;
	bool found;
	enum err err = find(db, arena, source->name, &found, &id, &here, why);
	if (err != ERR_OK)
		return err;
	*outcome = IMPORT_CREATED;
	if (!found)
		return add(db, source, by, why);
	if (is_same(&here, source))
		*outcome = IMPORT_UNCHANGED;
	else
		*outcome = here.updated_us < source->updated_us ? IMPORT_UPDATED : IMPORT_KEPT;
	return *outcome == IMPORT_UPDATED ? change(db, &id, &here, source, by, why) : ERR_OK;
}
