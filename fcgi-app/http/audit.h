/*
 * A handler's way to the audit: what store/audit.h asks of a row and the request
 * knows is filled in.
 */
#ifndef ZIGGIE_HTTP_AUDIT_H
#define ZIGGIE_HTTP_AUDIT_H

#include "http/request.h"
#include "store/audit.h"

/* Adds the entry, inside the transaction of the write; who, remote_addr and request_id are set. */
enum err http_audit(const struct http_request *r, struct db_conn *db, struct audit_entry entry,
		    struct errmsg *why);

#endif
