/* /proc/cpuinfo. */
#include "proc.h"

static bool read_file(const char *text, size_t len, void *row)
{
	parse_cpuinfo(text, len, row);
	return true;
}

static void print(const void *row, struct strbuf *out)
{
	const struct cpuinfo *c = row;
	AN_INVARIANT(c->mhz_count > 0 || c->mhz_sum == 0);
	if (c->model.len > 0) {
		strbuf_adds(out, "model name\t: ");
		proc_print_span(out, c->model);
		strbuf_addc(out, '\n');
	}
	for (unsigned i = 0; i < c->mhz_count; i++) {
		strbuf_adds(out, "cpu MHz\t\t: ");
		proc_print_real(out, i == 0 ? c->mhz_sum : 0);
		strbuf_addc(out, '\n');
	}
	for (unsigned i = 0; i < c->physical_cores; i++)
		strbuf_addf(out, "physical id\t: 0\ncore id\t\t: %u\n", i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format cpuinfo = {.read = read_file, .print = print};
	proc_check(&cpuinfo, data, size);
	return 0;
}
