#include "store/record_totals.h"

#include "store/record_sql.h"

/*
 * One statement sees one state of the database, and whoever adds or removes a record counts it in
 * the same transaction: the difference is exact without a lock, whatever is written meanwhile.
 */
static enum err difference(struct db_conn *db, const struct record_kind *kind, int64_t *out,
			   struct errmsg *why)
{
	STRBUF_CLEANUP sql = STRBUF_INIT;
	struct arena arena;
	struct db_result row;
	strbuf_addf(&sql,
		    "SELECT CAST((SELECT COUNT(*) FROM %s) - (SELECT COALESCE(SUM(records), 0)"
		    " FROM record_counts WHERE kind = ?) AS SIGNED)",
		    kind->table);
	arena_init(&arena, 512, 4096);
	enum err err = sql_query(db, &arena, &sql, DB_BINDS(db_text(kind->name)), &row, why);
	*out = err == ERR_OK ? db_col_i64(&row, 0, 0) : 0;
	arena_release(&arena);
	return err;
}

struct mending {
	const struct record_kind *kind;
	int64_t off;
};

/* Two who mend at the same time would mend twice: the second waits here, and looks again. */
static enum err mend(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct mending *m = arg;
	enum err err = record_count(db, m->kind, 0, 0, why);
	if (err == ERR_OK)
		err = difference(db, m->kind, &m->off, why);
	return err == ERR_OK ? record_count(db, m->kind, 0, m->off, why) : err;
}

enum err record_verify_total(struct db_conn *db, const struct record_kind *kind, int64_t *off,
			     struct errmsg *why)
{
	struct mending m = {.kind = kind};
	enum err err = difference(db, kind, off, why);
	if (err != ERR_OK || *off == 0)
		return err;
	err = db_transaction(db, mend, &m, why);
	*off = m.off;
	return err;
}
