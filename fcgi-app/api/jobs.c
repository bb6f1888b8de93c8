/*
 * /api/v1/jobs: background work, run by ziggie-jobs.  Making one only puts it into the queue.
 */
#include "store/jobs.h"

#include "api/api.h"
#include "api/records.h"
#include "base/assert.h"

static enum err check_new(struct http_request *r, struct db_conn *db, struct record *job,
			  struct errmsg *why)
{
	const struct job_type *type = job_type_find(record_text(job, JOB_TYPE));
	AN_INVARIANT(type != NULL); /* the words of the field */
	return job_prepare(db, r->arena, type, job, why);
}

static const struct resource resource = {
    .kind = &jobs,
    .path = "/api/v1/jobs",
    .agent = NO_AGENT,
    .before_insert = check_new,
};

static enum err cancel(struct http_request *r, struct db_conn *db, const struct record *from,
		       struct record *to, struct errmsg *why)
{
	return job_cancel(db, r->arena, from, to, why);
}

static enum err retry(struct http_request *r, struct db_conn *db, const struct record *from,
		      struct record *to, struct errmsg *why)
{
	return job_retry(db, r->arena, from, to, why);
}

static enum err post_cancel(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	return records_edit(r, response, cancel, why);
}

static enum err post_retry(struct http_request *r, struct http_response *response,
			   struct errmsg *why)
{
	return records_edit(r, response, retry, why);
}

static const struct schema job_schema = SCHEMA("Job", job_fields, .whole = true);
static const struct schema job_new_schema = SCHEMA("NewJob", job_fields, .only = FIELD_CREATE);
static const struct field job_list_fields[] = {PAGING_ANSWERS(&job_schema)};
static const struct schema job_list_schema = SCHEMA("JobList", job_list_fields);

static const char *const sorts[] = {"created_at", "-created_at", "updated_at", "-updated_at", NULL};
static const struct field list_fields[] = {
    RECORD_LIST_FIELDS,
    RECORD_SORT_FIELD(sorts),
    {"status", FIELD_STRING, 0, 1, 16, .summary = "Only those in this status"},
    {"job_type", FIELD_STRING, 0, 1, 64,
     .summary = "Only those of this type; status may stand beside it"},
    {"owner_id", FIELD_ID, .summary = "Only those of this user"},
};
static const struct schema list_schema = SCHEMA("JobQuery", list_fields);

#define JOB_GET(path, handler, summary, ...)                                                       \
	ROUTE(HTTP_GET, path, ACCESS_READONLY, OTHERS_READ, "jobs", RATE_READ, WEIGHT_NORMAL,      \
	      BODY_NONE, handler, summary, __VA_ARGS__, .resource = &resource)
#define JOB_POST(path, access, others, body, handler, summary, ...)                                \
	ROUTE(HTTP_POST, path, access, others, "jobs", RATE_WRITE, WEIGHT_NORMAL, body, handler,   \
	      summary, ##__VA_ARGS__, .answers = &job_schema, .resource = &resource)

const struct route job_routes[] = {
    JOB_GET("/api/v1/jobs", records_list, "Jobs, page by page", .takes = &list_schema,
	    .answers = &job_list_schema),
    JOB_POST("/api/v1/jobs", ACCESS_ADMIN, OTHERS_NONE, BODY_JSON, records_post,
	     "Queue a job of one of these types", .accepts = &job_new_schema, .status = 201),
    JOB_GET("/api/v1/jobs/{id}", records_get, "Read a job", .answers = &job_schema),
    JOB_POST("/api/v1/jobs/{id}/cancel", ACCESS_USER, OTHERS_KEPT, BODY_NONE, post_cancel,
	     "Cancel a job: at once when it is queued, and soon when it runs",
	     .fails = FAILS(ERR_PRECONDITION)),
    JOB_POST("/api/v1/jobs/{id}/retry", ACCESS_ADMIN, OTHERS_CHANGED, BODY_NONE, post_retry,
	     "Queue a job again that ended without success", .fails = FAILS(ERR_PRECONDITION)),
};
const size_t job_route_count = ARRAY_LEN(job_routes);
