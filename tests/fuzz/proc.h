/*
 * What holds of every parser in lib/host: a target says how its format is read and
 * how the kernel would print what was read.
 *
 * What was read, printed and read again prints the same.  Where lines stand for
 * themselves, each read alone gives what all together give; it is read in a block of
 * its own, so that nothing of its neighbours is seen.
 */
#ifndef ZIGGIE_TESTS_FUZZ_PROC_H
#define ZIGGIE_TESTS_FUZZ_PROC_H

#include "fuzz.h"
#include "host/parse.h"

enum { PROC_ROW_MAX = 1024 };

/* One of read and next; a row takes at most PROC_ROW_MAX bytes. */
struct proc_format {
	bool (*read)(const char *text, size_t len, void *row); /* the file is one row */
	bool (*next)(struct cursor *file, void *row);          /* the file is a list */
	bool by_line;                                          /* of lines */
	void (*print)(const void *row, struct strbuf *out);
};

void proc_check(const struct proc_format *format, const uint8_t *data, size_t size);

void proc_print_span(struct strbuf *out, struct span span);
/* With two decimals, as the kernel does; 0 for numbers too large to come back exactly. */
void proc_print_real(struct strbuf *out, double value);

#endif
