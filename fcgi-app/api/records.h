/*
 * What all records of /api/v1 do: made, listed, read, changed and removed over HTTP by
 * the same five handlers.  A route row names its resource, and the resource what is
 * special to it.
 *
 *	POST    201, Location, ETag; an Idempotency-Key is honoured
 *	GET     a record with its ETag; a list with ?limit, ?cursor or ?offset, ?sort and
 *	        the filters that an index of its kind has
 *	PATCH   the fields that the body has; If-Match is honoured
 *	DELETE  204; If-Match is honoured
 *
 * Whose records a row may change is its column `others`, and what a status may become
 * the table of its kind: another change is 409.
 */
#ifndef ZIGGIE_API_RECORDS_H
#define ZIGGIE_API_RECORDS_H

#include "http/paging.h"
#include "http/request.h"
#include "http/route.h"
#include "store/record.h"

/* For a kind whose records belong to no agent. */
enum { NO_AGENT = RECORD_FIELDS_MAX };

/*
 * The hooks may all be NULL.  Those with a database run inside the transaction, which
 * may be run again: they change nothing but the database and the record.
 */
struct resource {
	const struct record_kind *kind;
	const char *path; /* "/api/v1/agents" */
	/*
	 * The column of the agent that a record belongs to, or NO_AGENT.  A key that is bound to
	 * another agent neither changes nor removes it, and gives it to no other; a new record of
	 * such a key that names no agent gets the key's.
	 */
	size_t agent;
	/* Before the record is stored; may change it. */
	enum err (*before_insert)(struct http_request *r, struct db_conn *db, struct record *record,
				  struct errmsg *why);
	enum err (*after_insert)(struct http_request *r, struct db_conn *db,
				 const struct record *record, struct errmsg *why);
	enum err (*before_update)(struct http_request *r, struct db_conn *db,
				  const struct record *from, struct record *to, struct errmsg *why);
	enum err (*after_update)(struct http_request *r, struct db_conn *db,
				 const struct record *from, const struct record *to,
				 struct errmsg *why);
};

route_handler records_post;
route_handler records_list;
route_handler records_get;
route_handler records_patch;
route_handler records_delete;

/* The {id} of the path; ERR_NOT_FOUND when it can't be one. */
enum err records_path_id(const struct http_request *r, struct uuid *out, struct errmsg *why);
/* ERR_FORBIDDEN when the row keeps this record for its owner and administrators. */
enum err records_may_change(const struct http_request *r, const struct record *record,
			    struct errmsg *why);

/*
 * Finds a record and changes it, both in fn, which leaves it as it was and as it is now;
 * answers with it.
 */
typedef enum err record_taking(struct http_request *r, struct db_conn *db, struct record *from,
			       struct record *to, struct errmsg *why);
enum err records_take(struct http_request *r, struct http_response *response, record_taking *fn,
		      struct errmsg *why);

/* A few fields of a record, with its ETag. */
enum err records_get_part(struct http_request *r, struct http_response *response,
			  const size_t *fields, size_t count, struct errmsg *why);

/* ERR_FORBIDDEN when the request comes with a key that is bound to another agent. */
enum err records_act_as(const struct http_request *r, const struct uuid *agent, struct errmsg *why);
/* The same for the agent that a record of the route's resource belonged to, and belongs to now. */
enum err records_check_agents(const struct http_request *r, const struct record *from,
			      const struct record *to, struct errmsg *why);
/* ERR_INVALID when the parent that a column names is the record itself or below it. */
enum err records_check_parent(struct db_conn *db, const struct record *record, size_t column,
			      struct errmsg *why);

/* A change that is no PATCH: fn alters the locked record `to`, a copy of `from`. */
typedef enum err record_edit(struct http_request *r, struct db_conn *db, const struct record *from,
			     struct record *to, struct errmsg *why);
/* Runs it in a transaction and answers with the record. */
enum err records_edit(struct http_request *r, struct http_response *response, record_edit *fn,
		      struct errmsg *why);

/*
 * name_schema, name_new_schema, name_change_schema and name_list_schema from the rows of
 * a kind: a record, the bodies of POST and PATCH, and a page.
 */
#define RECORD_SCHEMAS(name, title, rows)                                                          \
	static const struct schema name##_schema = SCHEMA(title, rows, .whole = true);             \
	static const struct schema name##_new_schema =                                             \
	    SCHEMA("New" title, rows, .only = FIELD_CREATE);                                       \
	static const struct schema name##_change_schema =                                          \
	    SCHEMA(title "Change", rows, .only = FIELD_PATCH);                                     \
	static const struct field name##_list_fields[] = {PAGING_ANSWERS(&name##_schema)};         \
	static const struct schema name##_list_schema = SCHEMA(title "List", name##_list_fields)

/*
 * The five rows of a kind, for a file that has `resource`, `list_schema` and what
 * RECORD_SCHEMAS(name, ...) makes.
 */
#define RECORD_ROUTES(path, scope, name, one, many)                                                \
	ROUTE(HTTP_GET, path, ACCESS_READONLY, OTHERS_READ, scope, RATE_READ, WEIGHT_NORMAL,       \
	      BODY_NONE, records_list, many ", page by page", .takes = &list_schema,               \
	      .answers = &name##_list_schema, .resource = &resource),                              \
	    ROUTE(HTTP_POST, path, ACCESS_USER, OTHERS_NONE, scope, RATE_WRITE, WEIGHT_NORMAL,     \
		  BODY_JSON, records_post, "Make " one, .accepts = &name##_new_schema,             \
		  .answers = &name##_schema, .status = 201, .resource = &resource),                \
	    ROUTE(HTTP_GET, path "/{id}", ACCESS_READONLY, OTHERS_READ, scope, RATE_READ,          \
		  WEIGHT_NORMAL, BODY_NONE, records_get, "Read " one, .answers = &name##_schema,   \
		  .resource = &resource),                                                          \
	    ROUTE(HTTP_PATCH, path "/{id}", ACCESS_USER, OTHERS_KEPT, scope, RATE_WRITE,           \
		  WEIGHT_NORMAL, BODY_JSON, records_patch, "Change " one,                          \
		  .accepts = &name##_change_schema, .answers = &name##_schema,                     \
		  .resource = &resource),                                                          \
	    ROUTE(HTTP_DELETE, path "/{id}", ACCESS_USER, OTHERS_KEPT, scope, RATE_WRITE,          \
		  WEIGHT_NORMAL, BODY_NONE, records_delete, "Remove " one, .status = 204,          \
		  .resource = &resource)

#define RECORD_SORT_FIELD(sorts)                                                                   \
	{                                                                                          \
		"sort", FIELD_WORD,                                                                \
		    .words = (sorts), .initial = "\"created_at\"",                                 \
		    .summary = "By what, with - for the other way round; beside filters by "       \
			       "created_at alone"                                                  \
	}

/* The parameters that every list takes, for the rows of its `takes`. */
#define RECORD_LIST_FIELDS PAGING_TAKES

#endif
