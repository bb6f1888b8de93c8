/* /proc/loadavg and /proc/uptime. */
#include "proc.h"

static bool read_load(const char *text, size_t len, void *row)
{
	return parse_loadavg(text, len, row);
}

static void print_load(const void *row, struct strbuf *out)
{
	const double *load = row;
	for (int i = 0; i < 3; i++) {
		proc_print_real(out, load[i]);
		strbuf_addc(out, ' ');
	}
	strbuf_adds(out, "1/2 3\n");
}

static bool read_uptime(const char *text, size_t len, void *row)
{
	return parse_uptime(text, len, row);
}

static void print_uptime(const void *row, struct strbuf *out)
{
	const double *seconds = row;
	proc_print_real(out, *seconds);
	strbuf_adds(out, " 7.00\n");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format load = {.read = read_load, .print = print_load};
	static const struct proc_format uptime = {.read = read_uptime, .print = print_uptime};
	proc_check(&load, data, size);
	proc_check(&uptime, data, size);
	return 0;
}
