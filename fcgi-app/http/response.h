/*
 * From a filled response to the head that goes over the wire.
 */
#ifndef ZIGGIE_HTTP_RESPONSE_H
#define ZIGGIE_HTTP_RESPONSE_H

#include "base/strbuf.h"
#include "http/request.h"

/*
 * Appends the CGI head: Status, Content-Type, Content-Length, the request id, the
 * trace, Server-Timing, the response's own headers and the blank line.
 */
void response_head(const struct http_request *r, const struct http_response *response,
		   struct strbuf *out);

const char *http_status_text(int status);

#endif
