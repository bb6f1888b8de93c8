/*
 * A handler's way to the audit: what store/audit.h asks of a row and the request
 * knows is filled in.
 */
#ifndef ZIGGIE_HTTP_AUDIT_H
#define ZIGGIE_HTTP_AUDIT_H

#include "http/request.h"
#include "store/audit.h"

/* Who makes the request and where from, for functions that fill in the rest. */
struct audit_entry http_audit_origin(const struct http_request *r);

/* Adds the entry, inside the transaction of the write, with that origin. */
enum err http_audit(const struct http_request *r, struct db_conn *db, struct audit_entry entry,
		    struct errmsg *why);

#endif
