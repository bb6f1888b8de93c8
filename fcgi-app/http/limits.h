/*
 * Rate limits as clients meet them: which windows a request counts in, the headers that
 * tell of them, and 429.
 *
 * Who asks is the API key or the user.  Without either (sign-in, what is public, and
 * credentials that are not good) it is REMOTE_ADDR: an IPv4 address, or the /64 network
 * of an IPv6 one, as whoever has one such address has all of them.  All that come without
 * an address share one.
 */
#ifndef ZIGGIE_HTTP_LIMITS_H
#define ZIGGIE_HTTP_LIMITS_H

#include "base/error.h"
#include "http/request.h"

/*
 * Counts the request, by its route's class.  ERR_RATE_LIMITED says when to come again, and
 * r->limits has what http_limit_headers() needs.
 */
enum err http_limit(struct http_request *r, struct errmsg *why);
/*
 * Counts an attempt to sign in to an account, by its name, whether there is such an account
 * or not.  Unless it is refused the answer's headers don't tell of it: that others try to
 * sign in is nobody's business.
 */
enum err http_limit_account(struct http_request *r, const char *username, struct errmsg *why);

/* X-RateLimit-… and, with a refusal, RateLimit, RateLimit-Policy and Retry-After. */
void http_limit_headers(const struct http_request *r, struct http_response *response);

#endif
