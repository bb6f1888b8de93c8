#include "proc.h"

#include <math.h>
#include <stdalign.h>

/* Prints every row; the number of them. */
static size_t print_all(const struct proc_format *format, const char *text, size_t len,
			struct strbuf *out)
{
	alignas(max_align_t) char row[PROC_ROW_MAX];
	size_t count = 0;
	if (format->read != NULL) {
		if (!format->read(text, len, row))
			return 0;
		format->print(row, out);
		return 1;
	}
	for (struct cursor file = cursor_over(text, len); format->next(&file, row); count++) {
		AN_INVARIANT(file.at >= text && file.at <= text + len);
		format->print(row, out);
	}
	return count;
}

static size_t print_copy(const struct proc_format *format, const char *text, size_t len,
			 struct strbuf *out)
{
	char *copy = exact_copy(text, len);
	size_t count = print_all(format, copy, len, out);
	free(copy);
	return count;
}

/* The number of rows printed. */
static size_t print_lines(const struct proc_format *format, const char *text, size_t len,
			  struct strbuf *out)
{
	size_t count = 0;
	struct cursor line;
	for (struct cursor file = cursor_over(text, len); cursor_line(&file, &line);)
		count += print_copy(format, line.at, cursor_left(&line), out);
	return count;
}

void proc_check(const struct proc_format *format, const uint8_t *data, size_t size)
{
	STRBUF_CLEANUP once = STRBUF_INIT, twice = STRBUF_INIT, alone = STRBUF_INIT;
	const char *text = (const char *)data;
	size_t count = print_all(format, text, size, &once);
	AN_INVARIANT(print_copy(format, once.data, once.len, &twice) == count);
	must_equal(&once, &twice);
	if (format->by_line) {
		AN_INVARIANT(print_lines(format, text, size, &alone) == count);
		must_equal(&once, &alone);
	}
}

void proc_print_span(struct strbuf *out, struct span span)
{
	strbuf_add(out, span.text, span.len);
}

void proc_print_real(struct strbuf *out, double value)
{
	char text[] = "999999.99";
	AN_INVARIANT(isfinite(value) && value >= 0);
	/* By its text, since 999999.999 becomes the million that would be left out. */
	bool fits = snprintf(text, sizeof(text), "%.2f", value) < (int)sizeof(text);
	strbuf_adds(out, fits ? text : "0.00");
}
