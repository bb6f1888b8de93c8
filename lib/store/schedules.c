#include "store/schedules.h"

#include "store/jobs.h"

static struct db_value id_value(const struct uuid *id)
{
	return db_blob(id->bytes, sizeof(id->bytes));
}

/* MariaDB assigns from left to right: the fence looks at who held it before. */
enum err lease_take(struct db_conn *db, const char *name, const struct uuid *holder,
		    int64_t lease_ms, bool *held, struct errmsg *why)
{
	static const char sql[] =
	    "UPDATE leases SET fence = fence + IF(holder <=> ?, 0, 1), holder = ?,"
	    " held_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND WHERE name = ?"
	    " AND (holder = ? OR held_until IS NULL OR held_until < UTC_TIMESTAMP(6))";
	const struct db_value id = id_value(holder);
	uint64_t affected = 0;
	enum err err = db_exec(
	    db, sql, DB_BINDS(id, id, db_i64(lease_ms * 1000), db_text(name), id), &affected, why);
	*held = err == ERR_OK && affected > 0;
	return err;
}

enum err lease_give_up(struct db_conn *db, const char *name, const struct uuid *holder,
		       struct errmsg *why)
{
	return db_exec(db,
		       "UPDATE leases SET holder = NULL, held_until = NULL"
		       " WHERE name = ? AND holder = ?",
		       DB_BINDS(db_text(name), id_value(holder)), NULL, why);
}

struct running {
	const struct uuid *holder;
	const struct job_type *types;
	size_t count;
	struct arena *arena;
	uint64_t made;
};

/* Nobody else can take the lease before this transaction ends. */
static enum err lock_lease(struct db_conn *db, const struct running *s, struct errmsg *why)
{
	static const char sql[] = "SELECT 1 FROM leases WHERE name = 'scheduler' AND holder = ?"
				  " AND held_until > UTC_TIMESTAMP(6) FOR UPDATE";
	struct db_result row;
	enum err err = db_query(db, s->arena, sql, DB_BINDS(id_value(s->holder)), &row, why);
	if (err == ERR_OK && row.row_count == 0)
		return err_set(why, ERR_CONFLICT, "another host is the scheduler by now");
	return err;
}

/* Moves the time on when it has come. */
static enum err is_due(struct db_conn *db, const struct job_type *type, bool *due,
		       struct errmsg *why)
{
	static const char first[] =
	    "INSERT IGNORE INTO schedules (job_type, next_at) VALUES (?, UTC_TIMESTAMP(6))";
	static const char next[] =
	    "UPDATE schedules SET next_at = UTC_TIMESTAMP(6) + INTERVAL ? SECOND"
	    " WHERE job_type = ? AND next_at <= UTC_TIMESTAMP(6)";
	uint64_t affected = 0;
	enum err err = db_exec(db, first, DB_BINDS(db_text(type->name)), NULL, why);
	if (err == ERR_OK)
		err = db_exec(db, next, DB_BINDS(db_i64(type->every_s), db_text(type->name)),
			      &affected, why);
	*due = affected > 0;
	return err;
}

static enum err make(struct db_conn *db, struct running *s, const struct job_type *type,
		     struct errmsg *why)
{
	static const struct field_value nothing[JOB_FIELDS];
	static const struct uuid nobody;
	struct record job;
	enum err err = record_make(s->arena, &jobs, nothing, &nobody, &job, why);
	if (err != ERR_OK)
		return err;
	record_set_null(&job, RECORD_OWNER_ID);
	err = job_prepare(db, s->arena, type, &job, why);
	if (err == ERR_OK)
		err = record_insert(db, &job, NULL);
	if (err == ERR_CONFLICT)
		return ERR_OK; /* the one before is not done yet */
	s->made += err == ERR_OK;
	return err;
}

static enum err run(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct running *s = arg;
	s->made = 0;
	enum err err = lock_lease(db, s, why);
	for (size_t i = 0; i < s->count && err == ERR_OK; i++) {
		bool due = false;
		if (s->types[i].every_s == 0)
			continue;
		err = is_due(db, &s->types[i], &due, why);
		if (err == ERR_OK && due)
			err = make(db, s, &s->types[i], why);
	}
	return err;
}

enum err schedules_run(struct db_conn *db, const struct uuid *holder, const struct job_type *types,
		       size_t count, uint64_t *made, struct errmsg *why)
{
	struct arena arena;
	arena_init(&arena, 4096, 1 << 20);
	struct running s = {.holder = holder, .types = types, .count = count, .arena = &arena};
	enum err err = db_transaction(db, run, &s, why);
	*made = err == ERR_OK ? s.made : 0;
	arena_release(&arena);
	return err;
}
