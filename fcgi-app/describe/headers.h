/*
 * The headers of answers, for the API description.
 */
#ifndef ZIGGIE_DESCRIBE_HEADERS_H
#define ZIGGIE_DESCRIBE_HEADERS_H

#include "json/writer.h"

/* One, as a member of the object that is open. */
void header_put(struct json_writer *w, const char *name, const char *description);
/* Those of a refusal; the first of a 503, too. */
void retry_header_put(struct json_writer *w);
void refusal_headers_put(struct json_writer *w);

/* Those that every answer of a limited route has: themselves, and references to them. */
void limit_headers_put(struct json_writer *w);
void limit_headers_refer(struct json_writer *w);

#endif
