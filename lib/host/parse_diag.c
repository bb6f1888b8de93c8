#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "host/parse.h"

static bool read_message(const char *payload, size_t len, struct socket_row *out)
{
	struct inet_diag_msg msg;
	if (len < sizeof(msg))
		return false;
	memcpy(&msg, payload, sizeof(msg)); /* netlink aligns to 4 bytes, a fuzzer to none */
	if ((msg.idiag_family != AF_INET && msg.idiag_family != AF_INET6) || msg.idiag_state == 0 ||
	    msg.idiag_state >= SOCKET_STATES)
		return false;
	*out = (struct socket_row){
	    .v6 = msg.idiag_family == AF_INET6,
	    .state = msg.idiag_state,
	    .port = ntohs(msg.id.idiag_sport),
	    .inode = msg.idiag_inode,
	};
	memcpy(out->address, msg.id.idiag_src, out->v6 ? 16 : 4);
	return true;
}

enum diag_result diag_next(struct cursor *buffer, struct socket_row *out)
{
	while (cursor_left(buffer) > 0) {
		struct nlmsghdr header;
		if (cursor_left(buffer) < sizeof(header))
			return DIAG_ERROR;
		memcpy(&header, buffer->at, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > cursor_left(buffer))
			return DIAG_ERROR;
		const char *payload = buffer->at + NLMSG_HDRLEN;
		size_t len = header.nlmsg_len - NLMSG_HDRLEN;
		size_t step = NLMSG_ALIGN((size_t)header.nlmsg_len);
		buffer->at += step < cursor_left(buffer) ? step : cursor_left(buffer);
		if (header.nlmsg_type == NLMSG_DONE)
			return DIAG_DONE;
		if (header.nlmsg_type == NLMSG_ERROR)
			return DIAG_ERROR;
		if (header.nlmsg_type == SOCK_DIAG_BY_FAMILY && read_message(payload, len, out))
			return DIAG_ROW;
	}
	return DIAG_END_OF_BUFFER;
}
