/*
 * The sockets of this host's network namespace, from the kernel's socket
 * diagnostics; from /proc/net where those are missing or another tree is read.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/io.h"
#include "host/collector.h"

enum { DIAG_BUFFER = 32 << 10 };

static enum err ask(int fd, bool udp, bool v6, uint32_t states)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} request = {
	    .header = {.nlmsg_len = sizeof(request),
		       .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	    .body = {.sdiag_family = v6 ? AF_INET6 : AF_INET,
		     .sdiag_protocol = udp ? IPPROTO_UDP : IPPROTO_TCP,
		     .idiag_states = states},
	};
	return send(fd, &request, sizeof(request), 0) == (ssize_t)sizeof(request) ? ERR_OK : ERR_IO;
}

static enum diag_result visit_buffer(const char *buffer, size_t len, bool v6, socket_visit *visit,
				     void *arg)
{
	struct cursor c = cursor_over(buffer, len);
	struct socket_row row;
	enum diag_result result;
	while ((result = diag_next(&c, &row)) == DIAG_ROW)
		if (row.v6 == v6)
			visit(&row, arg);
	return result;
}

static enum err from_netlink(bool udp, bool v6, uint32_t states, socket_visit *visit, void *arg)
{
	char buffer[DIAG_BUFFER];
	const struct timeval limit = {.tv_sec = 2};
	FD_CLEANUP fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return ERR_UNAVAILABLE;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (ask(fd, udp, v6, states) != ERR_OK)
		return ERR_UNAVAILABLE;
	for (;;) {
		ssize_t len = recv(fd, buffer, sizeof(buffer), 0);
		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return ERR_IO;
		enum diag_result result = visit_buffer(buffer, (size_t)len, v6, visit, arg);
		if (result == DIAG_DONE)
			return ERR_OK;
		if (result == DIAG_ERROR)
			return ERR_UNAVAILABLE;
	}
}

static enum err from_proc(struct host_collector *c, bool udp, bool v6, uint32_t states,
			  socket_visit *visit, void *arg)
{
	static const char *const files[2][2] = {{"net/tcp", "net/tcp6"}, {"net/udp", "net/udp6"}};
	enum err err = host_read(c, c->proc, files[udp][v6]);
	if (err != ERR_OK) /* a kernel without IPv6 has no such file */
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	struct cursor file = cursor_over(c->file.data, c->file.len);
	struct socket_row row;
	while (proc_net_next(&file, v6, &row))
		if (states & UINT32_C(1) << row.state)
			visit(&row, arg);
	return ERR_OK;
}

/* The kernel refuses before it lists anything, so nothing is visited twice. */
enum err sockets_each(struct host_collector *c, bool udp, bool v6, uint32_t states,
		      socket_visit *visit, void *arg)
{
	if (c->live) {
		enum err err = from_netlink(udp, v6, states, visit, arg);
		if (err != ERR_UNAVAILABLE)
			return err;
	}
	return from_proc(c, udp, v6, states, visit, arg);
}
