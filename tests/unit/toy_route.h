/*
 * A route that does nothing, for tests of the router: TOY_ROUTE(HTTP_GET, "/a/{id}").
 */
#ifndef ZIGGIE_TESTS_UNIT_TOY_ROUTE_H
#define ZIGGIE_TESTS_UNIT_TOY_ROUTE_H

#include "http/route.h"

static enum err nothing(struct http_request *request, struct http_response *response,
			struct errmsg *why)
{
	(void)request;
	(void)response;
	(void)why;
	return ERR_OK;
}

#define TOY_ROUTE(m, p)                                                                            \
	{                                                                                          \
		.method = (m), .path = (p), .access = ACCESS_PUBLIC, .others = OTHERS_NONE,        \
		.scope = SCOPE_ANY, .rate = RATE_NONE, .weight = WEIGHT_LIGHT, .body = BODY_NONE,  \
		.handler = nothing, .summary = "s"                                                 \
	}

#endif
