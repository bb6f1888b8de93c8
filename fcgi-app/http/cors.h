/*
 * Cross-origin requests: pages of the origins in the setting cors_origins may call the
 * API from a browser; pages of all others may not.  An origin is compared as a whole, as
 * browsers send it, and answered with itself: never with a wildcard.
 */
#ifndef ZIGGIE_HTTP_CORS_H
#define ZIGGIE_HTTP_CORS_H

#include <stdbool.h>

#include "http/request.h"

/* Whether it is a browser's question before the request proper, which has no credentials. */
bool cors_is_preflight(const struct http_request *r);
/* Whether the origin is one of a list that is separated by commas or blanks. */
bool cors_lists(const char *origins, const char *origin);
/* What lets the page see the answer, if it may.  For every answer, whatever its status. */
void cors_headers(const struct http_request *r, struct http_response *response);
/* What lets the page ask, if it may, for the methods that the path takes. */
void cors_preflight_headers(const struct http_request *r, struct http_response *response,
			    unsigned methods);

#endif
