/* /proc/diskstats. */
#include <inttypes.h>

#include "proc.h"

enum { SECTOR = 512 };

static bool next(struct cursor *file, void *row)
{
	return diskstats_next(file, row);
}

static void print(const void *row, struct strbuf *out)
{
	const struct diskstats_row *d = row;
	AN_INVARIANT(memchr(d->name, '\0', sizeof(d->name)) != NULL);
	AN_INVARIANT(d->read_bytes % SECTOR == 0 && d->write_bytes % SECTOR == 0);
	strbuf_addf(out, " 254 0 %s %" PRIu64 " 1 %" PRIu64 " 2 %" PRIu64 " 3 %" PRIu64, d->name,
		    d->read_count, d->read_bytes / SECTOR, d->write_count, d->write_bytes / SECTOR);
	strbuf_addf(out, " 4 5 %" PRIu64 " 6\n", d->busy_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format diskstats = {.next = next, .by_line = true, .print = print};
	proc_check(&diskstats, data, size);
	return 0;
}
