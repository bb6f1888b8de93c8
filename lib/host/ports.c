/*
 * GET /api/system/ports: where this host listens.  Which process a socket belongs to
 * stands only in the links of /proc/PID/fd; the walk ends when all are found.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "host/collector.h"

struct port {
	struct socket_row socket;
	bool udp;
	int32_t pid; /* 0: unknown */
};

struct port_list {
	struct port *ports;
	size_t count, cap, owned;
	bool udp; /* of the dump in progress */
	bool failed;
};

static void add_port(const struct socket_row *row, void *arg)
{
	struct port_list *list = arg;
	if (row->port == 0 || list->failed)
		return;
	if (list->count == list->cap) {
		size_t cap = list->cap > 0 ? list->cap * 2 : 64;
		struct port *ports = reallocarray(list->ports, cap, sizeof(*ports));
		if (ports == NULL) {
			list->failed = true;
			return;
		}
		list->ports = ports;
		list->cap = cap;
	}
	list->ports[list->count++] = (struct port){.socket = *row, .udp = list->udp};
}

static enum err list_ports(struct host_collector *c, struct port_list *list, struct errmsg *why)
{
	enum err err = ERR_OK;
	for (int i = 0; i < 4 && err == ERR_OK; i++) {
		list->udp = i >= 2;
		err = sockets_each(c, list->udp, i % 2 != 0,
				   UINT32_C(1) << (list->udp ? SOCKET_UNCONNECTED : SOCKET_LISTEN),
				   add_port, list);
	}
	if (err != ERR_OK)
		return err_set(why, ERR_IO, "the kernel does not list its sockets");
	return list->failed ? err_set(why, ERR_NOMEM, "out of memory") : ERR_OK;
}

/* ---- owners ---- */

static int by_inode(const void *a, const void *b)
{
	const struct port *x = a, *y = b;
	return (x->socket.inode > y->socket.inode) - (x->socket.inode < y->socket.inode);
}

static void own(struct port_list *list, uint64_t inode, int32_t pid)
{
	const struct port key = {.socket = {.inode = inode}};
	struct port *found =
	    bsearch(&key, list->ports, list->count, sizeof(*list->ports), by_inode);
	if (found == NULL)
		return;
	if (found->pid == 0)
		list->owned++;
	/* Workers inherit the socket of the process that opened it, which is older. */
	if (found->pid == 0 || pid < found->pid)
		found->pid = pid;
}

static bool socket_inode(struct host_collector *c, int dir, const char *fd, uint64_t *inode)
{
	char link[64];
	ssize_t len = readlinkat(dir, fd, link, sizeof(link));
	if (len < 0)
		host_note_error(c, errno);
	struct cursor text = cursor_over(link, len > 0 ? (size_t)len : 0);
	return cursor_literal(&text, "socket:[") && cursor_u64(&text, inode);
}

static DIR *open_dir(struct host_collector *c, const char *path)
{
	int fd = openat(c->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		host_note_error(c, errno);
		io_close(&fd);
	}
	return dir;
}

static struct dirent *next_entry(struct host_collector *c, DIR *dir)
{
	errno = 0;
	struct dirent *entry = readdir(dir);
	if (entry == NULL)
		host_note_error(c, errno);
	return entry;
}

/* Another user's descriptors may be hidden from us: its ports stay without an owner. */
static void walk_descriptors(struct host_collector *c, int32_t pid, struct port_list *list)
{
	char path[32];
	snprintf(path, sizeof(path), "%d/fd", pid);
	DIR *dir = open_dir(c, path);
	if (dir == NULL)
		return;
	struct dirent *entry;
	uint64_t inode;
	while ((entry = next_entry(c, dir)) != NULL)
		if (socket_inode(c, dirfd(dir), entry->d_name, &inode))
			own(list, inode, pid);
	closedir(dir);
}

static void find_owners(struct host_collector *c, struct port_list *list)
{
	DIR *dir = open_dir(c, ".");
	if (dir == NULL || list->count == 0) {
		if (dir != NULL)
			closedir(dir);
		return;
	}
	qsort(list->ports, list->count, sizeof(*list->ports), by_inode);
	struct dirent *entry;
	while (list->owned < list->count && (entry = next_entry(c, dir)) != NULL) {
		struct cursor name = cursor_over(entry->d_name, strlen(entry->d_name));
		uint64_t pid;
		if (cursor_u64(&name, &pid) && name.at == name.end && pid <= INT32_MAX)
			walk_descriptors(c, (int32_t)pid, list);
	}
	closedir(dir);
}

/* ---- the answer ---- */

static int compare(const void *a, const void *b)
{
	const struct port *x = a, *y = b;
	if (x->socket.port != y->socket.port)
		return x->socket.port < y->socket.port ? -1 : 1;
	if (x->udp != y->udp)
		return x->udp ? 1 : -1;
	if (x->socket.v6 != y->socket.v6)
		return x->socket.v6 ? 1 : -1;
	int order = memcmp(x->socket.address, y->socket.address, sizeof(x->socket.address));
	return order != 0 ? order : (x->pid > y->pid) - (x->pid < y->pid);
}

/* One process may hold several sockets of a port (SO_REUSEPORT): that is one row. */
static void sort_unique(struct port_list *list)
{
	size_t kept = 0;
	if (list->count == 0)
		return;
	qsort(list->ports, list->count, sizeof(*list->ports), compare);
	for (size_t i = 1; i < list->count; i++)
		if (compare(&list->ports[kept], &list->ports[i]) != 0)
			list->ports[++kept] = list->ports[i];
	list->count = kept + 1;
}

static void put_owner(struct host_collector *c, int32_t pid, struct json_writer *w)
{
	STRBUF_CLEANUP name = STRBUF_INIT;
	if (pid == 0 || !process_name_of(c, pid, &name)) {
		json_put_null(w, "pid");
		json_put_null(w, "process_name");
		json_put_null(w, "process");
		return;
	}
	json_put_int(w, "pid", pid);
	json_key(w, "process_name");
	json_stringn(w, name.data, name.len);
	json_key(w, "process");
	json_stringn(w, name.data, name.len);
}

static void put_port(struct host_collector *c, const struct port *p, struct json_writer *w)
{
	char address[INET6_ADDRSTRLEN];
	struct span service;
	json_object(w);
	json_put_uint(w, "port", p->socket.port);
	put_owner(c, p->pid, w);
	json_key(w, "service");
	if (services_name(c->services, p->socket.port, p->udp, &service))
		json_stringn(w, service.text, service.len);
	else
		json_null(w);
	json_put_string(w, "protocol", p->udp ? "udp" : "tcp");
	json_put_string(w, "status", p->udp ? "NONE" : "LISTEN");
	json_put_string(w, "address",
			inet_ntop(p->socket.v6 ? AF_INET6 : AF_INET, p->socket.address, address,
				  sizeof(address)));
	json_end(w);
}

static enum err collect_list(struct host_collector *c, struct port_list *list, struct errmsg *why)
{
	enum err err = list_ports(c, list, why);
	if (err == ERR_OK && c->services == NULL &&
	    services_load("/etc/services", &c->services) != ERR_OK)
		return err_set(why, ERR_NOMEM, "out of memory");
	if (err != ERR_OK)
		return err;
	find_owners(c, list);
	sort_unique(list);
	return ERR_OK;
}

enum err collect_ports(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
		       struct errmsg *why)
{
	(void)rest;
	struct port_list list = {0};
	enum err err = collect_list(c, &list, why);
	if (err != ERR_OK) {
		free(list.ports);
		return err;
	}
	struct json_writer w;
	json_init(&w, json);
	json_object(&w);
	json_put_bool(&w, "success", true);
	json_put_time_legacy(&w, "timestamp", clock_wall_us());
	json_put_uint(&w, "count", list.count);
	json_key(&w, "ports");
	json_array(&w);
	for (size_t i = 0; i < list.count; i++)
		put_port(c, &list.ports[i], &w);
	json_end(&w);
	json_end(&w);
	free(list.ports);
	return ERR_OK;
}
