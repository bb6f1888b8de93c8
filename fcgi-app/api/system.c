/*
 * /api/system: what a host is doing.  The default answers were rendered when the
 * sample was taken; here they are copied.
 */
#include <stdbool.h>
#include <string.h>

#include "api/api.h"
#include "api/system_fields.h"
#include "base/assert.h"
#include "base/utf8.h"
#include "host/service.h"
#include "http/request.h"

enum { PROCESSES_DEFAULT = 50 };

static const char *const sort_words[] = {[HOST_SORT_CPU] = "cpu",
					 [HOST_SORT_MEMORY] = "memory",
					 [HOST_SORT_PID] = "pid",
					 [HOST_SORT_NAME] = "name",
					 NULL};

/* The parameters: the first is every route's, the others are those of the processes. */
enum { QUERY_HOST, QUERY_LIMIT, QUERY_SORT, QUERY_SEARCH, QUERY_COUNT };
static const struct field query_fields[] = {
    [QUERY_HOST] = {"host", FIELD_STRING, 0, 1, 64,
		    .summary = "Another host of the fleet; this one when it is not said"},
    [QUERY_LIMIT] = {"limit", FIELD_INT, 0, 1, 500, .initial = "50", .summary = "How many at most"},
    [QUERY_SORT] = {"sort", FIELD_WORD, .words = sort_words, .initial = "\"cpu\"",
		    .summary = "By what"},
    [QUERY_SEARCH] = {"search", FIELD_STRING, 0, 1, 255, .summary = "What the name contains"},
};
TABLE_MATCHES(query_fields, QUERY_COUNT);
static const struct schema host_query = {.name = "HostQuery", .fields = query_fields, .count = 1};
static const struct schema process_query = SCHEMA("ProcessQuery", query_fields);

/* NULL when the parameter is absent. */
static enum err query_text(const struct http_request *r, const struct field *field,
			   const char **out, struct errmsg *why)
{
	*out = NULL;
	enum err err = http_query(r, field->name, out, why);
	if (err != ERR_OK || *out == NULL)
		return err;
	int64_t count = (int64_t)utf8_count(*out, strlen(*out));
	if (count < field->min || count > field->max || utf8_has_control(*out))
		return err_set(why, ERR_INVALID,
			       "%s: must have %lld to %lld characters, none a control character",
			       field->name, (long long)field->min, (long long)field->max);
	return ERR_OK;
}

static enum err read_sample(struct http_request *r, enum host_kind kind, struct host_answer *out,
			    struct errmsg *why)
{
	const char *host;
	enum err err = query_text(r, &query_fields[QUERY_HOST], &host, why);
	if (err != ERR_OK)
		return err;
	http_phase_enter(r, PHASE_CACHE);
	err = host_service_read(r->app->host, host, kind, &r->deadline, out, why);
	http_phase_enter(r, PHASE_HANDLER);
	return err;
}

static enum err respond(struct http_request *r, struct http_response *response, enum host_kind kind,
			struct errmsg *why)
{
	struct host_answer answer;
	enum err err = read_sample(r, kind, &answer, why);
	if (err != ERR_OK)
		return err;
	host_answer_json(&answer, &response->body);
	host_answer_release(&answer);
	return ERR_OK;
}

static enum err get_stats(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	return respond(r, response, HOST_STATS, why);
}

static enum err get_info(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	return respond(r, response, HOST_INFO, why);
}

static enum err get_ports(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	return respond(r, response, HOST_PORTS, why);
}

static enum err get_network(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	return respond(r, response, HOST_NETWORK, why);
}

static enum err get_disk(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	return respond(r, response, HOST_DISK, why);
}

static enum err get_resources(struct http_request *r, struct http_response *response,
			      struct errmsg *why)
{
	return respond(r, response, HOST_RESOURCES, why);
}

static enum err query_sort(const struct http_request *r, enum host_process_sort *out,
			   struct errmsg *why)
{
	const char *text = NULL;
	enum err err = http_query(r, "sort", &text, why);
	if (err != ERR_OK || text == NULL)
		return err;
	for (size_t i = 0; sort_words[i] != NULL; i++)
		if (strcmp(text, sort_words[i]) == 0) {
			*out = (enum host_process_sort)i;
			return ERR_OK;
		}
	return err_set(why, ERR_INVALID, "sort: must be cpu, memory, pid or name");
}

static enum err query_processes(const struct http_request *r, struct host_process_query *out,
				struct errmsg *why)
{
	const struct field *bounds = &query_fields[QUERY_LIMIT];
	int64_t limit = PROCESSES_DEFAULT;
	*out = (struct host_process_query){.sort = HOST_SORT_CPU};
	enum err err = http_query_number(r, "limit", bounds->min, bounds->max, &limit, why);
	if (err == ERR_OK)
		err = query_sort(r, &out->sort, why);
	if (err == ERR_OK)
		err = query_text(r, &query_fields[QUERY_SEARCH], &out->search, why);
	out->limit = (size_t)limit;
	return err;
}

static enum err render_processes(const struct host_answer *answer,
				 const struct host_process_query *query, struct strbuf *out,
				 struct errmsg *why)
{
	STRBUF_CLEANUP json = STRBUF_INIT;
	enum err err = host_view_processes(&answer->view, query, &json, why);
	if (err == ERR_OK && json.failed)
		err = err_set(why, ERR_NOMEM, "out of memory");
	if (err == ERR_OK)
		host_json_mark(json.data, json.len, answer->stale, out);
	return err;
}

static enum err get_processes(struct http_request *r, struct http_response *response,
			      struct errmsg *why)
{
	struct host_process_query query;
	enum err err = query_processes(r, &query, why);
	if (err != ERR_OK)
		return err;
	if (query.limit == PROCESSES_DEFAULT && query.sort == HOST_SORT_CPU && query.search == NULL)
		return respond(r, response, HOST_PROCESSES, why);
	struct host_answer answer;
	err = read_sample(r, HOST_PROCESSES, &answer, why);
	if (err != ERR_OK)
		return err;
	err = render_processes(&answer, &query, &response->body, why);
	host_answer_release(&answer);
	return err;
}

#define ROW(path, rate, handler, query, what, summary)                                             \
	ROUTE(HTTP_GET, path, ACCESS_HOST, OTHERS_NONE, "system", rate, WEIGHT_NORMAL, BODY_NONE,  \
	      handler, summary, .takes = &(query), .answers = &system_##what##_schema,             \
	      .fails = FAILS(ERR_NOT_FOUND))

const struct route system_routes[] = {
    ROW("/api/system/stats", RATE_READ, get_stats, host_query, stats,
	"Processor, memory and root disk of a host"),
    ROW("/api/system/info", RATE_READ, get_info, host_query, info,
	"What a host is: system, name, hardware, uptime"),
    ROW("/api/system/processes", RATE_READ, get_processes, process_query, processes,
	"Processes of a host, and their use"),
    ROW("/api/system/ports", RATE_LOGS, get_ports, host_query, ports,
	"Ports that processes of a host listen on"),
    ROW("/api/system/network", RATE_READ, get_network, host_query, network,
	"Network interfaces and connections"),
    ROW("/api/system/disk", RATE_READ, get_disk, host_query, disk, "File systems and disk traffic"),
    ROW("/api/system/resources", RATE_READ, get_resources, host_query, resources,
	"Processor, memory, disk and network in one answer"),
};
const size_t system_route_count = ARRAY_LEN(system_routes);
