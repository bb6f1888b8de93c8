/* /proc/net/tcp, tcp6 and their kin. */
#include <inttypes.h>

#include "proc.h"

static bool next_v4(struct cursor *file, void *row)
{
	return proc_net_next(file, false, row);
}

static bool next_v6(struct cursor *file, void *row)
{
	return proc_net_next(file, true, row);
}

static void print(const void *row, struct strbuf *out)
{
	const struct socket_row *s = row;
	AN_INVARIANT(s->state > 0 && s->state < SOCKET_STATES);
	strbuf_adds(out, "   7: ");
	for (size_t i = 0; i < (s->v6 ? 4 : 1); i++) {
		uint32_t word;
		memcpy(&word, s->address + 4 * i, sizeof(word));
		strbuf_addf(out, "%08X", word);
	}
	strbuf_addf(out, ":%04X %s:0000 %02X 1:2 00:3 4 5 6 %" PRIu64 " 1 0\n", s->port,
		    s->v6 ? "00000000000000000000000000000000" : "00000000", s->state, s->inode);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format v4 = {.next = next_v4, .by_line = true, .print = print};
	static const struct proc_format v6 = {.next = next_v6, .by_line = true, .print = print};
	proc_check(&v4, data, size);
	proc_check(&v6, data, size);
	return 0;
}
