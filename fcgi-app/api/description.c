/*
 * /api/openapi.json and /api/docs: what the API is, made from the route rows (describe/).
 */
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/assert.h"
#include "describe/description.h"
#include "http/request.h"

/*
 * Whether If-None-Match names the document.  Weakly, as RFC 9110, 13.1.2 has it: a web
 * server that compresses says W/"tag" (nginx) or "tag-gzip" (Apache).
 */
static bool is_known(const struct http_request *r, const struct document *document)
{
	const char *wanted = http_param(r, "HTTP_IF_NONE_MATCH");
	const char *at = wanted != NULL ? strstr(wanted, document->tag) : NULL;
	if (wanted == NULL || at == NULL)
		return wanted != NULL && strcmp(wanted, "*") == 0;
	const char *behind = at + DOCUMENT_TAG_LEN;
	return at > wanted && at[-1] == '"' &&
	       (*behind == '"' || strncmp(behind, "-gzip\"", 6) == 0);
}

static void respond(const struct http_request *r, struct http_response *response,
		    const struct document *document, const char *content_type)
{
	char etag[DOCUMENT_TAG_LEN + 3];
	snprintf(etag, sizeof(etag), "\"%s\"", document->tag);
	http_header(response, "ETag", etag);
	response->cache_control = "no-cache"; /* kept, and asked for again with its tag */
	response->content_type = content_type;
	if (is_known(r, document))
		response->status = 304;
	else
		strbuf_add(&response->body, document->text.data, document->text.len);
}

static enum err get_openapi(struct http_request *r, struct http_response *response,
			    struct errmsg *why)
{
	(void)why;
	respond(r, response, &r->app->description->openapi, "application/json");
	return ERR_OK;
}

/* The web server's own policy would forbid the page its style; it leaves ours alone. */
static enum err get_docs(struct http_request *r, struct http_response *response, struct errmsg *why)
{
	(void)why;
	http_header(response, "Content-Security-Policy", r->app->description->page_policy.data);
	respond(r, response, &r->app->description->page, "text/html; charset=utf-8");
	return ERR_OK;
}

static const struct field openapi_fields[] = {
    {"openapi", FIELD_STRING, FIELD_REQUIRED, .summary = "The version of OpenAPI"},
    {"info", FIELD_OBJECT, .flags = FIELD_REQUIRED},
    {"servers", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_ANY},
    {"tags", FIELD_LIST, FIELD_REQUIRED, .item = FIELD_ANY},
    {"paths", FIELD_OBJECT, .flags = FIELD_REQUIRED},
    {"components", FIELD_OBJECT, .flags = FIELD_REQUIRED},
};
static const struct schema openapi_schema = SCHEMA("OpenApi", openapi_fields);

static const char *const page_media[] = {"text/html", NULL};

const struct route description_routes[] = {
    ROUTE(HTTP_GET, "/api/openapi.json", ACCESS_PUBLIC, OTHERS_NONE, SCOPE_ANY, RATE_NONE,
	  WEIGHT_LIGHT, BODY_NONE, get_openapi, "This description, for programs",
	  .answers = &openapi_schema, .also = 304),
    ROUTE(HTTP_GET, "/api/docs", ACCESS_PUBLIC, OTHERS_NONE, SCOPE_ANY, RATE_NONE, WEIGHT_LIGHT,
	  BODY_NONE, get_docs, "This description, for people", .media = page_media, .also = 304),
};
const size_t description_route_count = ARRAY_LEN(description_routes);
