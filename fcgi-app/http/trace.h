/*
 * Request ids and the W3C Trace Context (level 1, https://www.w3.org/TR/trace-context/).
 */
#ifndef ZIGGIE_HTTP_TRACE_H
#define ZIGGIE_HTTP_TRACE_H

#include "http/request.h"

/*
 * Fills id from REQUEST_ID (8 to 64 letters, digits or -_.), else from random bits;
 * trace_id and a new span_id from a valid HTTP_TRACEPARENT.
 */
void trace_start(struct http_request *r);

#endif
