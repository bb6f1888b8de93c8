#include "http/audit.h"

#include <arpa/inet.h>
#include <string.h>

/* What a web server calls an address is not always one: nginx says "unix:" of a socket. */
static const char *address_or_null(const char *text)
{
	return *text != '\0' && strlen(text) < INET6_ADDRSTRLEN ? text : NULL;
}

enum err http_audit(const struct http_request *r, struct db_conn *db, struct audit_entry entry,
		    struct errmsg *why)
{
	entry.who = &r->principal;
	entry.remote_addr = address_or_null(r->remote_addr);
	entry.request_id = r->id;
	return audit_add(db, &entry, why);
}
