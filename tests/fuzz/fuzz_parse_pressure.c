/* /proc/pressure/NAME. */
#include "proc.h"

static bool read_file(const char *text, size_t len, void *row)
{
	return parse_pressure(text, len, row);
}

static void print_line(const char *name, const struct pressure_line *line, struct strbuf *out)
{
	strbuf_addf(out, "%s avg10=", name);
	proc_print_real(out, line->avg10);
	strbuf_adds(out, " avg60=");
	proc_print_real(out, line->avg60);
	strbuf_adds(out, " avg300=");
	proc_print_real(out, line->avg300);
	strbuf_adds(out, " total=");
	strbuf_addu(out, line->total_us);
	strbuf_addc(out, '\n');
}

static void print(const void *row, struct strbuf *out)
{
	const struct pressure *p = row;
	AN_INVARIANT(p->has_some);
	print_line("some", &p->some, out);
	if (p->has_full)
		print_line("full", &p->full, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format pressure = {.read = read_file, .print = print};
	proc_check(&pressure, data, size);
	return 0;
}
