/* /proc/self/mounts with its escapes, and /proc/filesystems. */
#include "proc.h"

static bool next_mount(struct cursor *file, void *row)
{
	return mounts_next(file, row);
}

static void print_mount(const void *row, struct strbuf *out)
{
	const struct mounts_row *m = row;
	const struct span words[] = {m->device, m->mountpoint, m->type};
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		AN_INVARIANT(words[i].len > 0);
		proc_print_span(out, words[i]);
		strbuf_addc(out, ' ');
	}
	strbuf_adds(out, "rw 0 0\n");
}

static bool next_type(struct cursor *file, void *row)
{
	return filesystems_next(file, row);
}

static void print_type(const void *row, struct strbuf *out)
{
	const struct span *type = row;
	strbuf_adds(out, span_is(*type, "zfs") ? "nodev\t" : "\t");
	proc_print_span(out, *type);
	strbuf_addc(out, '\n');
}

/* As the kernel writes a path. */
static void escape(const uint8_t *data, size_t size, struct strbuf *out)
{
	for (size_t i = 0; i < size; i++)
		if (strchr(" \t\n\\#", data[i]) != NULL)
			strbuf_addf(out, "\\%03o", data[i]);
		else
			strbuf_addc(out, (char)data[i]);
}

static void check_escapes(const uint8_t *data, size_t size)
{
	STRBUF_CLEANUP escaped = STRBUF_INIT;
	size_t len = strnlen((const char *)data, size);
	escape(data, len, &escaped);
	char *out = malloc(len + 1);
	struct span span = {.text = escaped.data, .len = escaped.len};
	AN_INVARIANT(out != NULL && !mounts_unescape(span, out, len));
	AN_INVARIANT(mounts_unescape(span, out, len + 1));
	AN_INVARIANT(strlen(out) == len && memcmp(out, data, len) == 0);
	free(out);
}

/* What is no escape stays as it is; what does not fit is refused, and no byte too many written. */
static void check_room(const uint8_t *data, size_t size)
{
	enum { SMALL = 16 };
	struct span span = {.text = (const char *)data, .len = size};
	char *full = malloc(size + 1), *small = malloc(SMALL);
	AN_INVARIANT(full != NULL && small != NULL && mounts_unescape(span, full, size + 1));
	bool fits = mounts_unescape(span, small, SMALL);
	if (fits) {
		AN_INVARIANT(strlen(full) < SMALL || memchr(data, '\0', size) != NULL);
		AN_INVARIANT(strcmp(small, full) == 0);
	}
	free(full);
	free(small);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct proc_format mounts = {
	    .next = next_mount, .by_line = true, .print = print_mount};
	static const struct proc_format filesystems = {
	    .next = next_type, .by_line = true, .print = print_type};
	proc_check(&mounts, data, size);
	proc_check(&filesystems, data, size);
	if (size > 0) {
		check_escapes(data, size);
		check_room(data, size);
	}
	return 0;
}
