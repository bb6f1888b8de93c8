/*
 * /api/v1/hosts: the hosts that share the database.  What one of them is doing is
 * asked with ?host= on the routes of api/system.c.
 */
#include <string.h>

#include "api/api.h"
#include "base/assert.h"
#include "base/utf8.h"
#include "http/database.h"
#include "http/paging.h"
#include "http/request.h"
#include "json/writer.h"
#include "store/hosts.h"

static void put_host(struct json_writer *w, const struct host_entry *host)
{
	json_object(w);
	json_put_string(w, "id", host->id);
	json_put_string(w, "hostname", host->hostname);
	json_put_string(w, "version", host->version);
	json_put_string(w, "status", host->is_up ? "up" : "silent");
	json_put_time(w, "first_seen", host->first_seen_us);
	json_put_time(w, "last_seen", host->last_seen_us);
	json_end(w);
}

struct host_rows {
	struct host_entry *hosts;
	size_t count;
	uint64_t total;
};

/* One more than is shown, to know whether there is a next page. */
static enum err read_page(struct http_request *r, const struct paging *page, struct host_rows *out,
			  struct errmsg *why)
{
	const struct host_page part = {
	    .after = page->after, .skip = page->offset, .limit = page->limit + 1};
	struct db_conn *db;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = hosts_list(db, r->arena, &part, &out->hosts, &out->count, &out->total, why);
	http_db_return(r, db);
	return err;
}

static enum err get_hosts(struct http_request *r, struct http_response *response,
			  struct errmsg *why)
{
	struct paging page;
	struct host_rows rows;
	enum err err = paging_read(r, &page, why);
	if (err == ERR_OK &&
	    (strlen(page.after) != page.after_len || !utf8_valid(page.after, page.after_len)))
		err = paging_bad_cursor(why);
	if (err == ERR_OK)
		err = read_page(r, &page, &rows, why);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	bool more = rows.count > page.limit;
	size_t shown = more ? page.limit : rows.count;
	paging_begin(&w, &response->body);
	for (size_t i = 0; i < shown; i++)
		put_host(&w, &rows.hosts[i]);
	const char *last = more ? rows.hosts[shown - 1].id : NULL;
	paging_end(&w, r, response, &page, rows.total, last, more ? strlen(last) : 0);
	return ERR_OK;
}

static enum err get_host(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	struct db_conn *db;
	struct host_entry host;
	enum err err = http_db_borrow(r, &db, why);
	if (err != ERR_OK)
		return err;
	err = hosts_by_id(db, r->arena, http_path_arg(r, "id"), &host, why);
	http_db_return(r, db);
	if (err != ERR_OK)
		return err;
	struct json_writer w;
	json_init(&w, &response->body);
	put_host(&w, &host);
	return ERR_OK;
}

static const char *const statuses[] = {"up", "silent", NULL};
static const struct field host_fields[] = {
    {"id", FIELD_STRING, FIELD_REQUIRED, .summary = "What ?host= takes"},
    {"hostname", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"version", FIELD_STRING, FIELD_REQUIRED, .summary = "Of the service that runs there"},
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = statuses},
    {"first_seen", FIELD_TIME, .flags = FIELD_REQUIRED},
    {"last_seen", FIELD_TIME, .flags = FIELD_REQUIRED},
};
static const struct schema host_schema = SCHEMA("Host", host_fields);

static const struct field list_fields[] = {PAGING_ANSWERS(&host_schema)};
static const struct schema list_schema = SCHEMA("HostList", list_fields);
static const struct field query_fields[] = {PAGING_TAKES};
static const struct schema query_schema = SCHEMA("HostListQuery", query_fields);

const struct route host_routes[] = {
    ROUTE(HTTP_GET, "/api/v1/hosts", ACCESS_READONLY, OTHERS_READ, "hosts", RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_hosts,
	  "The hosts of the fleet, and which of them are silent", .takes = &query_schema,
	  .answers = &list_schema),
    ROUTE(HTTP_GET, "/api/v1/hosts/{id}", ACCESS_READONLY, OTHERS_READ, "hosts", RATE_READ,
	  WEIGHT_NORMAL, BODY_NONE, get_host, "One host of the fleet", .answers = &host_schema),
};
const size_t host_route_count = ARRAY_LEN(host_routes);
