/*
 * The API description: OpenAPI 3.1, made from the route rows alone.
 */
#ifndef ZIGGIE_DESCRIBE_OPENAPI_H
#define ZIGGIE_DESCRIBE_OPENAPI_H

#include <stddef.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "http/route.h"

/* ERR_INTERNAL when the rows can't be described: two schemas share a name. */
enum err openapi_render(const struct route_table *tables, size_t count, struct strbuf *out,
			struct errmsg *why);

#endif
