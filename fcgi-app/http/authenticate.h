/*
 * Credentials to principal, and whether the principal may call the route.
 *
 * Credentials are `Authorization: Bearer <token>`, or `X-API-Key: <key>`: a key has the
 * role of its owner, for what its scopes and the row's column `scope` agree on.  ACCESS_LOCAL looks
 * at REMOTE_ADDR alone, never at a header that says who was forwarded for.
 */
#ifndef ZIGGIE_HTTP_AUTHENTICATE_H
#define ZIGGIE_HTTP_AUTHENTICATE_H

#include "auth/token.h"
#include "base/error.h"
#include "http/request.h"

/*
 * Fills r->principal as far as r->route's access level asks for it.
 * ERR_UNAUTHORIZED: no or bad credentials (the answer needs WWW-Authenticate);
 * ERR_FORBIDDEN: known, but the role or the scopes are not enough; otherwise the database's error.
 */
enum err http_authenticate(struct http_request *r, struct errmsg *why);

/*
 * The digest of the token that the request came with, on a route that a principal
 * needs and no API key may call.
 */
void http_session_digest(const struct http_request *r, uint8_t digest[TOKEN_DIGEST_LEN]);

#endif
