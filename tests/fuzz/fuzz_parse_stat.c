/* /proc/stat. */
#include "proc.h"

enum { CPUS = 4 };

struct row {
	struct stat_file file;
	struct cpu_times cpus[CPUS];
	size_t count;
};

static bool read_file(const char *text, size_t len, void *row)
{
	struct row *r = row;
	struct cpu_times *room = calloc(CPUS, sizeof(*room)); /* a sanitizer watches its end */
	AN_INVARIANT(room != NULL);
	bool good = parse_stat(text, len, &r->file, room, CPUS, &r->count);
	memcpy(r->cpus, room, sizeof(r->cpus));
	free(room);
	return good;
}

static void print_times(const struct cpu_times *times, struct strbuf *out)
{
	for (size_t i = 0; i < CPU_TIMES; i++) {
		strbuf_addc(out, ' ');
		strbuf_addu(out, times->ticks[i]);
	}
	strbuf_adds(out, " 1 2\n"); /* guest times */
}

/* Processors that found no room are printed as those that did not. */
static void print(const void *row, struct strbuf *out)
{
	static const struct cpu_times none = {.id = 0};
	const struct row *r = row;
	AN_INVARIANT(r->file.has_all);
	strbuf_adds(out, "cpu ");
	print_times(&r->file.all, out);
	for (size_t i = 0; i < r->count; i++) {
		const struct cpu_times *times = i < CPUS ? &r->cpus[i] : &none;
		strbuf_addf(out, "cpu%u", times->id);
		print_times(times, out);
	}
	strbuf_adds(out, "btime ");
	strbuf_addu(out, r->file.boot_time);
	strbuf_addc(out, '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format stat = {.read = read_file, .print = print};
	proc_check(&stat, data, size);
	return 0;
}
