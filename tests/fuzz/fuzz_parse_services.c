/* /etc/services. */
#include "proc.h"

static bool next(struct cursor *file, void *row)
{
	return services_next(file, row);
}

static void print(const void *row, struct strbuf *out)
{
	const struct services_row *s = row;
	AN_INVARIANT(s->port > 0 && s->name.len > 0 && s->name.text[0] != '#');
	proc_print_span(out, s->name);
	strbuf_addf(out, "\t%u/%s # comment\n", s->port, s->udp ? "udp" : "tcp");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format services = {.next = next, .by_line = true, .print = print};
	proc_check(&services, data, size);
	return 0;
}
