/* /proc/meminfo. */
#include "proc.h"

enum { KIB = 1024 };

static bool read_file(const char *text, size_t len, void *row)
{
	return parse_meminfo(text, len, row);
}

static void print_field(const char *key, uint64_t bytes, struct strbuf *out)
{
	AN_INVARIANT(bytes % KIB == 0);
	strbuf_addf(out, "%s: ", key);
	strbuf_addu(out, bytes / KIB);
	strbuf_adds(out, " kB\n");
}

static void print(const void *row, struct strbuf *out)
{
	const struct meminfo *m = row;
	AN_INVARIANT(m->total > 0 && (m->has_available || m->available == 0));
	print_field("MemTotal", m->total, out);
	print_field("MemFree", m->free, out);
	if (m->has_available)
		print_field("MemAvailable", m->available, out);
	print_field("Buffers", m->buffers, out);
	print_field("Cached", m->cached, out);
	print_field("SwapTotal", m->swap_total, out);
	print_field("SwapFree", m->swap_free, out);
	print_field("SReclaimable", m->reclaimable, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format meminfo = {.read = read_file, .print = print};
	proc_check(&meminfo, data, size);
	return 0;
}
