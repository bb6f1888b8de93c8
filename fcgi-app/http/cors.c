#include "http/cors.h"

#include <string.h>

#include "conf/conf.h"
#include "http/router.h"

#define CLIENT_HEADERS                                                                             \
	"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Traceparent, "     \
	"X-API-Key, X-Request-Id"
#define SERVER_HEADERS                                                                             \
	"Allow, ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, "         \
	"Retry-After, Server-Timing, Traceresponse, WWW-Authenticate, X-RateLimit-Limit, "         \
	"X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id"
/* For how long a browser need not ask again, in seconds.  Two hours is the most that all take. */
#define PREFLIGHT_AGE "7200"

bool cors_lists(const char *origins, const char *origin)
{
	static const char separators[] = ", ";
	size_t wanted = strlen(origin);
	for (origins += strspn(origins, separators); *origins != '\0';) {
		size_t len = strcspn(origins, separators);
		if (len == wanted && memcmp(origins, origin, len) == 0)
			return true;
		origins += len;
		origins += strspn(origins, separators);
	}
	return false;
}

bool cors_is_preflight(const struct http_request *r)
{
	return r->method == HTTP_OPTIONS && http_param(r, "HTTP_ORIGIN") != NULL &&
	       http_param(r, "HTTP_ACCESS_CONTROL_REQUEST_METHOD") != NULL;
}

/* The origin of the request when it is one of ours, else NULL. */
static const char *allowed_origin(const struct http_request *r)
{
	const char *origin = http_param(r, "HTTP_ORIGIN");
	const char *origins = conf_text(r->app->conf, cors_origins);
	return origin != NULL && cors_lists(origins, origin) ? origin : NULL;
}

void cors_headers(const struct http_request *r, struct http_response *response)
{
	if (conf_text(r->app->conf, cors_origins)[0] == '\0')
		return;
	/* Without the header too: a cache must keep that answer from pages elsewhere. */
	http_header(response, "Vary", "Origin");
	const char *origin = allowed_origin(r);
	if (origin == NULL)
		return;
	http_header(response, "Access-Control-Allow-Origin", origin);
	http_header(response, "Access-Control-Allow-Credentials", "true");
	if (!cors_is_preflight(r))
		http_header(response, "Access-Control-Expose-Headers", SERVER_HEADERS);
}

void cors_preflight_headers(const struct http_request *r, struct http_response *response,
			    unsigned methods)
{
	if (allowed_origin(r) == NULL)
		return;
	strbuf_adds(&response->headers, "Access-Control-Allow-Methods: ");
	http_methods_list(methods, &response->headers);
	strbuf_adds(&response->headers, "\r\n");
	http_header(response, "Access-Control-Allow-Headers", CLIENT_HEADERS);
	http_header(response, "Access-Control-Max-Age", PREFLIGHT_AGE);
}
