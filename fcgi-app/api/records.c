#include "api/records.h"

#include <string.h>

#include "base/assert.h"
#include "http/audit.h"
#include "http/conditional.h"
#include "http/database.h"
#include "http/idempotent.h"
#include "json/writer.h"
#include "store/record_audit.h"
#include "store/record_batch.h"

/* A write: what its transaction is given, and what it leaves. */
struct writing {
	struct http_request *r;
	const struct resource *resource;
	struct uuid id;             /* of the record that there is */
	struct record before;       /* as it was */
	struct record after;        /* as it is now */
	record_edit *edit;          /* instead of the body's values */
	record_taking *taking;      /* instead of the id */
	struct strbuf body;         /* the answer */
	const char *location;       /* of a POST */
	struct idempotent *attempt; /* with an Idempotency-Key */
};

enum err records_path_id(const struct http_request *r, struct uuid *out, struct errmsg *why)
{
	if (uuid_parse(http_path_arg(r, "id"), out))
		return ERR_OK;
	return err_set(why, ERR_NOT_FOUND, "there is no such %s", r->route->resource->kind->name);
}

enum err records_may_change(const struct http_request *r, const struct record *record,
			    struct errmsg *why)
{
	struct uuid owner;
	if (r->route->others == OTHERS_CHANGED || r->principal.role == ROLE_ADMIN)
		return ERR_OK;
	if (record_uuid(record, RECORD_OWNER_ID, &owner) &&
	    uuid_equal(&owner, &r->principal.user_id))
		return ERR_OK;
	return err_set(why, ERR_FORBIDDEN, "this %s belongs to somebody else", record->kind->name);
}

enum err records_act_as(const struct http_request *r, const struct uuid *agent, struct errmsg *why)
{
	if (uuid_is_nil(&r->principal.agent_id) || uuid_equal(&r->principal.agent_id, agent))
		return ERR_OK;
	return err_set(why, ERR_FORBIDDEN, "this key acts as another agent");
}

/* Whose a new record is, and must be. */
static enum err own_agent(const struct http_request *r, struct record *record, struct errmsg *why)
{
	size_t column = r->route->resource->agent;
	struct uuid agent;
	if (column == NO_AGENT)
		return ERR_OK;
	if (record_uuid(record, column, &agent))
		return records_act_as(r, &agent, why);
	if (!uuid_is_nil(&r->principal.agent_id))
		record_set(record, column,
			   db_blob(r->principal.agent_id.bytes, sizeof(agent.bytes)));
	return ERR_OK;
}

enum err records_check_agents(const struct http_request *r, const struct record *from,
			      const struct record *to, struct errmsg *why)
{
	size_t column = r->route->resource->agent;
	struct uuid agent;
	enum err err = ERR_OK;
	if (column == NO_AGENT)
		return ERR_OK;
	if (record_uuid(from, column, &agent))
		err = records_act_as(r, &agent, why);
	if (err == ERR_OK && record_uuid(to, column, &agent))
		err = records_act_as(r, &agent, why);
	return err;
}

enum err records_check_parent(struct db_conn *db, const struct record *record, size_t column,
			      struct errmsg *why)
{
	struct uuid id, parent;
	bool above;
	AN_INVARIANT(record_uuid(record, RECORD_ID, &id));
	if (!record_uuid(record, column, &parent))
		return ERR_OK;
	enum err err = record_is_above(db, record->kind, column, &parent, &id, &above, why);
	if (err == ERR_OK && above)
		return err_set(why, ERR_INVALID, "%s: is the %s itself or one below it",
			       record->kind->fields[column].name, record->kind->name);
	return err;
}

/* Answers */

/* The record as text. */
static enum err render(const struct record *record, struct strbuf *out, struct errmsg *why)
{
	struct json_writer w;
	strbuf_clear(out);
	json_init(&w, out);
	json_object(&w);
	record_put(&w, record);
	json_end(&w);
	return out->failed ? err_set(why, ERR_NOMEM, "out of memory for the record") : ERR_OK;
}

static enum err audit(const struct http_request *r, struct db_conn *db, const char *action,
		      const struct record *before, const struct record *after, struct errmsg *why)
{
	const struct audit_entry by = http_audit_origin(r);
	return record_audit(db, &by, action, before, after, why);
}

/* Reading */

static enum err borrow(void *request, struct db_conn **db, struct errmsg *why)
{
	return http_db_borrow(request, db, why);
}

static void give_back(void *request, struct db_conn *db)
{
	http_db_return(request, db);
}

static enum err read_one(struct http_request *r, struct record *record, struct errmsg *why)
{
	const struct record_access access = {borrow, give_back, r, r->deadline};
	struct uuid id;
	enum err err = records_path_id(r, &id, why);
	if (err != ERR_OK)
		return err;
	/* Waiting for others is waiting for the database, too. */
	http_phase_enter(r, PHASE_DB);
	err = record_batch_find(r->app->reads, &access, r->arena, r->route->resource->kind, &id,
				record, why);
	http_phase_enter(r, PHASE_HANDLER);
	return err;
}

enum err records_get(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	struct record record;
	enum err err = read_one(r, &record, why);
	if (err == ERR_OK)
		err = render(&record, &response->body, why);
	if (err == ERR_OK)
		etag_header(response, record_int(&record, RECORD_VERSION));
	return err;
}

enum err records_get_part(struct http_request *r, struct http_response *response,
			  const size_t *fields, size_t count, struct errmsg *why)
{
	struct record record;
	struct json_writer w;
	enum err err = read_one(r, &record, why);
	if (err != ERR_OK)
		return err;
	json_init(&w, &response->body);
	json_object(&w);
	for (size_t i = 0; i < count; i++)
		record_put_field(&w, &record, fields[i]);
	json_end(&w);
	etag_header(response, record_int(&record, RECORD_VERSION));
	return ERR_OK;
}

/* Writing */

static enum err insert(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct writing *w = arg;
	const struct resource *resource = w->resource;
	enum err err = own_agent(w->r, &w->after, why);
	if (err == ERR_OK && resource->before_insert != NULL)
		err = resource->before_insert(w->r, db, &w->after, why);
	if (err == ERR_OK)
		err = record_insert(db, &w->after, why);
	if (err == ERR_OK && resource->after_insert != NULL)
		err = resource->after_insert(w->r, db, &w->after, why);
	if (err == ERR_OK)
		err = audit(w->r, db, "create", NULL, &w->after, why);
	if (err == ERR_OK)
		err = render(&w->after, &w->body, why);
	if (err == ERR_OK && w->attempt != NULL)
		err = idempotent_keep(w->attempt, db, w->r->route->status, &w->body, why);
	return err == ERR_OK ? record_tally(db, NULL, &w->after, why) : err;
}

static const char *location_of(struct http_request *r, const struct record *record)
{
	char text[UUID_TEXT_MAX];
	struct uuid id;
	AN_INVARIANT(record_uuid(record, RECORD_ID, &id));
	uuid_format(&id, text);
	return arena_printf(r->arena, "%s/%s", r->route->resource->path, text);
}

static enum err create(struct writing *w, struct errmsg *why)
{
	struct http_request *r = w->r;
	enum err err = record_make(r->arena, w->resource->kind, r->values, &r->principal.user_id,
				   &w->after, why);
	if (err != ERR_OK)
		return err;
	w->location = location_of(r, &w->after);
	if (w->location == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for the record");
	if (w->attempt != NULL)
		idempotent_names(w->attempt, w->location, 1);
	return http_db_transaction(r, insert, w, why);
}

/* Makes or takes a record, once for each Idempotency-Key, and answers with it. */
static enum err do_once(struct writing *w, enum err (*work)(struct writing *w, struct errmsg *why),
			struct http_response *response, struct errmsg *why)
{
	struct idempotent attempt;
	bool answered, keyed;
	enum err err = idempotent_begin(&attempt, w->r, response, &keyed, &answered, why);
	if (err != ERR_OK || answered)
		return err;
	w->resource = w->r->route->resource;
	w->body = response->body;
	w->attempt = keyed ? &attempt : NULL;
	err = work(w, why);
	response->body = w->body;
	if (err != ERR_OK) {
		if (keyed)
			idempotent_drop(&attempt, err);
		return err;
	}
	if (w->location != NULL)
		http_header(response, "Location", w->location);
	etag_header(response, record_int(&w->after, RECORD_VERSION));
	return ERR_OK;
}

enum err records_post(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	struct writing w = {.r = r};
	return do_once(&w, create, response, why);
}

/* Whether the record that was read may be changed by the one who asks. */
static enum err check_before(struct writing *w, struct errmsg *why)
{
	enum err err = records_may_change(w->r, &w->before, why);
	if (err == ERR_OK)
		err = check_if_match(w->r, record_int(&w->before, RECORD_VERSION), why);
	return err;
}

static enum err store_change(struct writing *w, struct db_conn *db, struct errmsg *why)
{
	const struct resource *resource = w->resource;
	if (!record_differs(&w->before, &w->after)) {
		w->after = w->before;
		return ERR_OK;
	}
	enum err err = record_update(db, &w->before, &w->after, why);
	if (err == ERR_OK && resource->after_update != NULL)
		err = resource->after_update(w->r, db, &w->before, &w->after, why);
	if (err == ERR_OK)
		err = audit(w->r, db, "update", &w->before, &w->after, why);
	return err == ERR_OK ? record_tally(db, &w->before, &w->after, why) : err;
}

static enum err update(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct writing *w = arg;
	const struct resource *resource = w->resource;
	static const struct field_value nothing[RECORD_FIELDS_MAX];
	enum err err = record_batch_peek(w->r->app->reads, db, w->r->arena, resource->kind, &w->id,
					 &w->before, why);
	if (err == ERR_OK)
		err = check_before(w, why);
	if (err == ERR_OK)
		err = record_change(w->r->arena, &w->before,
				    w->edit == NULL ? w->r->values : nothing, &w->after, why);
	if (err == ERR_OK && w->edit != NULL)
		err = w->edit(w->r, db, &w->before, &w->after, why);
	if (err == ERR_OK)
		err = record_check_state(&w->before, &w->after, why);
	if (err == ERR_OK && w->edit == NULL)
		err = records_check_agents(w->r, &w->before, &w->after, why);
	if (err == ERR_OK && w->edit == NULL && resource->before_update != NULL)
		err = resource->before_update(w->r, db, &w->before, &w->after, why);
	if (err == ERR_OK)
		err = store_change(w, db, why);
	if (err == ERR_OK)
		err = render(&w->after, &w->body, why);
	return err;
}

static enum err change(struct http_request *r, struct http_response *response, record_edit *fn,
		       struct errmsg *why)
{
	struct writing w = {
	    .r = r, .resource = r->route->resource, .edit = fn, .body = response->body};
	enum err err = records_path_id(r, &w.id, why);
	if (err == ERR_OK)
		err = http_db_transaction(r, update, &w, why);
	response->body = w.body;
	if (err == ERR_OK)
		etag_header(response, record_int(&w.after, RECORD_VERSION));
	return err;
}

enum err records_edit(struct http_request *r, struct http_response *response, record_edit *fn,
		      struct errmsg *why)
{
	return change(r, response, fn, why);
}

static enum err take_one(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct writing *w = arg;
	enum err err = w->taking(w->r, db, &w->before, &w->after, why);
	if (err == ERR_OK)
		err = audit(w->r, db, "update", &w->before, &w->after, why);
	if (err == ERR_OK)
		err = render(&w->after, &w->body, why);
	if (err == ERR_OK && w->attempt != NULL) {
		idempotent_names(w->attempt, NULL, record_int(&w->after, RECORD_VERSION));
		err = idempotent_keep(w->attempt, db, 200, &w->body, why);
	}
	return err == ERR_OK ? record_tally(db, &w->before, &w->after, why) : err;
}

static enum err take(struct writing *w, struct errmsg *why)
{
	return http_db_transaction(w->r, take_one, w, why);
}

enum err records_take(struct http_request *r, struct http_response *response, record_taking *fn,
		      struct errmsg *why)
{
	struct writing w = {.r = r, .taking = fn};
	return do_once(&w, take, response, why);
}

enum err records_patch(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	return change(r, response, NULL, why);
}

static enum err remove_one(struct db_conn *db, void *arg, struct errmsg *why)
{
	struct writing *w = arg;
	enum err err = record_lock(db, w->r->arena, w->resource->kind, &w->id, &w->before, why);
	if (err == ERR_OK)
		err = check_before(w, why);
	if (err == ERR_OK)
		err = records_check_agents(w->r, &w->before, &w->before, why);
	if (err == ERR_OK)
		err = record_remove(db, &w->before, why);
	if (err == ERR_OK)
		err = audit(w->r, db, "delete", &w->before, NULL, why);
	return err == ERR_OK ? record_tally(db, &w->before, NULL, why) : err;
}

enum err records_delete(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	(void)response; /* nothing but the row's status */
	struct writing w = {.r = r, .resource = r->route->resource};
	enum err err = records_path_id(r, &w.id, why);
	if (err == ERR_OK)
		err = http_db_transaction(r, remove_one, &w, why);
	return err;
}
