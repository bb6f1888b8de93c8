#include "store/record_audit.h"

#include "base/assert.h"
#include "base/strbuf.h"
#include "json/writer.h"

static void changes_text(const struct record *record, const struct record *other,
			 struct strbuf *out)
{
	struct json_writer w;
	json_init(&w, out);
	json_object(&w);
	record_put_change(&w, record, other);
	json_end(&w);
}

enum err record_audit(struct db_conn *db, const struct audit_entry *by, const char *action,
		      const struct record *before, const struct record *after, struct errmsg *why)
{
	STRBUF_CLEANUP old = STRBUF_INIT;
	STRBUF_CLEANUP new = STRBUF_INIT;
	struct uuid id;
	const struct record *record = after != NULL ? after : before;
	AN_INVARIANT(record != NULL && record_uuid(record, RECORD_ID, &id));
	if (before != NULL)
		changes_text(before, after, &old);
	if (after != NULL)
		changes_text(after, before, &new);
	if (old.failed || new.failed)
		return err_set(why, ERR_NOMEM, "out of memory for the audit");
	struct audit_entry entry = *by;
	entry.action = action;
	entry.resource = record->kind->name;
	entry.record = &id;
	entry.before = before != NULL ? old.data : NULL;
	entry.after = after != NULL ? new.data : NULL;
	return audit_add(db, &entry, why);
}
