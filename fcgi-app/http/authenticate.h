/*
 * Credentials to principal, and whether the principal may call the route.
 *
 * Credentials are `Authorization: Bearer <token>`.  ACCESS_LOCAL looks at
 * REMOTE_ADDR alone, never at a header that says who was forwarded for.
 */
#ifndef ZIGGIE_HTTP_AUTHENTICATE_H
#define ZIGGIE_HTTP_AUTHENTICATE_H

#include "base/error.h"
#include "http/request.h"

/*
 * Fills r->principal as far as r->route's access level asks for it.
 * ERR_UNAUTHORIZED: no or bad credentials (the answer needs WWW-Authenticate);
 * ERR_FORBIDDEN: known, but the role is not enough; otherwise the database's error.
 */
enum err http_authenticate(struct http_request *r, struct errmsg *why);

/* The token of `Authorization: Bearer`, with its length; NULL when there is none. */
const char *http_bearer(const struct http_request *r, size_t *len);

#endif
