#include "http/serve.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "conf/conf.h"
#include "http/authenticate.h"
#include "http/cors.h"
#include "http/limits.h"
#include "http/problem.h"
#include "http/request.h"
#include "http/response.h"
#include "http/router.h"
#include "http/trace.h"
#include "shm/scoreboard.h"

enum {
	ARENA_CHUNK = 64 * 1024,
	ARENA_LIMIT = 32 * 1024 * 1024,
	/* An answer's buffers are kept for the next one up to this size. */
	KEEP_BUFFER = 512 * 1024,
};

void http_thread_init(struct http_thread *thread, unsigned slot)
{
	arena_init(&thread->arena, ARENA_CHUNK, ARENA_LIMIT);
	thread->slot = slot;
	strbuf_init(&thread->headers);
	strbuf_init(&thread->out.head);
	strbuf_init(&thread->out.body);
}

void http_thread_release(struct http_thread *thread)
{
	arena_release(&thread->arena);
	strbuf_release(&thread->headers);
	strbuf_release(&thread->out.head);
	strbuf_release(&thread->out.body);
}

static void reuse(struct strbuf *b)
{
	if (b->cap > KEEP_BUFFER)
		strbuf_release(b);
	strbuf_clear(b);
}

/*
 * When the web server got the request, from REQUEST_RECEIVED ("seconds.millis" of
 * its wall clock).  An age below 0 or above the limit is a clock that disagrees
 * with ours: unknown, and our own arrival time is used.
 */
static int64_t arrival(const struct http_input *in, const char *received, int64_t limit_ms)
{
	if (received == NULL)
		return in->received_ns;
	size_t whole = strcspn(received, ".");
	uint64_t seconds, millis;
	if (received[whole] != '.' || strlen(received + whole + 1) != 3 ||
	    !num_u64(received, whole, 0, INT32_MAX * UINT64_C(4), &seconds) ||
	    !num_u64s(received + whole + 1, 0, 999, &millis))
		return in->received_ns;
	int64_t age_ms = clock_wall_us() / US_PER_MS - (int64_t)(seconds * 1000 + millis);
	if (age_ms < 0 || age_ms > limit_ms)
		return in->received_ns;
	int64_t arrived_ns = clock_mono_ns() - age_ms * NS_PER_MS;
	return arrived_ns < in->received_ns ? arrived_ns : in->received_ns;
}

/* The raw path and the query behind it, from REQUEST_URI, or from what CGI always gives. */
static const char *raw_path(const struct http_request *r, size_t *len)
{
	const char *uri = http_param(r, "REQUEST_URI");
	if (uri == NULL)
		uri = http_param(r, "SCRIPT_NAME");
	if (uri == NULL)
		uri = "";
	*len = strcspn(uri, "?");
	return uri;
}

static enum http_method method_of(const struct http_request *r)
{
	const char *method = http_param(r, "REQUEST_METHOD");
	return method != NULL ? http_method_parse(method) : 0;
}

void http_classify(const struct app *app, struct http_input *in)
{
	int64_t limit_ms = conf_number(app->conf, request_timeout);
	struct http_request r = {.params = in->params, .param_count = in->param_count};
	in->arrived_ns = arrival(in, http_param(&r, "REQUEST_RECEIVED"), limit_ms);
	in->deadline_ns = in->arrived_ns + limit_ms * NS_PER_MS;
	size_t len;
	const char *path = raw_path(&r, &len);
	in->route = router_peek(app->router, method_of(&r), path, len);
	/* Who is refused already only gets an answer, and waits for no turn. */
	bool waits = in->route != NULL && in->refused == ERR_OK;
	in->weight = waits ? in->route->weight : WEIGHT_LIGHT;
}

static void add_allow(struct http_response *response, unsigned allowed)
{
	strbuf_adds(&response->headers, "Allow: ");
	http_methods_list(allowed, &response->headers);
	strbuf_adds(&response->headers, "\r\n");
}

/* What the path takes; to a browser also whether another site's page may ask for it. */
static void answer_options(const struct http_request *r, struct http_response *response,
			   unsigned allowed)
{
	response->status = 204;
	add_allow(response, allowed);
	if (cors_is_preflight(r))
		cors_preflight_headers(r, response, allowed);
}

static bool media_type_is(const char *content_type, const char *wanted)
{
	size_t len = strlen(wanted);
	return strncasecmp(content_type, wanted, len) == 0 &&
	       strchr(" ;\t", content_type[len]) != NULL;
}

static bool has_type(const struct http_request *r, const char *wanted)
{
	const char *type = http_param(r, "CONTENT_TYPE");
	return type != NULL && media_type_is(type, wanted);
}

static bool is_form(const struct http_request *r)
{
	return r->route->body == BODY_FORM || (r->route->body == BODY_JSON_OR_FORM &&
					       has_type(r, "application/x-www-form-urlencoded"));
}

/* The body must be of a kind that the row takes; an empty one is the handler's concern. */
static enum err check_media_type(const struct http_request *r, struct errmsg *why)
{
	enum route_body takes = r->route->body;
	if (takes == BODY_NONE || r->body_len == 0)
		return ERR_OK;
	bool json = has_type(r, "application/json");
	bool form = has_type(r, "application/x-www-form-urlencoded");
	if ((json && takes != BODY_FORM) || (form && takes != BODY_JSON))
		return ERR_OK;
	return err_set(why, ERR_MEDIA_TYPE, "the body must be %s",
		       takes == BODY_FORM ? "application/x-www-form-urlencoded"
					  : "application/json");
}

/*
 * Reads the body by the rows of the route.  *answered says that it had faults and the
 * response names them.
 */
static enum err read_body(struct http_request *r, struct http_response *response, bool *answered,
			  struct errmsg *why)
{
	const struct schema *schema = r->route->accepts;
	*answered = false;
	if (schema == NULL)
		return ERR_OK;
	struct json_doc *doc;
	enum err err = is_form(r) ? http_body_form(r, &doc, why) : http_body_json(r, &doc, why);
	if (err != ERR_OK)
		return err;
	r->values = arena_calloc(r->arena, schema->count, sizeof(*r->values));
	if (r->values == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for the body");
	struct json_fields errors;
	schema_read(schema, json_root(doc), r->values, &errors);
	*answered = errors.error_count > 0;
	return *answered ? http_respond_fields(r, response, &errors) : ERR_OK;
}

/* Whoever may not do it counts as well, or guessing would be free. */
static enum err admit(struct http_request *r, struct errmsg *why)
{
	http_phase_enter(r, PHASE_AUTH);
	enum err err = http_authenticate(r, why);
	http_phase_enter(r, PHASE_HANDLER);
	enum err limited = err_http_status(err) < 500 ? http_limit(r, why) : ERR_OK;
	return limited != ERR_OK ? limited : err;
}

/* Everything that can go wrong comes out as an error; a filled response is ERR_OK. */
static enum err answer(struct http_request *r, struct http_response *response,
		       const struct http_input *in, struct errmsg *why)
{
	if (in->refused != ERR_OK) {
		r->route = in->route;
		return err_set(why, in->refused, "%s", in->refusal != NULL ? in->refusal : "");
	}
	if (r->path == NULL)
		return err_set(why, ERR_NOMEM, "out of memory for the path");
	struct route_match match;
	enum err err =
	    router_find(r->app->router, r->arena, r->method, r->path, strlen(r->path), &match, why);
	if (err != ERR_OK)
		return err;
	if (match.allowed == 0)
		return err_set(why, ERR_NOT_FOUND, "there is nothing at this path");
	if (r->method == HTTP_OPTIONS) {
		answer_options(r, response, match.allowed);
		return ERR_OK;
	}
	if (match.route == NULL) {
		r->allowed = match.allowed;
		return err_set(why, ERR_METHOD, "this path does not take this method");
	}
	r->route = match.route;
	memcpy(r->path_args, match.args, sizeof(r->path_args));
	r->path_arg_count = match.arg_count;
	err = admit(r, why);
	if (err == ERR_OK)
		err = check_media_type(r, why);
	if (err != ERR_OK)
		return err;
	if (deadline_passed(&r->deadline))
		return err_set(why, ERR_TIMEOUT, "the time limit was reached");
	bool answered;
	err = read_body(r, response, &answered, why);
	if (err != ERR_OK || answered)
		return err;
	if (r->route->status != 0)
		response->status = r->route->status;
	return r->route->handler(r, response, why);
}

/* Where a request that ran out of time spent it. */
static enum http_phase longest_phase(const struct http_request *r)
{
	enum http_phase longest = PHASE_QUEUE;
	for (int phase = 0; phase < PHASE_COUNT; phase++)
		if (r->spans[phase] > r->spans[longest])
			longest = (enum http_phase)phase;
	return longest;
}

static void answer_error(struct http_request *r, struct http_response *response, enum err err,
			 const struct errmsg *why)
{
	char detail[sizeof(why->text) + 64];
	snprintf(detail, sizeof(detail), "%s", why->text);
	if (err == ERR_TIMEOUT)
		snprintf(detail, sizeof(detail), "%s%s(in phase %s)", why->text,
			 why->text[0] != '\0' ? " " : "", http_phase_names[longest_phase(r)]);
	if (err_http_status(err) >= 500 && err != ERR_OVERLOADED)
		LOG_EVENT(err_http_status(err) == 500 ? LOG_ERROR : LOG_WARNING, "request_failed",
			  LOG_STR("request_id", r->id), LOG_STR("error", err_name(err)),
			  LOG_STR("detail", detail),
			  LOG_STR("route", r->route != NULL ? r->route->path : NULL));
	/* What went wrong inside is for the log; the client gets no text of ours or the database's.
	 */
	problem_fill(r, response, err, err_http_status(err) == 500 ? NULL : detail);
	if (err == ERR_METHOD)
		add_allow(response, r->allowed);
}

static void log_request(const struct http_request *r, int status, size_t bytes)
{
	if (!conf_number(r->app->conf, log_requests))
		return;
	log_write_buffered(
	    LOG_INFO, "request",
	    LOG_FIELDS(
		LOG_STR("request_id", r->id),
		LOG_STR("trace_id", r->trace_id[0] != '\0' ? r->trace_id : NULL),
		LOG_STR("span_id", r->trace_id[0] != '\0' ? r->span_id : NULL),
		LOG_STR("method", http_method_name(r->method)),
		LOG_STR("route", r->route != NULL ? r->route->path : NULL),
		LOG_STR("path", r->path), LOG_INT("status", status), LOG_INT("bytes", bytes),
		LOG_STR("remote_addr", r->remote_addr),
		LOG_STR("user", r->principal.role != ROLE_NONE ? r->principal.username : NULL),
		LOG_MS("queue_ms", r->spans[PHASE_QUEUE]), LOG_MS("auth_ms", r->spans[PHASE_AUTH]),
		LOG_MS("cache_ms", r->spans[PHASE_CACHE]), LOG_MS("db_ms", r->spans[PHASE_DB]),
		LOG_MS("handler_ms", r->spans[PHASE_HANDLER])));
}

static void request_start(struct http_request *r, struct app *app, struct http_thread *thread,
			  const struct http_input *in)
{
	int64_t now = clock_mono_ns();
	*r = (struct http_request){
	    .app = app,
	    .arena = &thread->arena,
	    .slot = thread->slot,
	    .deadline = {.at_ns = in->deadline_ns, .client_fd = in->client_fd},
	    .params = in->params,
	    .param_count = in->param_count,
	    .body = in->body,
	    .body_len = in->body_len,
	    .arrived_ns = in->arrived_ns,
	    .started_ns = now,
	    .phase = PHASE_HANDLER,
	    .phase_since_ns = now,
	};
	r->spans[PHASE_QUEUE] = now > in->arrived_ns ? now - in->arrived_ns : 0;
	const char *query = http_param(r, "QUERY_STRING");
	r->query = query != NULL ? query : "";
	const char *addr = http_param(r, "REMOTE_ADDR");
	r->remote_addr = addr != NULL ? addr : "";
	size_t len;
	const char *path = raw_path(r, &len);
	r->method = method_of(r);
	r->path = arena_strndup(r->arena, path, len);
	trace_start(r);
}

/* Where there was no memory for the answer, one that needs none takes its place. */
static void answer_without_memory(struct http_thread *thread, struct http_response *response)
{
	static const char head[] = "Status: 503 Service Unavailable\r\n"
				   "Content-Type: application/problem+json\r\n"
				   "Content-Length: 127\r\n"
				   "Cache-Control: no-store\r\n"
				   "Retry-After: 1\r\n\r\n";
	static const char body[] = "{\"type\":\"urn:ziggie:problem:out_of_memory\","
				   "\"title\":\"Service Unavailable\",\"status\":503,"
				   "\"detail\":\"the server is short of memory\"}";
	_Static_assert(sizeof(body) - 1 == 127, "Content-Length stands in the head");
	response->status = 503;
	strbuf_borrow(&thread->out.head, head);
	strbuf_borrow(&thread->out.body, body);
}

void http_serve(struct app *app, struct http_thread *thread, const struct http_input *in)
{
	struct http_request r;
	scoreboard_begin(app->scoreboard, thread->slot);
	arena_reset(&thread->arena);
	reuse(&thread->headers);
	reuse(&thread->out.head);
	reuse(&thread->out.body);
	request_start(&r, app, thread, in);

	struct http_response response = {.status = 200,
					 .content_type = "application/json",
					 .cache_control = "no-store",
					 .headers = thread->headers,
					 .body = thread->out.body};
	struct errmsg why = ERRMSG_INIT;
	enum err err = answer(&r, &response, in, &why);
	http_phase_enter(&r, PHASE_HANDLER);
	if (err == ERR_OK && (response.body.failed || response.headers.failed))
		err = err_set(&why, ERR_NOMEM, "the answer does not fit into memory");
	if (err != ERR_OK)
		answer_error(&r, &response, err, &why);
	http_limit_headers(&r, &response);
	cors_headers(&r, &response);

	response_head(&r, &response, &thread->out.head);
	thread->headers = response.headers;
	thread->out.body = response.body;
	json_doc_free(r.json);
	if (thread->out.head.failed || thread->out.body.failed || thread->headers.failed)
		answer_without_memory(thread, &response);
	size_t bytes = thread->out.body.len;
	if (r.method == HTTP_HEAD)
		strbuf_clear(&thread->out.body);
	scoreboard_record(app->scoreboard, thread->slot,
			  r.route != NULL ? app->route_ids[router_index(app->router, r.route)]
					  : SCOREBOARD_ROUTE_OTHER,
			  response.status, r.phase_since_ns - r.arrived_ns, r.spans[PHASE_QUEUE]);
	log_request(&r, response.status, bytes);
}
