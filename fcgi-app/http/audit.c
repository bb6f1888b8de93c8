#include "http/audit.h"

#include <arpa/inet.h>
#include <string.h>

/* What a web server calls an address is not always one: nginx says "unix:" of a socket. */
static const char *address_or_null(const char *text)
{
	return *text != '\0' && strlen(text) < INET6_ADDRSTRLEN ? text : NULL;
}

struct audit_entry http_audit_origin(const struct http_request *r)
{
	return (struct audit_entry){.who = &r->principal,
				    .remote_addr = address_or_null(r->remote_addr),
				    .request_id = r->id};
}

enum err http_audit(const struct http_request *r, struct db_conn *db, struct audit_entry entry,
		    struct errmsg *why)
{
	struct audit_entry origin = http_audit_origin(r);
	entry.who = origin.who;
	entry.remote_addr = origin.remote_addr;
	entry.request_id = origin.request_id;
	return audit_add(db, &entry, why);
}
