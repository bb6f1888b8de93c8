/* INET_DIAG's answer: netlink messages. */
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "proc.h"

static bool next(struct cursor *file, void *row)
{
	return diag_next(file, row) == DIAG_ROW;
}

static void print(const void *row, struct strbuf *out)
{
	const struct socket_row *s = row;
	AN_INVARIANT(s->state > 0 && s->state < SOCKET_STATES);
	struct {
		struct nlmsghdr header;
		struct inet_diag_msg body;
	} message = {
	    .header = {.nlmsg_len = sizeof(message), .nlmsg_type = SOCK_DIAG_BY_FAMILY},
	    .body = {.idiag_family = s->v6 ? AF_INET6 : AF_INET,
		     .idiag_state = s->state,
		     .id.idiag_sport = htons(s->port),
		     .idiag_inode = (uint32_t)s->inode},
	};
	memcpy(message.body.id.idiag_src, s->address, s->v6 ? 16 : 4);
	strbuf_add(out, &message, sizeof(message));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format diag = {.next = next, .print = print};
	proc_check(&diag, data, size);
	return 0;
}
