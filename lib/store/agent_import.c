#include "store/agent_import.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "json/writer.h"
#include "store/agents.h"
#include "store/record_audit.h"

/* What the metadata of an imported agent has, in the order of the statement below. */
enum { META_TITLE, META_ROLE, META_CATEGORY, META_DESCRIPTION, META_FILENAME, META_COUNT };

static const char *const meta_names[META_COUNT] = {"title", "role", "category", "description",
						   "filename"};

struct importing {
	struct db_conn *db;
	struct arena *arena;
	const struct agent_source *source;
	const char *meta[META_COUNT]; /* what the source says */
	struct uuid parent;
};

static const char *did_of(struct importing *im, const char *id)
{
	return arena_printf(im->arena, AGENT_DID_PREFIX "%s", id);
}

static struct db_value id_value(const struct uuid *id)
{
	return db_blob(id->bytes, sizeof(id->bytes));
}

static void copy_id(const struct db_result *rows, struct uuid *out)
{
	size_t len;
	const void *id = db_col_blob(rows, 0, 0, &len);
	AN_INVARIANT(len == sizeof(out->bytes));
	memcpy(out->bytes, id, len);
}

/* The agent above it, which must be a level above. */
static enum err find_parent(struct importing *im, struct errmsg *why)
{
	const struct agent_source *s = im->source;
	if (s->parent == NULL)
		return ERR_OK;
	const char *did = did_of(im, s->parent);
	struct db_result rows;
	enum err err = db_query(im->db, im->arena, "SELECT id, level FROM agents WHERE did = ?",
				DB_BINDS(db_text(did)), &rows, why);
	if (err != ERR_OK)
		return err;
	if (did == NULL || rows.row_count == 0)
		return err_set(why, ERR_INVALID, "there is no agent %s to be below", s->parent);
	const char *level = db_col_text(&rows, 0, 1);
	if (level == NULL || level[1] + 1 != s->level[1])
		return err_set(why, ERR_INVALID, "the parent %s is not one level above", s->parent);
	copy_id(&rows, &im->parent);
	return ERR_OK;
}

/* The members of the metadata.  A patch names those too that are to go. */
static enum err describe(struct importing *im, bool patch, const char **out, struct errmsg *why)
{
	STRBUF_CLEANUP text = STRBUF_INIT;
	char modified[CLOCK_TEXT_MAX];
	struct json_writer w;
	json_init(&w, &text);
	json_object(&w);
	for (size_t i = 0; i < META_COUNT; i++)
		if (patch || im->meta[i] != NULL)
			json_put_string(&w, meta_names[i], im->meta[i]);
	clock_format_utc(im->source->modified_us, modified);
	if (im->source->modified_us != 0)
		json_put_string(&w, "modified", modified);
	json_end(&w);
	*out = json_ok(&w) ? arena_strdup(im->arena, text.data) : NULL;
	return *out != NULL ? ERR_OK : err_set(why, ERR_NOMEM, "out of memory for an agent");
}

static void set_columns(struct importing *im, struct record *record, const char *metadata)
{
	record_set_text(record, AGENT_NAME, im->source->name);
	record_set_text(record, AGENT_LEVEL, im->source->level);
	record_set(record, AGENT_PARENT_ID,
		   im->source->parent != NULL ? id_value(&im->parent) : db_null());
	record_set_text(record, AGENT_METADATA, metadata);
}

static enum err create(struct importing *im, const struct audit_entry *by, struct errmsg *why)
{
	static const struct field_value nothing[AGENT_FIELDS];
	static const struct uuid nobody;
	const char *metadata, *status = im->source->status;
	struct record record;
	enum err err = record_make(im->arena, &agents, nothing, &nobody, &record, why);
	if (err == ERR_OK)
		err = describe(im, false, &metadata, why);
	if (err != ERR_OK)
		return err;
	record_set_null(&record, RECORD_OWNER_ID);
	record_set_text(&record, AGENT_DID, did_of(im, im->source->id));
	record_set_text(&record, AGENT_STATUS, status != NULL ? status : "active");
	set_columns(im, &record, metadata);
	err = record_insert(im->db, &record, why);
	return err == ERR_OK ? record_audit(im->db, by, "create", NULL, &record, why) : err;
}

/* Whether the record says what the source says; meta is what its metadata does. */
static bool is_same(const struct importing *im, const struct record *record,
		    const struct db_result *meta)
{
	struct uuid parent;
	bool has_parent = record_uuid(record, AGENT_PARENT_ID, &parent);
	if (has_parent != (im->source->parent != NULL) ||
	    (has_parent && !uuid_equal(&parent, &im->parent)))
		return false;
	if (!import_same_text(record_text(record, AGENT_NAME), im->source->name) ||
	    !import_same_text(record_text(record, AGENT_LEVEL), im->source->level))
		return false;
	for (size_t i = 0; i < META_COUNT; i++)
		if (!import_same_text(db_col_text(meta, 0, 1 + i), im->meta[i]))
			return false;
	return true;
}

/* The metadata that there is, with what the source says. */
static enum err merge(struct importing *im, const struct record *record, const char **out,
		      struct errmsg *why)
{
	const char *patch;
	struct db_result rows;
	enum err err = describe(im, true, &patch, why);
	if (err == ERR_OK)
		err =
		    db_query(im->db, im->arena, "SELECT JSON_MERGE_PATCH(?, ?)",
			     DB_BINDS(record->values[AGENT_METADATA], db_text(patch)), &rows, why);
	if (err == ERR_OK)
		*out = db_col_text(&rows, 0, 0);
	return err;
}

static enum err update(struct importing *im, const struct record *before,
		       const struct audit_entry *by, struct errmsg *why)
{
	static const struct field_value nothing[AGENT_FIELDS];
	const char *metadata;
	struct record record;
	enum err err = merge(im, before, &metadata, why);
	if (err == ERR_OK)
		err = record_change(im->arena, before, nothing, &record, why);
	if (err != ERR_OK)
		return err;
	set_columns(im, &record, metadata);
	err = record_update(im->db, before, &record, why);
	return err == ERR_OK ? record_audit(im->db, by, "update", before, &record, why) : err;
}

/* An agent that is here already; meta is the row that it was found by. */
static enum err adapt(struct importing *im, const struct db_result *meta,
		      const struct audit_entry *by, enum import_outcome *outcome,
		      struct errmsg *why)
{
	struct uuid id;
	struct record record;
	copy_id(meta, &id);
	enum err err = record_lock(im->db, im->arena, &agents, &id, &record, why);
	if (err != ERR_OK)
		return err;
	if (is_same(im, &record, meta))
		*outcome = IMPORT_UNCHANGED;
	else if (im->source->keeps_what_is_newer &&
		 record.values[RECORD_UPDATED_AT].as.i64 >= im->source->modified_us)
		*outcome = IMPORT_KEPT;
	else
		*outcome = IMPORT_UPDATED;
	return *outcome == IMPORT_UPDATED ? update(im, &record, by, why) : ERR_OK;
}

enum err agent_import(struct db_conn *db, struct arena *arena, const struct agent_source *source,
		      const struct audit_entry *by, enum import_outcome *outcome,
		      struct errmsg *why)
{
	static const char sql[] =
	    "SELECT id, JSON_VALUE(metadata, '$.title'), JSON_VALUE(metadata, '$.role'),"
	    " JSON_VALUE(metadata, '$.category'), JSON_VALUE(metadata, '$.description'),"
	    " JSON_VALUE(metadata, '$.filename') FROM agents WHERE did = ? FOR UPDATE";
	struct importing im = {
	    .db = db,
	    .arena = arena,
	    .source = source,
	    .meta = {[META_TITLE] = source->title,
		     [META_ROLE] = source->role,
		     [META_CATEGORY] = source->category,
		     [META_DESCRIPTION] = source->description,
		     [META_FILENAME] = source->filename},
	};
	struct db_result rows;
	enum err err = find_parent(&im, why);
	if (err == ERR_OK)
		err = db_query(db, arena, sql, DB_BINDS(db_text(did_of(&im, source->id))), &rows,
			       why);
	if (err != ERR_OK)
		return err;
	if (rows.row_count > 0)
		return adapt(&im, &rows, by, outcome, why);
	*outcome = IMPORT_CREATED;
	return create(&im, by, why);
}
