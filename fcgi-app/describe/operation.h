/*
 * A route's row as an Operation Object of OpenAPI.
 */
#ifndef ZIGGIE_DESCRIBE_OPERATION_H
#define ZIGGIE_DESCRIBE_OPERATION_H

#include "base/strbuf.h"
#include "http/route.h"
#include "json/writer.h"

void operation_put(struct json_writer *w, const struct route *route, const char *tag);

/* "getApiV1HostsById": the method and the path, so that no two are the same. */
void operation_id(const struct route *route, struct strbuf *out);

/* "BadRequest": what the answer with an error is called among the components. */
void response_name(enum err err, struct strbuf *out);

#endif
