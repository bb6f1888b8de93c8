/*
 * /api/v1/audit: who did what to which record, when, and where from.
 */
#include "store/audit.h"

#include <string.h>

#include "api/api.h"
#include "base/assert.h"
#include "base/clock.h"
#include "http/database.h"
#include "http/paging.h"
#include "http/request.h"

/* As the columns of the table are. */
enum {
	WORD_MOST = 32,
	NAME_MOST = 100,
	ADDRESS_MOST = 45,
	REQUEST_ID_MOST = 64,
	JSON_MOST = 16 << 20
};

static const struct field row_fields[] = {
    {"id", FIELD_ID, FIELD_REQUIRED, .summary = "The entry's id"},
    {"at", FIELD_TIME, FIELD_REQUIRED, .summary = "When"},
    {"username", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, 0, NAME_MOST,
     .summary = "Who, by the name of that time; of a refused sign-in the name that was tried"},
    {"user_id", FIELD_ID, FIELD_REQUIRED | FIELD_NULL, .summary = "The account; null for nobody"},
    {"key_id", FIELD_ID, FIELD_REQUIRED | FIELD_NULL, .summary = "The API key, if one was used"},
    {"agent_id", FIELD_ID, FIELD_REQUIRED | FIELD_NULL,
     .summary = "The agent that the key acts as"},
    {"action", FIELD_STRING, FIELD_REQUIRED, 1, WORD_MOST,
     .summary = "create, update, delete, login, login_failed …"},
    {"resource", FIELD_STRING, FIELD_REQUIRED, 1, WORD_MOST, .summary = "The kind of record"},
    {"record_id", FIELD_ID, FIELD_REQUIRED | FIELD_NULL, .summary = "The record"},
    {"before", FIELD_OBJECT, FIELD_REQUIRED | FIELD_NULL, .max = JSON_MOST,
     .summary = "What was changed, as it was"},
    {"after", FIELD_OBJECT, FIELD_REQUIRED | FIELD_NULL, .max = JSON_MOST,
     .summary = "What was changed, as it is since"},
    {"remote_address", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, 1, ADDRESS_MOST,
     .summary = "Where from; ziggiectl for the operator's command line"},
    {"request_id", FIELD_STRING, FIELD_REQUIRED | FIELD_NULL, 1, REQUEST_ID_MOST,
     .summary = "As in the log"},
};
static const struct schema row_schema = SCHEMA("AuditEntry", row_fields);
static const struct field list_fields[] = {PAGING_ANSWERS(&row_schema)};
static const struct schema list_schema = SCHEMA("AuditList", list_fields);

enum { QUERY_RESOURCE, QUERY_USER };
static const struct field query_fields[] = {
    [QUERY_RESOURCE] = {"resource", FIELD_STRING, 0, 1, WORD_MOST,
			.summary = "Only this kind of record"},
    [QUERY_USER] = {"user", FIELD_STRING, 0, 1, NAME_MOST, .summary = "Only what this name did"},
    {"record", FIELD_ID, .summary = "Only this record"},
    {"from", FIELD_TIME, .summary = "Not what was before"},
    {"to", FIELD_TIME, .summary = "Not what was then or later"},
    PAGING_TAKES,
};
static const struct schema query_schema = SCHEMA("AuditQuery", query_fields);

struct asked {
	struct audit_query query;
	struct uuid record, continues;
};

/* A text that the row of that name takes. */
static enum err read_text(const struct http_request *r, size_t field, const char **out,
			  struct errmsg *why)
{
	enum err err = http_query(r, query_fields[field].name, out, why);
	if (err != ERR_OK || *out == NULL || field_takes_text(&query_fields[field], *out))
		return err;
	return err_set(why, ERR_INVALID, "%s: is not a value of this field",
		       query_fields[field].name);
}

static enum err read_time(const struct http_request *r, const char *name, int64_t *out,
			  struct errmsg *why)
{
	const char *text;
	enum err err = http_query(r, name, &text, why);
	if (err != ERR_OK || text == NULL || clock_parse_utc(text, out))
		return err;
	return err_set(why, ERR_INVALID, "%s: must be a time such as 2026-01-31T23:59:59Z", name);
}

static enum err read_record(const struct http_request *r, struct asked *out, struct errmsg *why)
{
	const char *text;
	enum err err = http_query(r, "record", &text, why);
	if (err != ERR_OK || text == NULL)
		return err;
	if (!uuid_parse(text, &out->record))
		return err_set(why, ERR_INVALID, "record: must be an id (a UUID)");
	out->query.record = &out->record;
	return ERR_OK;
}

static enum err read_cursor(const struct paging *page, struct asked *out, struct errmsg *why)
{
	if (page->after_len == 0)
		return ERR_OK;
	if (page->after_len != sizeof(out->continues.bytes))
		return paging_bad_cursor(why);
	memcpy(out->continues.bytes, page->after, page->after_len);
	out->query.continues = &out->continues;
	return ERR_OK;
}

static enum err read_query(const struct http_request *r, struct paging *page, struct asked *out,
			   struct errmsg *why)
{
	struct audit_query *query = &out->query;
	enum err err = http_query_known(r, &query_schema, why);
	if (err == ERR_OK)
		err = paging_read(r, page, why);
	if (err == ERR_OK)
		err = read_text(r, QUERY_RESOURCE, &query->resource, why);
	if (err == ERR_OK)
		err = read_text(r, QUERY_USER, &query->username, why);
	if (err == ERR_OK)
		err = read_record(r, out, why);
	if (err == ERR_OK)
		err = read_time(r, "from", &query->from_us, why);
	if (err == ERR_OK)
		err = read_time(r, "to", &query->to_us, why);
	if (err == ERR_OK)
		err = read_cursor(page, out, why);
	if (err != ERR_OK)
		return err;
	query->skip = page->offset;
	query->limit = page->limit + 1;
	return ERR_OK;
}

static void put_id(struct json_writer *w, const char *key, const struct uuid *id)
{
	char text[UUID_TEXT_MAX];
	uuid_format(id, text);
	json_put_string(w, key, uuid_is_nil(id) ? NULL : text);
}

static void put_json(struct json_writer *w, const char *key, const char *json)
{
	json_key(w, key);
	if (json == NULL)
		json_null(w);
	else
		json_raw(w, json, strlen(json));
}

static void put_row(struct json_writer *w, const struct audit_row *row)
{
	json_object(w);
	put_id(w, "id", &row->id);
	json_put_time(w, "at", row->at_us);
	json_put_string(w, "username", row->username);
	put_id(w, "user_id", &row->user_id);
	put_id(w, "key_id", &row->key_id);
	put_id(w, "agent_id", &row->agent_id);
	json_put_string(w, "action", row->action);
	json_put_string(w, "resource", row->resource);
	put_id(w, "record_id", &row->record);
	put_json(w, "before", row->before);
	put_json(w, "after", row->after);
	json_put_string(w, "remote_address", row->remote_addr);
	json_put_string(w, "request_id", row->request_id);
	json_end(w);
}

static enum err get_audit(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	struct paging page;
	struct asked asked = {.query = {.limit = 0}};
	struct audit_list list;
	struct db_conn *db;
	enum err err = read_query(r, &page, &asked, why);
	if (err == ERR_OK)
		err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = audit_list(db, r->arena, &asked.query, &list, why);
	http_db_return(r, db);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	bool more = list.count > page.limit;
	size_t shown = more ? page.limit : list.count;
	page.total_is_min = list.total_is_min;
	paging_begin(&w, &response->body);
	for (size_t i = 0; i < shown; i++)
		put_row(&w, &list.rows[i]);
	const struct uuid *last = more ? &list.rows[shown - 1].id : NULL;
	paging_end(&w, r, response, &page, list.total,
		   last != NULL ? (const char *)last->bytes : NULL, sizeof(last->bytes));
	return ERR_OK;
}

const struct route audit_routes[] = {
    ROUTE(HTTP_GET, "/api/v1/audit", ACCESS_ADMIN, OTHERS_READ, "audit", RATE_READ, WEIGHT_LIGHT,
	  BODY_NONE, get_audit, "Who did what to which record, the newest first",
	  .takes = &query_schema, .answers = &list_schema),
};
const size_t audit_route_count = ARRAY_LEN(audit_routes);
