/* /proc/PID/stat, statm, status and cmdline. */
#include <inttypes.h>

#include "proc.h"

static bool read_stat(const char *text, size_t len, void *row)
{
	return parse_pid_stat(text, len, row);
}

static void print_stat(const void *row, struct strbuf *out)
{
	const struct pid_stat *s = row;
	AN_INVARIANT(s->pid >= 0 && s->ppid >= 0);
	strbuf_addf(out, "%d (", s->pid);
	proc_print_span(out, s->name);
	strbuf_adds(out, ") ");
	strbuf_addc(out, s->state);
	strbuf_addf(out, " %d 1 2 3 -1 5 %" PRIu64 " 7 0 9 %" PRIu64 " 0 12 13 14 15", s->ppid,
		    s->faults, s->cpu_ticks);
	strbuf_addf(out, " %u 17 %" PRIu64 " 19 %" PRIu64 " 21\n", s->threads, s->start_ticks,
		    s->rss_pages);
}

static bool read_statm(const char *text, size_t len, void *row)
{
	return parse_pid_statm(text, len, row);
}

static void print_statm(const void *row, struct strbuf *out)
{
	const uint64_t *pages = row;
	strbuf_addf(out, "0 %" PRIu64 " 2 3\n", *pages);
}

static bool read_uid(const char *text, size_t len, void *row)
{
	return parse_pid_status_uid(text, len, row);
}

static void print_uid(const void *row, struct strbuf *out)
{
	const uint32_t *uid = row;
	strbuf_addf(out, "Name:\tx\nUid:\t%u\t1\t2\t3\n", *uid);
}

/* The command's last part is found by its own beginning, cut as the kernel cuts names. */
static void check_cmdline(const char *text, size_t len)
{
	enum { CUT = 15 };
	struct span full, again;
	if (!parse_cmdline_name(text, len, (struct span){.text = "", .len = 0}, &full))
		return;
	AN_INVARIANT(full.text >= text && full.text + full.len <= text + len);
	AN_INVARIANT(full.len == 0 || memchr(full.text, '/', full.len) == NULL);
	struct span name = {.text = full.text, .len = full.len < CUT ? full.len : CUT};
	AN_INVARIANT(parse_cmdline_name(text, len, name, &again));
	AN_INVARIANT(again.text == full.text && again.len == full.len);
	AN_INVARIANT(!parse_cmdline_name(text, len, (struct span){.text = "/", .len = 1}, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format stat = {.read = read_stat, .print = print_stat};
	static const struct proc_format statm = {.read = read_statm, .print = print_statm};
	static const struct proc_format uid = {.read = read_uid, .print = print_uid};
	proc_check(&stat, data, size);
	proc_check(&statm, data, size);
	proc_check(&uid, data, size);
	check_cmdline((const char *)data, size);
	return 0;
}
