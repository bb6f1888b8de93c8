/*
 * ETag and If-Match: a record's version is its entity tag, and a write that says which
 * version it was made for is refused (412) when that is not the one any more.
 */
#ifndef ZIGGIE_HTTP_CONDITIONAL_H
#define ZIGGIE_HTTP_CONDITIONAL_H

#include <stdint.h>

#include "http/request.h"

enum { ETAG_MAX = 24 };

/* "\"17\"" */
void etag_format(int64_t version, char out[ETAG_MAX]);
void etag_header(struct http_response *response, int64_t version);

/*
 * ERR_PRECONDITION when the request has an If-Match that this version is not among,
 * ERR_MALFORMED when it can't be read (RFC 9110, 13.1.1; weak tags match nothing).
 */
enum err check_if_match(const struct http_request *r, int64_t version, struct errmsg *why);

#endif
