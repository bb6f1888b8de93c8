#include "cache/servers.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/num.h"

enum { DEFAULT_PORT = 11211 };

static enum err parse_port(const char *text, size_t len, const char *name, in_port_t *out,
			   struct errmsg *why)
{
	uint64_t port = DEFAULT_PORT;
	if (len > 0 && (text[0] != ':' || !num_u64(text + 1, len - 1, 1, UINT16_MAX, &port)))
		return err_set(why, ERR_INVALID, "memcached server \"%s\" needs host:port", name);
	*out = (in_port_t)port;
	return ERR_OK;
}

static enum err parse_address(struct cache_server *server, struct errmsg *why)
{
	const char *name = server->name;
	size_t len = strlen(name);
	if (name[0] == '/') {
		if (len >= sizeof(((struct sockaddr_un *)0)->sun_path))
			return err_set(why, ERR_INVALID,
				       "memcached socket \"%s\" is longer than 107 bytes", name);
		server->address = strdup(name);
		return server->address != NULL ? ERR_OK : err_set(why, ERR_NOMEM, "out of memory");
	}
	const char *start = name;
	size_t host_len = strcspn(name, ":");
	const char *rest = name + host_len;
	if (name[0] == '[') {
		start = name + 1;
		host_len = strcspn(start, "]");
		rest = start + host_len + (start[host_len] == ']');
		if (start[host_len] != ']')
			return err_set(why, ERR_INVALID, "memcached server \"%s\" lacks a ]", name);
	}
	if (host_len == 0)
		return err_set(why, ERR_INVALID, "memcached server \"%s\" needs host:port", name);
	enum err err = parse_port(rest, strlen(rest), name, &server->port, why);
	if (err != ERR_OK)
		return err;
	server->address = strndup(start, host_len);
	return server->address != NULL ? ERR_OK : err_set(why, ERR_NOMEM, "out of memory");
}

static enum err add_server(struct cache_servers *servers, const char *text, size_t len,
			   struct errmsg *why)
{
	struct cache_server *list =
	    reallocarray(servers->list, servers->count + 1, sizeof(*servers->list));
	if (list == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	servers->list = list;
	struct cache_server *server = &list[servers->count];
	*server = (struct cache_server){.name = strndup(text, len)};
	if (server->name == NULL)
		return err_set(why, ERR_NOMEM, "out of memory");
	servers->count++;
	return parse_address(server, why);
}

enum err cache_servers_parse(const char *text, struct cache_servers *out, struct errmsg *why)
{
	*out = (struct cache_servers){0};
	while (*text != '\0') {
		size_t field = strcspn(text, ",");
		const char *start = text;
		size_t len = field;
		while (len > 0 && *start == ' ') {
			start++;
			len--;
		}
		while (len > 0 && start[len - 1] == ' ')
			len--;
		enum err err = len > 0 ? add_server(out, start, len, why) : ERR_OK;
		if (err != ERR_OK) {
			cache_servers_release(out);
			return err;
		}
		text += field + (text[field] == ',');
	}
	return ERR_OK;
}

void cache_servers_release(struct cache_servers *servers)
{
	for (size_t i = 0; i < servers->count; i++) {
		free(servers->list[i].name);
		free(servers->list[i].address);
	}
	free(servers->list);
	*servers = (struct cache_servers){0};
}
