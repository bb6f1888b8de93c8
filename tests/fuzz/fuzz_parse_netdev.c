/* /proc/net/dev. */
#include <inttypes.h>

#include "proc.h"

static bool next(struct cursor *file, void *row)
{
	return netdev_next(file, row);
}

static void print(const void *row, struct strbuf *out)
{
	const struct netdev_row *n = row;
	const struct interface_counters *c = &n->counters;
	AN_INVARIANT(memchr(n->name, '\0', sizeof(n->name)) != NULL && n->name[0] != '\0');
	strbuf_addf(out, "%6s:%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 1 2 3 4", n->name,
		    c->bytes_recv, c->packets_recv, c->errin, c->dropin);
	strbuf_addf(out, " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 5 6 7 8\n",
		    c->bytes_sent, c->packets_sent, c->errout, c->dropout);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format netdev = {.next = next, .by_line = true, .print = print};
	proc_check(&netdev, data, size);
	return 0;
}
