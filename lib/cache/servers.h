/*
 * The memcached setting: "host:port", "[::1]:port" and "/path", separated by commas.
 */
#ifndef ZIGGIE_CACHE_SERVERS_H
#define ZIGGIE_CACHE_SERVERS_H

#include <netinet/in.h>
#include <stddef.h>

#include "base/error.h"

struct cache_server {
	char *name;     /* as it was written, for messages */
	char *address;  /* a host's name or address, or a socket's path */
	in_port_t port; /* 0 for a socket's path */
};

struct cache_servers {
	struct cache_server *list;
	size_t count;
};

enum err cache_servers_parse(const char *text, struct cache_servers *out, struct errmsg *why);
void cache_servers_release(struct cache_servers *servers);

#endif
