/*
 * A request as handlers see it, and the response that they fill.  Both live in
 * the arena of the thread that serves them, for one request.  Not thread-safe.
 */
#ifndef ZIGGIE_HTTP_REQUEST_H
#define ZIGGIE_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/principal.h"
#include "base/arena.h"
#include "base/deadline.h"
#include "base/param.h"
#include "base/strbuf.h"
#include "http/app.h"
#include "http/route.h"
#include "ratelimit/ratelimit.h"
#include "json/schema.h"

enum { PATH_ARGS_MAX = 4 };

struct path_arg {
	const char *name; /* as in the route's {name}; not terminated, name_len long */
	size_t name_len;
	const char *value; /* percent-decoded, NUL-terminated, valid UTF-8, without NUL */
};

/* Where a request's time goes, in nanoseconds; also what the 504 names. */
enum http_phase { PHASE_QUEUE, PHASE_AUTH, PHASE_CACHE, PHASE_DB, PHASE_HANDLER, PHASE_COUNT };
extern const char *const http_phase_names[PHASE_COUNT];

struct http_request {
	struct app *app;
	struct arena *arena;
	unsigned slot; /* the thread's, in the scoreboard */
	struct deadline deadline;
	const struct param *params; /* as the web server sent them */
	size_t param_count;

	enum http_method method;
	const char *path;  /* raw, as the client wrote it, without the query */
	const char *query; /* raw, "" when there is none */
	const char *body;
	size_t body_len;
	struct json_doc *json;      /* the parsed body, once asked for */
	struct field_value *values; /* the body's, by the rows that the route accepts; or NULL */

	const struct route *route; /* NULL until one matched */
	struct path_arg path_args[PATH_ARGS_MAX];
	size_t path_arg_count;
	unsigned allowed; /* methods that the path takes, when this one was not among them */

	struct principal principal; /* role ROLE_NONE when there is none */
	const char *remote_addr;
	struct ratelimit_verdict limits; /* what counting the request came to */
	char id[65];                     /* the web server's request id, or our own */
	char trace_id[33];               /* from traceparent; "" when there is none */
	char span_id[17];                /* our own part of that trace */
	const char *trace_flags;         /* two hex digits of traceparent */
	int64_t arrived_ns; /* monotonic: when it came to the web server, as far as known */
	int64_t started_ns; /* monotonic: when a thread took it */
	enum http_phase phase;
	int64_t phase_since_ns;
	int64_t spans[PHASE_COUNT];
};

struct http_response {
	int status;
	const char *content_type;  /* "application/json" unless set */
	const char *cache_control; /* "no-store" unless set */
	struct strbuf headers;     /* further header lines, each "Name: value\r\n" */
	struct strbuf body;
};

/* The value of a parameter such as "HTTP_ACCEPT", or NULL. */
const char *http_param(const struct http_request *r, const char *name);
/* The decoded {name} of the path; never NULL for a name that the route has. */
const char *http_path_arg(const struct http_request *r, const char *name);

/*
 * Decoded query value of name, or NULL when it is absent.  Malformed escapes,
 * invalid UTF-8, NUL and a repeated name are ERR_INVALID, naming the parameter.
 */
enum err http_query(const struct http_request *r, const char *name, const char **out,
		    struct errmsg *why);
/* As above for a number within bounds; *out keeps its value when the parameter is absent. */
enum err http_query_number(const struct http_request *r, const char *name, int64_t min, int64_t max,
			   int64_t *out, struct errmsg *why);

/* ERR_INVALID, naming it, for a parameter of the query that no row takes. */
enum err http_query_known(const struct http_request *r, const struct schema *takes,
			  struct errmsg *why);

/* The body as JSON object, or ERR_MALFORMED; freed with the request. */
enum err http_body_json(struct http_request *r, struct json_doc **out, struct errmsg *why);
/*
 * The JSON object that says the same as an application/x-www-form-urlencoded body,
 * of the fields that the route accepts.  A field left empty is one that is not there,
 * as browsers send it.  Errors as for http_query; freed with the request.
 */
enum err http_body_form(struct http_request *r, struct json_doc **out, struct errmsg *why);

/* Turns collected field errors into a 422 answer with errors[], which is ERR_OK, or ERR_NOMEM. */
enum err http_respond_fields(struct http_request *r, struct http_response *response,
			     const struct json_fields *fields);

/* Enters a phase and books the time since the last change to the one before. */
void http_phase_enter(struct http_request *r, enum http_phase phase);

/* Adds "name: value\r\n" with any control character of the value left out. */
void http_header(struct http_response *response, const char *name, const char *value);

#endif
