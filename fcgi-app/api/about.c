#include <string.h>

#include "api/api.h"
#include "base/assert.h"
#include "cache/cache.h"
#include "http/request.h"
#include "json/writer.h"
#include "metrics/metrics.h"

static const char product[] = "Ziggie Control Center";

static enum err get_root(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	(void)why;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "name", product);
	json_put_string(&w, "version", PACKAGE_VERSION);
	json_put_string(&w, "status", "running");
	json_put_bool(&w, "caching_enabled", cache_available(r->app->cache));
	json_put_string(&w, "websocket_url", "/ws");
	json_end(&w);
	return ERR_OK;
}

static enum err get_info(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	static const char *const features[] = {"host",  "hosts", "accounts", "records",
					       "tasks", "jobs",  "metrics"};
	(void)r;
	(void)why;
	struct json_writer w;
	json_init(&w, &response->body);
	json_object(&w);
	json_put_string(&w, "name", product);
	json_put_string(&w, "version", PACKAGE_VERSION);
	json_put_string(&w, "commit", ZIGGIE_COMMIT);
	json_put_string(&w, "api_version", "v1");
	json_key(&w, "features");
	json_array(&w);
	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		json_string(&w, features[i]);
	json_end(&w);
	json_end(&w);
	return ERR_OK;
}

static enum err get_metrics(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	const char *accept = http_param(r, "HTTP_ACCEPT");
	bool openmetrics = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
	response->content_type = openmetrics ? METRICS_OPENMETRICS_TYPE : METRICS_CONTENT_TYPE;
	return metrics_render(r->app->scoreboard, openmetrics, &response->body, why);
}

static const char *const running[] = {"running", NULL};
static const struct field root_fields[] = {
    {"name", FIELD_STRING, FIELD_REQUIRED, .summary = "Of the product"},
    {"version", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"status", FIELD_WORD, FIELD_REQUIRED, .words = running},
    {"caching_enabled", FIELD_BOOL, FIELD_REQUIRED, .summary = "Whether memcached answers"},
    {"websocket_url", FIELD_STRING, FIELD_REQUIRED, .summary = "Where figures are pushed"},
};
static const struct schema root_schema = SCHEMA("Service", root_fields);

static const struct field info_fields[] = {
    {"name", FIELD_STRING, FIELD_REQUIRED, .summary = "Of the product"},
    {"version", FIELD_STRING, .flags = FIELD_REQUIRED},
    {"commit", FIELD_STRING, FIELD_REQUIRED, .summary = "What it was built from"},
    {"api_version", FIELD_STRING, FIELD_REQUIRED, .summary = "The newest family of routes"},
    {"features", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_STRING,
     .summary = "What this server does"},
};
static const struct schema info_schema = SCHEMA("ServiceInfo", info_fields);

static const char *const metrics_media[] = {"text/plain", "application/openmetrics-text", NULL};

const struct route about_routes[] = {
    ROUTE(HTTP_GET, "/", ACCESS_PUBLIC, OTHERS_NONE, SCOPE_ANY, RATE_NONE, WEIGHT_LIGHT, BODY_NONE,
	  get_root, "What this service is", .answers = &root_schema),
    ROUTE(HTTP_GET, "/api/v1/info", ACCESS_PUBLIC, OTHERS_NONE, SCOPE_ANY, RATE_READ, WEIGHT_LIGHT,
	  BODY_NONE, get_info, "Version, commit and features", .answers = &info_schema),
    ROUTE(HTTP_GET, "/metrics", ACCESS_LOCAL, OTHERS_NONE, SCOPE_ANY, RATE_NONE, WEIGHT_LIGHT,
	  BODY_NONE, get_metrics, "Metrics for Prometheus", .media = metrics_media),
};
const size_t about_route_count = ARRAY_LEN(about_routes);
