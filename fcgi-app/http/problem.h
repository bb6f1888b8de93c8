/*
 * Errors as RFC 9457 problem documents: type, title, status, detail, instance,
 * request_id, and errors[] where several fields are at fault.
 */
#ifndef ZIGGIE_HTTP_PROBLEM_H
#define ZIGGIE_HTTP_PROBLEM_H

#include "base/error.h"
#include "http/request.h"

/* Its fields, for the description. */
extern const struct schema problem_schema;

/* Replaces whatever the response held. detail NULL or "" takes the error's own text. */
void problem_fill(const struct http_request *r, struct http_response *response, enum err err,
		  const char *detail);

#endif
