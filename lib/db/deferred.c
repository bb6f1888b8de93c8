#include "db/deferred.h"

#include "base/assert.h"

/* What is known of a change goes into the audit twice: both sides of the largest body. */
enum { CHUNK = 2048, MOST = 8 * 1024 * 1024 };

void deferred_init(struct deferred *d, unsigned attempt)
{
	d->attempt = attempt;
	d->begun = false;
	strbuf_init(&d->sql);
	arena_init(&d->arena, CHUNK, MOST);
	d->value_count = 0;
}

void deferred_release(struct deferred *d)
{
	strbuf_release(&d->sql);
	arena_release(&d->arena);
	d->value_count = 0;
}

static struct db_value copy(struct arena *arena, const struct db_value *value)
{
	struct db_value out = *value;
	if (value->type == DB_TEXT || value->type == DB_BLOB)
		out.as.bytes.data = arena_strndup(arena, value->as.bytes.data, value->as.bytes.len);
	return out;
}

enum err deferred_add(struct deferred *d, const char *sql, const struct db_value *values,
		      size_t value_count, struct errmsg *why)
{
	AN_INVARIANT(deferred_fits(d, value_count));
	if (deferred_any(d))
		strbuf_adds(&d->sql, "; ");
	else
		strbuf_adds(&d->sql, d->begun ? "BEGIN NOT ATOMIC "
					      : "BEGIN NOT ATOMIC START TRANSACTION; ");
	strbuf_adds(&d->sql, sql);
	for (size_t i = 0; i < value_count; i++)
		d->values[d->value_count++] = copy(&d->arena, &values[i]);
	if (d->sql.failed || d->arena.overflowed)
		return err_set(why, ERR_NOMEM, "out of memory for a statement");
	return ERR_OK;
}

void deferred_must_find(struct deferred *d)
{
	strbuf_adds(&d->sql, "; IF ROW_COUNT() = 0 THEN SIGNAL SQLSTATE '40001' SET MESSAGE_TEXT ="
			     " 'changed by another transaction'; END IF");
}

const char *deferred_text(struct deferred *d, bool commit)
{
	d->begun = true;
	strbuf_adds(&d->sql, commit ? "; COMMIT; END" : "; END");
	return d->sql.failed || d->arena.overflowed ? NULL : d->sql.data;
}
